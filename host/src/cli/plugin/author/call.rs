//! One call, as JSON: what `run --json` prints and golden files hold.

use serde_json::{Value, json};

use super::input::{Input, ParserInput};
use crate::plugins::{Cancel, GenerateEvent, GenerateRequest, ParseOptions, Plugins, Purpose, Source};
use crate::types::{Block, Chunk, FinishReason, JsonMap, Page, Parsed, PluginError, Usage, Warning};

/// Calls the plugin in a fresh instance.
pub fn call(plugins: &Plugins, name: &str, input: &Input) -> Result<Value, PluginError> {
    let settings = JsonMap::new();
    match input {
        Input::Parser(file) => parse(plugins, name, file).map(|parsed| parsed_json(&parsed)),
        Input::Enricher(document, chunks) => {
            let found = plugins.enricher(name)?.enrich(document, chunks)?;
            Ok(json!({"document": found.document, "chunks": found.chunks}))
        }
        Input::Embedder(texts, purpose) => embed(plugins, name, texts, *purpose),
        Input::Reranker(query, passages) => {
            let texts: Vec<&str> = passages.iter().map(String::as_str).collect();
            let scores = plugins.reranker(name, &settings)?.rerank(query, &texts)?;
            Ok(json!({"scores": scores.into_iter().map(rounded).collect::<Vec<_>>()}))
        }
        Input::Generator(request) => generate(plugins, name, request),
    }
}

/// An error as golden files hold it.
pub fn error_json(error: &PluginError) -> Value {
    json!({"error": {"code": error.kind.code(), "message": error.message}})
}

fn parse(plugins: &Plugins, name: &str, file: &ParserInput) -> Result<Parsed, PluginError> {
    let Some(parser) = plugins.parser_for(&file.file_type) else {
        let message = format!("it reads no {:?}", file.file_type);
        let kind = crate::types::FaultKind::Unsupported;
        return Err(PluginError {
            plugin: name.into(),
            kind,
            message,
            retryable: false,
            retry_after_ms: None,
        });
    };
    let options = ParseOptions {
        file_type: file.file_type.clone(),
        filename: file.filename.clone(),
        passwords: Vec::new(),
        cancel: Cancel::default(),
    };
    parser.parse(&Source::Bytes(file.bytes.clone()), &options)
}

fn parsed_json(parsed: &Parsed) -> Value {
    json!({
        "title": parsed.title,
        "language": parsed.language,
        "metadata": parsed.metadata,
        "paged": parsed.paged,
        "pages": parsed.pages.iter().map(page).collect::<Vec<_>>(),
        "text": parsed.text,
        "blocks": parsed.blocks.iter().map(block).collect::<Vec<_>>(),
        "warnings": parsed.warnings.iter().map(warning).collect::<Vec<_>>(),
    })
}

fn block(block: &Block) -> Value {
    let mut json = json!({
        "kind": block.kind.as_str(),
        "span": [block.span.start, block.span.end],
    });
    let optional = [
        ("level", (block.level > 0).then(|| block.level.into())),
        ("page", block.page.map(Value::from)),
        ("part", block.part.clone().map(Value::from)),
        ("language", block.language.clone().map(Value::from)),
        ("cells", (!block.cells.is_empty()).then(|| block.cells.len().into())),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            json[key] = value;
        }
    }
    json
}

fn page(page: &Page) -> Value {
    json!({"number": page.number, "label": page.label, "status": page.status.as_str()})
}

fn warning(warning: &Warning) -> Value {
    json!({"code": warning.code, "detail": warning.detail, "page": warning.page})
}

fn embed(plugins: &Plugins, name: &str, texts: &[String], purpose: Purpose) -> Result<Value, PluginError> {
    let embedder = plugins.embedder(name, &JsonMap::new())?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let values = embedder.embed(&texts, purpose)?;
    let info = embedder.info();
    let rows = values.chunks(info.dimension);
    let rows: Vec<Vec<f64>> = rows.map(|row| row.iter().copied().map(rounded).collect()).collect();
    Ok(json!({
        "model": info.model,
        "dimension": info.dimension,
        "tokens": embedder.count_tokens(&texts)?,
        "vectors": rows,
    }))
}

/// Far more exact than ranking needs, and short to read.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e5).round() / 1e5
}

/// What came out of a generation.
#[derive(Default)]
struct Answer {
    text: String,
    reasoning: String,
    usage: Option<Usage>,
    finish: Vec<FinishReason>,
}

fn generate(plugins: &Plugins, name: &str, request: &GenerateRequest) -> Result<Value, PluginError> {
    let generator = plugins.generator(name, &JsonMap::new())?;
    let mut answer = Answer::default();
    for batch in generator.generate(request)? {
        batch?.into_iter().for_each(|event| answer.take(event));
    }
    let usage = answer.usage.map(|usage| [usage.prompt_tokens, usage.completion_tokens]);
    Ok(json!({
        "model": generator.info().model,
        "text": answer.text,
        "reasoning": answer.reasoning,
        "usage": usage.map(|[prompt, completion]| json!({"prompt_tokens": prompt, "completion_tokens": completion})),
        "finish": answer.finish.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
    }))
}

impl Answer {
    fn take(&mut self, event: GenerateEvent) {
        match event {
            GenerateEvent::Text(text) => self.text.push_str(&text),
            GenerateEvent::Reasoning(text) => self.reasoning.push_str(&text),
            GenerateEvent::Usage(usage) => self.usage = Some(usage),
            GenerateEvent::Finish(reason) => self.finish.push(reason),
        }
    }
}

/// Begins a generation, takes one batch, and drops it.
pub fn cancel(
    plugins: &Plugins,
    name: &str,
    request: &GenerateRequest,
    times: usize,
) -> Result<(), PluginError> {
    let generator = plugins.generator(name, &JsonMap::new())?;
    for _ in 0..times {
        if let Some(batch) = generator.generate(request)?.next() {
            batch?;
        }
    }
    // One more, to its end, in an instance that was left half-way.
    generator.generate(request)?.try_for_each(|batch| batch.map(drop))
}

/// A chunk's text.
pub fn texts(chunks: &[Chunk]) -> Vec<&str> {
    chunks.iter().map(|chunk| chunk.text.as_str()).collect()
}
