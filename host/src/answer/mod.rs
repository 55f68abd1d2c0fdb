//! From a question to a cited answer: retrieve, rerank, fit, prompt, generate, cite, persist.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::{BackendsConfig, SearchConfig};
use crate::plugins::{Embedder, GenerateOptions, Plugins};
use crate::search::Search;
use crate::store::Store;
use crate::types::*;

/// What can go wrong, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("there is no backend {0:?}; the config names: {1}")]
    UnknownBackend(String, String),
    #[error("there is no collection {0:?}")]
    UnknownCollection(String),
    #[error("not found")]
    NotFound,
    #[error(transparent)]
    Backend(#[from] PluginError),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error(transparent)]
    Search(#[from] crate::search::Error),
}

/// Result of the service.
pub type Result<T> = std::result::Result<T, Error>;

/// A checked search request.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct SearchRequest {
    pub query: String,
    pub top_k: usize,
    pub mode: SearchMode,
    pub filter: Option<Filter>,
    pub scope: Scope,
    /// `None`: if the config names a reranker.
    pub rerank: Option<bool>,
}

/// Milliseconds a stage took, by its name: `embed, keyword, vector, filter, fetch, rerank, generate, total`.
pub type Timings = BTreeMap<&'static str, f64>;

/// What a search found.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct SearchResult {
    /// Best first.
    pub passages: Vec<Passage>,
    pub timings: Timings,
}

/// A document like another.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct SimilarDocument {
    pub document: Arc<Document>,
    pub score: f32,
}

/// A checked question.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Question {
    pub search: SearchRequest,
    pub session: Option<SessionId>,
    /// Must exist and be the caller's; `None` begins a new one.
    pub conversation: Option<ConversationId>,
    pub backend: Option<String>,
    pub model: Option<String>,
    /// BCP 47; `None`: the question's own.
    pub language: Option<String>,
    pub options: GenerateOptions,
}

/// What an answer rests on; known before its first word.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Begin {
    pub query_id: QueryId,
    pub conversation_id: ConversationId,
    /// Citation `n` is `sources[n - 1]`.
    pub sources: Vec<Passage>,
    pub backend: String,
    pub model: String,
}

/// What is known at the end of an answer.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct End {
    /// The assistant's message.
    pub message_id: MessageId,
    pub answer: String,
    pub usage: Usage,
    pub finish: FinishReason,
    pub timings: Timings,
    /// Whether passages were left out because the model's window was too small.
    pub truncated: bool,
}

/// A piece of an answer. `Begin` comes first; `End` or `Failed` last.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum AnswerEvent {
    Begin(Box<Begin>),
    Text(String),
    End(Box<End>),
    Failed(Error),
}

/// A prompt for somebody else's model.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct EnhancedPrompt {
    pub prompt: String,
    /// The fenced passages alone.
    pub context: String,
    pub sources: Vec<Passage>,
    pub total_tokens: u32,
}

/// A backend or an embedder and whether it can be used.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct ModelStatus {
    /// `generator` or `embedder`.
    pub role: Role,
    /// Name in the config; `embedder` for the embedder.
    pub name: String,
    pub plugin: String,
    pub model: Option<String>,
    pub is_default: bool,
    /// Why it can't be used.
    pub problem: Option<String>,
}

/// The answering service. Cheap to clone.
#[derive(Clone)]
pub struct Answers;

impl Answers {
    /// Loads the backends that the config names; one that can't be loaded is reported by [`Self::models`] and by
    /// the questions that ask for it.
    pub fn start(
        _store: Store,
        _search: Search,
        _plugins: Plugins,
        _embedder: Arc<dyn Embedder>,
        _backends: BackendsConfig,
        _config: SearchConfig,
    ) -> Self {
        todo!()
    }

    /// Searches. Blocks.
    pub fn search(&self, _caller: &Caller, _request: &SearchRequest) -> Result<SearchResult> {
        todo!()
    }

    /// Documents like this one, of its own collection. Blocks.
    pub fn similar(
        &self,
        _caller: &Caller,
        _document: DocumentId,
        _top_k: usize,
    ) -> Result<Vec<SimilarDocument>> {
        todo!()
    }

    /// Answers; events arrive as they happen. Dropping the receiver ends the generation; the turn is persisted
    /// either way. Must be called within a tokio runtime; returns at once.
    pub fn ask(&self, _caller: Caller, _question: Question) -> mpsc::Receiver<AnswerEvent> {
        todo!()
    }

    /// A prompt with the passages for this query. Blocks.
    pub fn enhance(&self, _caller: &Caller, _request: &SearchRequest) -> Result<EnhancedPrompt> {
        todo!()
    }

    /// The enrichers' annotations of a text, `<plugin> -> {key: value}`. `None` runs the default ones. Blocks.
    pub fn annotate(&self, _text: &str, _enrichers: Option<&[String]>) -> Result<JsonMap> {
        todo!()
    }

    /// Vectors of texts as passages, row-major, with model name and dimension. Blocks.
    pub fn embed(&self, _texts: &[&str]) -> Result<(Vec<f32>, String, usize)> {
        todo!()
    }

    /// Every backend and the embedder.
    pub fn models(&self) -> Vec<ModelStatus> {
        todo!()
    }
}
