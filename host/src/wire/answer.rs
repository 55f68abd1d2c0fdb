use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FilterBody, Hit, TOP_K_DEFAULT, Timings};
use crate::types::{self, JsonMap};

fn top_k_default() -> u32 {
    TOP_K_DEFAULT
}

/// A question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryBody {
    /// The question.
    #[schema(value_type = super::texts::QueryText)]
    pub query: String,
    /// The session on whose behalf; an unknown one is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::SessionId>)]
    pub session_id: Option<String>,
    /// The conversation that it goes on with; a new one begins where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub conversation_id: Option<String>,
    /// Sources at most, 1 to 100.
    #[serde(default = "top_k_default")]
    #[schema(minimum = 1, maximum = 100)]
    pub top_k: u32,
    /// Only what passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterBody>,
    /// Where to look: `default` where none is named, `*` for all of the caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::CollectionRef>)]
    pub collection: Option<String>,
    /// A backend of the config; its default one where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// A model of the backend, where it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<QueryOptions>,
    /// BCP 47, of the answer; the question's own where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::LanguageTag>)]
    pub language: Option<String>,
}

impl QueryBody {
    /// A question with all defaults.
    pub fn new(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            session_id: None,
            conversation_id: None,
            top_k: TOP_K_DEFAULT,
            filter: None,
            collection: None,
            backend: None,
            model: None,
            options: None,
            language: None,
        }
    }
}

/// How to generate; what is left out is the backend's choice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueryOptions {
    /// Sampling temperature, 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f32>,
    /// Nucleus sampling, above 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub top_p: Option<f32>,
    /// Tokens of the answer at most, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4294967295_u32)]
    pub max_tokens: Option<u32>,
    /// For repeatable answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Texts that end the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub stop: Vec<String>,
    /// Anything that the backend knows beyond these.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub extra: JsonMap,
}

/// A source of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// The answer cites it as `[n]`.
    pub citation: u32,
    /// The chunk.
    #[serde(flatten)]
    pub hit: Hit,
}

/// Numbers passages as answers cite them: from 1.
pub fn sources(passages: Vec<types::Passage>) -> Vec<Source> {
    (1..).zip(passages).map(|(citation, passage)| Source { citation, hit: passage.into() }).collect()
}

/// A source as people read it, `[1] report.pdf, p. 3`, of the JSON of an answer or of a kept message.
pub fn source_line(source: &serde_json::Value) -> String {
    let page = source["page_number"].as_u64().map(|page| format!(", p. {page}")).unwrap_or_default();
    format!("[{}] {}{page}", source["citation"], source["filename"].as_str().unwrap_or("?"))
}

/// Tokens that an answer used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// In the prompt.
    pub prompt_tokens: u32,
    /// In the answer.
    pub completion_tokens: u32,
    /// Both.
    pub total_tokens: u32,
}

impl From<types::Usage> for Usage {
    fn from(usage: types::Usage) -> Self {
        let types::Usage { prompt_tokens, completion_tokens } = usage;
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        Self { prompt_tokens, completion_tokens, total_tokens }
    }
}

/// An answer with its sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueryAnswer {
    /// Of this question.
    #[schema(format = "uuid")]
    pub query_id: String,
    /// The answer; `[n]` cites source `n`.
    pub answer: String,
    /// What it rests on.
    pub sources: Vec<Source>,
    /// Numbers of the sources that the answer names.
    pub citations: Vec<u32>,
    /// Numbers that the model named without a source: they were taken out of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invented_citations: Vec<u32>,
    /// What was searched for, where a follow-up question does not stand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewritten_query: Option<String>,
    /// Whether the sources hardly support an answer, by their scores.
    pub weak_evidence: bool,
    /// Give it with the next question to go on.
    #[schema(format = "uuid")]
    pub conversation_id: String,
    /// The assistant's message.
    #[schema(format = "uuid")]
    pub message_id: String,
    /// The backend that answered.
    pub backend: String,
    /// Its model.
    pub model: String,
    /// Tokens.
    pub usage: Usage,
    /// Milliseconds by stage.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub timings: Timings,
    /// Whether passages were left out because the model's window was too small.
    pub truncated: bool,
    /// `stop`, `length`, `cancelled`, `filtered`, or `abstained` where the evidence was too weak.
    pub finish_reason: String,
}

/// What is known before the first word of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueryBegin {
    /// Of this question.
    #[schema(format = "uuid")]
    pub query_id: String,
    /// Give it with the next question to go on.
    #[schema(format = "uuid")]
    pub conversation_id: String,
    /// What the answer will rest on.
    pub sources: Vec<Source>,
    /// What was searched for, where a follow-up question does not stand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewritten_query: Option<String>,
    /// Whether the sources hardly support an answer, by their scores.
    pub weak_evidence: bool,
    /// The backend that answers.
    pub backend: String,
    /// Its model.
    pub model: String,
}

/// A line of a streamed answer. Every one carries `type` and `chunk`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum QueryEvent {
    /// The first line.
    Sources {
        /// Always empty.
        chunk: String,
        /// What is known already.
        #[serde(flatten)]
        begin: QueryBegin,
    },
    /// A piece of the answer.
    Chunk {
        /// The text that follows what came before.
        chunk: String,
    },
    /// The last line of a finished answer.
    Done {
        /// Always empty.
        chunk: String,
        /// All of it again.
        #[serde(flatten)]
        answer: Box<QueryAnswer>,
    },
    /// The last line of a failed answer.
    Error {
        /// Always empty.
        chunk: String,
        /// Stable, as in problems.
        code: String,
        /// For people; says what to do.
        detail: String,
    },
}

impl QueryEvent {
    /// Its `type`.
    pub fn name(&self) -> &'static str {
        match self {
            QueryEvent::Sources { .. } => "sources",
            QueryEvent::Chunk { .. } => "chunk",
            QueryEvent::Done { .. } => "done",
            QueryEvent::Error { .. } => "error",
        }
    }
}

/// A message of an answer on a WebSocket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SocketEvent {
    /// The first message.
    Sources {
        /// What is known already.
        #[serde(flatten)]
        begin: QueryBegin,
    },
    /// A piece of the answer.
    Chunk {
        /// The text that follows what came before.
        content: String,
    },
    /// The last message of a finished answer.
    Done {
        /// All of it again.
        #[serde(flatten)]
        answer: Box<QueryAnswer>,
    },
    /// The last message of a failed answer, or what is wrong with the client's message.
    Error {
        /// Stable, as in problems.
        code: String,
        /// For people; says what to do.
        detail: String,
    },
    /// The last message of an answer that the client stopped.
    Cancelled {
        /// Of the question; null if there was none, or nothing was known of it yet.
        query_id: Option<String>,
    },
}

impl From<QueryEvent> for SocketEvent {
    fn from(event: QueryEvent) -> Self {
        match event {
            QueryEvent::Sources { begin, .. } => Self::Sources { begin },
            QueryEvent::Chunk { chunk } => Self::Chunk { content: chunk },
            QueryEvent::Done { answer, .. } => Self::Done { answer },
            QueryEvent::Error { code, detail, .. } => Self::Error { code, detail },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_type_and_chunk_and_reads_back() {
        let begin = QueryBegin {
            rewritten_query: None,
            weak_evidence: false,
            query_id: "q".into(),
            conversation_id: "c".into(),
            sources: vec![],
            backend: "b".into(),
            model: "m".into(),
        };
        let events = [
            QueryEvent::Sources { chunk: String::new(), begin },
            QueryEvent::Chunk { chunk: "x".into() },
            QueryEvent::Error { chunk: String::new(), code: "internal".into(), detail: "d".into() },
        ];
        for event in events {
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json["type"], event.name());
            assert!(json["chunk"].is_string());
            assert_eq!(serde_json::from_value::<QueryEvent>(json).unwrap(), event);
        }
    }
}
