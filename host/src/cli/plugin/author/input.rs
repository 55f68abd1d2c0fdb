//! What a plugin is given: from a file, or from words of the command line.

use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;

use crate::cli::failure::Failure;
use crate::plugins::{
    EnrichDocument, GenerateOptions, GenerateRequest, GeneratorPassage, PluginInfo, Purpose,
};
use crate::types::{Chunk, JsonMap, MessageRole, Role};

/// Seeds and temperature of every generation here: the same input twice shall give the same answer.
const SEED: u64 = 1;

/// One input of a role.
#[derive(Clone, Debug)]
pub enum Input {
    /// A file.
    Parser(ParserInput),
    /// A document with its chunks.
    Enricher(EnrichDocument, Vec<Chunk>),
    /// Texts.
    Embedder(Vec<String>, Purpose),
    /// Query and passages.
    Reranker(String, Vec<String>),
    /// Question and passages.
    Generator(Box<GenerateRequest>),
}

/// A file in memory.
#[derive(Clone, Debug)]
pub struct ParserInput {
    pub bytes: Bytes,
    pub filename: String,
    pub file_type: String,
}

/// A file: for parsers as it is; for the others text, or JSON with all that the role takes.
pub fn of_file(path: &Path, info: &PluginInfo) -> anyhow::Result<Input> {
    let unreadable = |error| Failure::new(format!("{}: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(unreadable)?;
    if info.role == Role::Parser {
        return Ok(Input::Parser(parser_input(path, bytes.into(), info)));
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| Failure::new(format!("{} is no text: {error}", path.display())))?;
    if path.extension().is_some_and(|extension| extension == "json") {
        let input = of_json(info.role, &text);
        return Ok(input.map_err(|what| Failure::new(format!("{}: {what}", path.display())))?);
    }
    Ok(of_text(info.role, text.trim_end(), &[])?)
}

/// The extension where the plugin reads it, else the first type of its manifest.
fn parser_input(path: &Path, bytes: Bytes, info: &PluginInfo) -> ParserInput {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let known = extension.filter(|extension| info.file_types.contains(extension));
    ParserInput {
        bytes,
        filename: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        file_type: known.or_else(|| info.file_types.first().cloned()).unwrap_or_default(),
    }
}

/// Text from the command line.
pub fn of_text(role: Role, text: &str, passages: &[String]) -> Result<Input, Failure> {
    if role == Role::Reranker && passages.is_empty() {
        return Err(Failure::new("a reranker scores passages, and none is given")
            .hint("add --passage TEXT once for each, or name a JSON file: @input.json"));
    }
    Ok(match role {
        Role::Parser => return Err(Failure::new("a parser reads a file: name one")),
        Role::Enricher => enrichment(EnricherJson { text: text.into(), ..EnricherJson::default() }),
        Role::Embedder => Input::Embedder(vec![text.into()], Purpose::Passage),
        Role::Reranker => Input::Reranker(text.into(), passages.to_vec()),
        Role::Generator => {
            let passages = passages.iter().map(|text| PassageJson { text: text.clone(), title: None });
            generation(GeneratorJson { question: text.into(), passages: passages.collect(), language: None })
        }
    })
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct EnricherJson {
    text: String,
    /// Paragraphs of the text unless given.
    chunks: Option<Vec<String>>,
    filename: Option<String>,
    title: Option<String>,
    language: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmbedderJson {
    texts: Vec<String>,
    #[serde(default)]
    purpose: PurposeJson,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum PurposeJson {
    Query,
    #[default]
    Passage,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RerankerJson {
    query: String,
    passages: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GeneratorJson {
    question: String,
    #[serde(default)]
    passages: Vec<PassageJson>,
    language: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PassageJson {
    text: String,
    title: Option<String>,
}

fn of_json(role: Role, text: &str) -> Result<Input, String> {
    fn read<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
    Ok(match role {
        Role::Parser => return Err("a parser reads the file itself".into()),
        Role::Enricher => enrichment(read(text)?),
        Role::Embedder => {
            let EmbedderJson { texts, purpose } = read(text)?;
            let purpose = match purpose {
                PurposeJson::Query => Purpose::Query,
                PurposeJson::Passage => Purpose::Passage,
            };
            Input::Embedder(texts, purpose)
        }
        Role::Reranker => {
            let RerankerJson { query, passages } = read(text)?;
            Input::Reranker(query, passages)
        }
        Role::Generator => generation(read(text)?),
    })
}

fn enrichment(json: EnricherJson) -> Input {
    let paragraphs = || json.text.split("\n\n").map(str::trim).filter(|text| !text.is_empty());
    let chunks = json.chunks.clone().unwrap_or_else(|| paragraphs().map(str::to_owned).collect());
    let document = EnrichDocument {
        filename: json.filename.unwrap_or_else(|| "input.txt".into()),
        file_type: "txt".into(),
        title: json.title,
        language: json.language,
        text: json.text,
    };
    Input::Enricher(document, chunks.into_iter().zip(0..).map(chunk).collect())
}

fn chunk((text, index): (String, u32)) -> Chunk {
    Chunk {
        index,
        chars: 0..text.chars().count(),
        text,
        page: None,
        heading_path: Vec::new(),
        context: None,
        language: None,
        tokens: 0,
        metadata: JsonMap::new(),
    }
}

fn generation(json: GeneratorJson) -> Input {
    let passages: Vec<_> = json.passages.into_iter().zip(1..).map(passage).collect();
    Input::Generator(Box::new(GenerateRequest {
        model: None,
        language: json.language.unwrap_or_else(|| "en".into()),
        messages: messages(&json.question, &passages),
        question: json.question,
        passages,
        options: GenerateOptions { temperature: Some(0.0), seed: Some(SEED), ..GenerateOptions::default() },
        cancel: Default::default(),
    }))
}

fn passage((json, citation): (PassageJson, u32)) -> GeneratorPassage {
    GeneratorPassage {
        citation,
        text: json.text,
        title: json.title.unwrap_or_else(|| format!("Document {citation}")),
        heading_path: Vec::new(),
        language: None,
        // In the order given, best first.
        score: 1.0 / citation as f32,
        similarity: None,
        sentences: Vec::new(),
    }
}

/// A prompt for generators that read prompts.
fn messages(question: &str, passages: &[GeneratorPassage]) -> Vec<(MessageRole, String)> {
    let sources: String =
        passages.iter().map(|passage| format!("[{}] {}\n\n", passage.citation, passage.text)).collect();
    let rule = "Answer from the passages only, and cite them by number.";
    vec![
        (MessageRole::System, rule.to_owned()),
        (MessageRole::User, format!("{sources}Question: {question}")),
    ]
}
