//! From a question to a cited answer: retrieve, rerank, fit, prompt, generate, cite, persist.

mod ask;
mod backends;
mod cite;
mod condense;
mod diversity;
mod evidence;
mod fold;
mod fusion;
mod prompt;
mod retrieve;
mod slots;
mod templates;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::config::{AnalyticsConfig, BackendsConfig, SearchConfig};
use crate::plugins::{Cancel, Embedder, Embedders, EnrichDocument, GenerateOptions, Plugins, Purpose};
use crate::search::Search;
use crate::store::{Slice, Store};
use crate::types::*;

use backends::Backends;
use slots::{Haste, Slots};
use templates::Use;
use usage::{Note, UsageLog};

pub use slots::Slot;
pub use templates::{PromptProblems, Prompts, SHIPPED};
pub use usage::{Day, Figures, Latency};

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
    #[error("a prompt can't be made: {0}")]
    Prompt(String),
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
    /// Whether words may be misspelt.
    pub typo_tolerance: bool,
    /// Whether to mark the words of the query in the passages.
    pub highlight: bool,
    /// `None`: as configured.
    pub fusion: Option<FusionMethod>,
    /// Weight of the vector side, 0 to 1; `None`: as configured, else what the embedder declares.
    pub alpha: Option<f32>,
    /// Whether near-duplicates are folded; `None`: as configured.
    pub fold: Option<bool>,
    /// 0, the pure ranking, to 1.
    pub diversity: f32,
}

impl SearchRequest {
    /// A request with everything as configured.
    pub fn new(query: impl Into<String>, top_k: usize, scope: Scope) -> Self {
        Self {
            query: query.into(),
            top_k,
            mode: SearchMode::default(),
            filter: None,
            scope,
            rerank: None,
            fusion: None,
            alpha: None,
            fold: None,
            diversity: 0.0,
            typo_tolerance: false,
            highlight: false,
        }
    }
}

/// Milliseconds a stage took, by its name: `embed, keyword, vector, filter, fetch, rerank, generate, total`.
pub type Timings = BTreeMap<&'static str, f64>;

/// What a search found.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct SearchResult {
    /// Best first; with diversity, in its order.
    pub passages: Vec<Passage>,
    pub timings: Timings,
    pub explanation: Explanation,
}

/// How the results of a search came about.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Explanation {
    /// As asked for or configured; a collection may have had another.
    pub fusion: Option<Fusion>,
    /// Of the question, ISO 639-1, as far as it can be told.
    pub language: Option<&'static str>,
    /// The reranker that was used.
    pub reranker: Option<String>,
    pub folds: bool,
    /// In the order they were searched.
    pub collections: Vec<Searched>,
}

/// How one collection was searched.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Searched {
    /// What the caller calls it.
    pub collection: String,
    pub fusion: Fusion,
    /// Results of each side, at most.
    pub candidates: usize,
    pub vector_path: VectorPath,
    /// Chunks that pass the filter; `None` without one.
    pub filter_matches: Option<u64>,
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
    pub thread: Thread,
    /// Whether to answer from documents; else the model gets the messages as they are.
    pub retrieve: bool,
    pub backend: Option<String>,
    pub model: Option<String>,
    /// BCP 47; `None`: the question's own.
    pub language: Option<String>,
    pub options: GenerateOptions,
}

/// What came before a question.
#[derive(Clone, Debug)]
pub enum Thread {
    /// Nothing: it begins a conversation, which is kept.
    New,
    /// It goes on with a conversation, which must be the caller's.
    Conversation(ConversationId),
    /// The client sends along what was said; nothing is kept.
    Given(Vec<(MessageRole, String)>),
}

/// What an answer rests on; known before its first word.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Begin {
    pub query_id: QueryId,
    pub conversation_id: ConversationId,
    /// Citation `n` is `sources[n - 1]`.
    pub sources: Vec<Passage>,
    /// What was searched for, where it is not the question as it was asked.
    pub rewritten: Option<String>,
    /// Whether the sources hardly support an answer, by their scores.
    pub weak_evidence: bool,
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
    /// Sources that the answer names, and numbers that were taken out of it since no source has them.
    pub cited: Vec<u32>,
    pub invented: Vec<u32>,
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
    /// `generator`, `embedder` or `reranker`.
    pub role: Role,
    /// Name in the config; that of the role for embedder and reranker.
    pub name: String,
    pub plugin: String,
    pub model: Option<String>,
    /// What requests may choose from.
    pub models: Vec<String>,
    pub is_default: bool,
    /// Why it can't be used.
    pub problem: Option<String>,
}

/// How to search and answer.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Settings {
    pub backends: BackendsConfig,
    pub prompts: Prompts,
    pub search: SearchConfig,
    pub analytics: AnalyticsConfig,
    /// Whether texts are embedded by a server, which is waited for.
    pub embeds_elsewhere: bool,
}

/// The answering service. Cheap to clone.
#[derive(Clone)]
pub struct Answers(Arc<Core>);

struct Core {
    store: Store,
    search: Search,
    plugins: Plugins,
    /// That of new documents.
    embedder: Arc<dyn Embedder>,
    embedders: Embedders,
    backends: ArcSwap<Backends>,
    prompts: ArcSwap<Prompts>,
    embeds_elsewhere: bool,
    config: SearchConfig,
    usage: UsageLog,
    slots: Slots,
}

/// Events that wait for a slow client before the generation waits, too.
const EVENTS_WAITING: usize = 64;

impl Answers {
    /// Loads the backends that the config names; one that can't be loaded is reported by [`Self::models`] and by
    /// the questions that ask for it.
    pub fn start(
        store: Store,
        search: Search,
        plugins: Plugins,
        embedders: Embedders,
        settings: Settings,
    ) -> Self {
        let Settings { backends, prompts, search: config, analytics, embeds_elsewhere } = settings;
        let backends = ArcSwap::new(Backends::load(&plugins, &backends));
        let prompts = ArcSwap::from_pointee(prompts);
        let embedder = embedders.main().clone();
        let usage = UsageLog::start(store.clone(), analytics);
        let slots = Slots::new();
        Self(Arc::new(Core {
            store,
            search,
            plugins,
            embedder,
            embedders,
            embeds_elsewhere,
            backends,
            prompts,
            config,
            usage,
            slots,
        }))
    }

    /// Waits for a slot to search for this user, before a thread is taken for it.
    pub async fn slot(&self, user: &UserId) -> Slot {
        self.0.slots.wait(user, Haste::Search).await
    }

    /// As [`Self::slot`], for a thread. Blocks.
    pub fn slot_blocking(&self, user: &UserId) -> Slot {
        self.0.slots.wait_blocking(user, Haste::Search)
    }

    /// Searches. Blocks.
    ///
    /// # Errors
    /// An unknown collection; those of embedder (vector mode only), reranker, store and index.
    pub fn search(&self, caller: &Caller, request: &SearchRequest, slot: &mut Slot) -> Result<SearchResult> {
        let mut note = Note::new(caller, QueryKind::Search, request);
        let result = self.0.search(caller, request, slot);
        crate::telemetry::metrics().query("search", result.is_ok());
        if let Ok(found) = &result {
            note.found(&found.passages);
            note.ends(QueryOutcome::Answered);
        }
        self.0.usage.add(note);
        result
    }

    /// What was asked within a time, `from` included and `to` not, by a user or by everybody. Blocks.
    ///
    /// # Errors
    /// Those of the store.
    pub fn figures(&self, user: Option<&UserId>, within: (TimestampMs, TimestampMs)) -> Result<Figures> {
        self.0.usage.flush()?;
        let mut adder = usage::Adder::default();
        self.0.store.each_query(user, within, &mut |query| adder.add(query))?;
        Ok(adder.figures())
    }

    /// What was asked by a user or by everybody, newest first, behind `after`. Blocks.
    ///
    /// # Errors
    /// Those of the store.
    pub fn logged(
        &self,
        user: Option<&UserId>,
        after: Option<QueryId>,
        limit: usize,
    ) -> Result<Slice<LoggedQuery>> {
        self.0.usage.flush()?;
        Ok(self.0.store.queries(user, after, limit)?)
    }

    /// Writes down what was asked. Blocks.
    pub fn shutdown(&self) {
        self.0.usage.stop();
    }

    /// Documents like this one, of its own collection. Blocks.
    ///
    /// # Errors
    /// `NotFound` for a document that is not the caller's; those of store and index.
    pub fn similar(
        &self,
        caller: &Caller,
        document: DocumentId,
        top_k: usize,
    ) -> Result<Vec<SimilarDocument>> {
        self.0.similar(caller, document, top_k)
    }

    /// Answers; events arrive as they happen. Dropping the receiver ends the generation; the turn is persisted
    /// either way. Must be called within a tokio runtime; returns at once.
    pub fn ask(&self, caller: Caller, question: Question) -> mpsc::Receiver<AnswerEvent> {
        let (sender, receiver) = mpsc::channel(EVENTS_WAITING);
        let core = self.0.clone();
        let span = tracing::Span::current();
        let asked = span.clone();
        let ask = async move {
            let slot = core.slots.wait(&caller.user, Haste::Answer).await;
            // Whoever left while waiting asks nothing any more.
            if !sender.is_closed() {
                let ask = move || asked.in_scope(|| core.ask(&caller, question, slot, &sender));
                tokio::task::spawn_blocking(ask);
            }
        };
        tokio::spawn(ask.instrument(span));
        receiver
    }

    /// A prompt with the passages for this query. Blocks.
    ///
    /// # Errors
    /// As for [`Self::search`].
    pub fn enhance(
        &self,
        caller: &Caller,
        request: &SearchRequest,
        slot: &mut Slot,
    ) -> Result<EnhancedPrompt> {
        let sources = self.0.search(caller, request, slot)?.passages;
        let material = prompt::Material {
            language: &ask::answer_language(None, &request.query, &sources),
            question: &request.query,
            passages: &sources,
            history: &[],
            weak: self.0.is_weak(&request.query, &sources, &Cancel::default()),
        };
        let prompt = material.render(&self.0.prompts.load(), Use::Enrich)?;
        let context = prompt::fenced(&sources);
        let total_tokens = self.0.embedder.count_tokens(&[&prompt])?.into_iter().sum();
        Ok(EnhancedPrompt { prompt, context, sources, total_tokens })
    }

    /// The enrichers' annotations of a text, `<plugin> -> {key: value}`. `None` runs the default ones. Blocks.
    ///
    /// # Errors
    /// An unknown enricher; a failing one.
    pub fn annotate(&self, text: &str, enrichers: Option<&[String]>) -> Result<JsonMap> {
        let names = enrichers.map_or_else(|| self.0.plugins.default_enrichers(), <[String]>::to_vec);
        let document =
            EnrichDocument { file_type: "txt".into(), text: text.to_owned(), ..Default::default() };
        let mut found = JsonMap::new();
        for name in names {
            let annotations = self.0.plugins.enricher(&name)?.enrich(&document, &[])?;
            found.insert(name, annotations.document.into());
        }
        Ok(found)
    }

    /// Vectors of texts as passages, row-major, with model name and dimension. Blocks.
    ///
    /// # Errors
    /// Those of the embedder.
    pub fn embed(&self, texts: &[&str]) -> Result<(Vec<f32>, String, usize)> {
        let info = self.0.embedder.info();
        let vectors = self.0.embedder.embed(texts, Purpose::Passage)?;
        Ok((vectors, info.model.clone(), info.dimension))
    }

    /// Uses other backends from now on; questions under way end on theirs. New ones were tried before this returns.
    pub fn use_backends(&self, backends: &BackendsConfig) {
        let next = self.0.backends.load().followed_by(&self.0.plugins, backends);
        self.0.backends.store(next);
    }

    /// Uses other prompts from now on.
    pub fn use_prompts(&self, prompts: Prompts) {
        self.0.prompts.store(Arc::new(prompts));
    }

    /// How well each text answers a query, 0 to 1, in order, by the configured reranker, else by the shipped one. With the
    /// reranker's name. Blocks.
    ///
    /// # Errors
    /// Those of the reranker.
    pub fn rerank(&self, query: &str, texts: &[&str]) -> Result<(Vec<f32>, String)> {
        let reranker = self.0.configured_reranker();
        let scores = self.0.plugins.reranker(&reranker.plugin, &reranker.settings)?.rerank(query, texts)?;
        Ok((scores, reranker.plugin))
    }

    /// Every backend and the embedder.
    pub fn models(&self) -> Vec<ModelStatus> {
        let mut models = self.0.backends.load().status();
        models.push(ModelStatus {
            role: Role::Embedder,
            name: "embedder".into(),
            plugin: self.0.embedder.id().name,
            model: Some(self.0.embedder.info().model),
            models: Vec::new(),
            is_default: true,
            problem: None,
        });
        models.extend(self.0.reranker_status());
        models
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    pub fn chunk(at: usize) -> ChunkId {
        ChunkId { document: DocumentId(Uuid::from_u128(1 + at as u128)), index: 0 }
    }

    pub fn passage(at: usize, text: &str) -> Passage {
        let document = Document {
            foreign: false,
            path: None,
            id: chunk(at).document,
            collection: CollectionKey { owner: UserId::anonymous(), name: CollectionName::default() },
            filename: format!("{at}.txt"),
            file_type: "txt".into(),
            file_size: 1,
            hash: ContentHash([0; 32]),
            tags: Vec::new(),
            metadata: JsonMap::new(),
            upload_time: 0,
            status: Stage::Ready,
            title: None,
            chunk_count: 1,
            warnings: Vec::new(),
            error: None,
            provenance: Provenance::default(),
        };
        Passage {
            chunk: chunk(at),
            document: Arc::new(document),
            text: text.into(),
            chars: 0..text.chars().count(),
            page: None,
            heading_path: Vec::new(),
            language: None,
            metadata: JsonMap::new(),
            score: 1.0,
            scores: Scores::default(),
            origin: Origin::default(),
            highlights: None,
        }
    }
}
