use std::marker::PhantomData;

use smartrag_native as abi;

use crate::plugins::roles::{GenerateRequest, GeneratorPassage, PromptRole};

/// A request as C sees it, with the lists that it points to.
pub struct Request<'a> {
    raw: abi::Request,
    // The raw request points into these; a vector's content stays where it is when the vector moves.
    _messages: Vec<abi::Message>,
    _passages: Vec<abi::Passage>,
    _lists: Vec<Lists>,
    _stop: Vec<abi::Str>,
    _extra: String,
    _borrowed: PhantomData<&'a GenerateRequest>,
}

/// Lists of one passage.
struct Lists {
    headings: Vec<abi::Str>,
    sentences: Vec<abi::Sentence>,
}

impl<'a> Request<'a> {
    /// Borrows all texts of the request.
    pub fn new(request: &'a GenerateRequest) -> Self {
        let messages: Vec<_> = request.messages.iter().map(|(role, text)| message(*role, text)).collect();
        let lists: Vec<_> = request.passages.iter().map(Lists::new).collect();
        let passages: Vec<_> =
            request.passages.iter().zip(&lists).map(|(given, lists)| passage(given, lists)).collect();
        let stop: Vec<_> = request.options.stop.iter().map(|text| abi::Str::new(text)).collect();
        let extra = serde_json::Value::Object(request.options.extra.clone()).to_string();
        let raw = abi::Request {
            struct_size: size_of::<abi::Request>() as u32,
            has_seed: u32::from(request.options.seed.is_some()),
            seed: request.options.seed.unwrap_or_default(),
            temperature: request.options.temperature.unwrap_or(f32::NAN),
            top_p: request.options.top_p.unwrap_or(f32::NAN),
            max_tokens: request.options.max_tokens.unwrap_or_default(),
            model: optional(request.model.as_deref()),
            question: abi::Str::new(&request.question),
            language: abi::Str::new(&request.language),
            messages: messages.as_ptr(),
            message_count: messages.len(),
            passages: passages.as_ptr(),
            passage_count: passages.len(),
            stop: stop.as_ptr(),
            stop_count: stop.len(),
            extra_json: abi::Str::new(&extra),
        };
        Self {
            raw,
            _messages: messages,
            _passages: passages,
            _lists: lists,
            _stop: stop,
            _extra: extra,
            _borrowed: PhantomData,
        }
    }

    /// For the call; it and what it points to live as long as `self`.
    pub fn raw(&self) -> &abi::Request {
        &self.raw
    }
}

impl Lists {
    fn new(passage: &GeneratorPassage) -> Self {
        let sentence = |sentence: &crate::plugins::roles::SentenceEvidence| abi::Sentence {
            start: sentence.span.start,
            end: sentence.span.end,
            similarity: sentence.similarity.unwrap_or(f32::NAN),
        };
        Self {
            headings: passage.heading_path.iter().map(|text| abi::Str::new(text)).collect(),
            sentences: passage.sentences.iter().map(sentence).collect(),
        }
    }
}

fn passage(passage: &GeneratorPassage, lists: &Lists) -> abi::Passage {
    abi::Passage {
        citation: passage.citation,
        score: passage.score,
        similarity: passage.similarity.unwrap_or(f32::NAN),
        text: abi::Str::new(&passage.text),
        title: abi::Str::new(&passage.title),
        language: optional(passage.language.as_deref()),
        heading_path: lists.headings.as_ptr(),
        heading_count: lists.headings.len(),
        sentences: lists.sentences.as_ptr(),
        sentence_count: lists.sentences.len(),
    }
}

fn message(role: PromptRole, content: &str) -> abi::Message {
    let role = match role {
        PromptRole::System => abi::message_role::SYSTEM,
        PromptRole::User => abi::message_role::USER,
        PromptRole::Assistant => abi::message_role::ASSISTANT,
    };
    abi::Message { role, content: abi::Str::new(content) }
}

fn optional(text: Option<&str>) -> abi::Str {
    text.map_or(abi::Str::NONE, abi::Str::new)
}
