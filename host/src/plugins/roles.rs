//! The five roles. Calls block: run them off the async threads.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::types::{Chunk, FinishReason, JsonMap, MessageRole, Parsed, PluginError, PluginId, Usage};

/// The bytes that a parser reads.
#[derive(Clone, Debug)]
pub enum Source {
    /// In memory.
    Bytes(Bytes),
    /// On disk, with its size.
    File(Arc<File>, u64),
}

impl Source {
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::File(_, size) => *size,
        }
    }

    /// At most `len` bytes from `offset`; shorter only at the end, empty beyond it.
    pub fn read(&self, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
        let len = len.min(self.size().saturating_sub(offset) as usize);
        match self {
            Source::Bytes(bytes) if len > 0 => {
                let offset = offset as usize;
                Ok(bytes[offset..offset + len].to_vec())
            }
            Source::Bytes(_) => Ok(Vec::new()),
            Source::File(file, _) => {
                let mut buffer = vec![0; len];
                file.read_exact_at(&mut buffer, offset)?;
                Ok(buffer)
            }
        }
    }
}

/// Set from outside to end a call early; plugins and workers look at it between steps.
#[derive(Clone, Default)]
pub struct Cancel {
    asked: Arc<AtomicBool>,
    gone: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

impl Cancel {
    /// Counts as asked once `gone` says so, such as when nobody listens any more.
    pub fn when(gone: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { gone: Some(Arc::new(gone)), ..Self::default() }
    }

    /// Asks the call to end.
    pub fn cancel(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether that was asked.
    pub fn is_cancelled(&self) -> bool {
        self.asked.load(Ordering::Relaxed) || self.gone.as_ref().is_some_and(|gone| gone())
    }
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

/// What a parser needs to know beside the bytes.
#[derive(Clone, Debug, Default)]
pub struct ParseOptions {
    /// Found from the content.
    pub file_type: String,
    /// Without directories.
    pub filename: String,
    /// Tried in order when the file is protected.
    pub passwords: Vec<String>,
    /// Ends the work between pages.
    pub cancel: Cancel,
}

/// Bytes to text with structure.
pub trait Parser: Send + Sync {
    /// Which build it is at this moment.
    fn id(&self) -> PluginId;
    /// Reads the whole file. The result is checked: NFC text, spans in range, on character boundaries and in order.
    fn parse(&self, source: &Source, options: &ParseOptions) -> Result<Parsed, PluginError>;
}

/// The document that an enricher looks at.
#[derive(Clone, Debug, Default)]
pub struct EnrichDocument {
    /// Without directories.
    pub filename: String,
    /// Canonical extension.
    pub file_type: String,
    /// From the file itself.
    pub title: Option<String>,
    /// Declared by the file.
    pub language: Option<String>,
    /// At most the first 64 KiB of the text, cut at a character boundary.
    pub text: String,
}

/// What an enricher found; `chunks` has one entry for each chunk given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    /// Of the document as a whole.
    pub document: JsonMap,
    /// Of each chunk, in order.
    pub chunks: Vec<JsonMap>,
}

/// Text to metadata.
pub trait Enricher: Send + Sync {
    /// Which build it is at this moment.
    fn id(&self) -> PluginId;
    /// Annotates a document and its chunks in one call.
    fn enrich(&self, document: &EnrichDocument, chunks: &[Chunk]) -> Result<Annotations, PluginError>;
}

/// What an embedder says of its model.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedderInfo {
    /// Name of the model.
    pub model: String,
    /// Length of a vector.
    pub dimension: usize,
    /// Tokens of the longest text that is embedded whole.
    pub window_tokens: u32,
    /// Texts in one call at most.
    pub batch_max: usize,
    /// Weight of the vector side in hybrid search, 0 to 1.
    pub fusion_weight: f32,
    /// Changes whenever the same text would get another vector.
    pub fingerprint: String,
}

/// What a text is embedded for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Purpose {
    Query,
    Passage,
}

/// Text to vectors.
pub trait Embedder: Send + Sync {
    /// Which build it is at this moment.
    fn id(&self) -> PluginId;
    /// What it says of its model.
    fn info(&self) -> EmbedderInfo;
    /// Row-major, `texts.len() * dimension`; rows have unit length or are all zero. Any number of texts: the
    /// implementation cuts batches.
    fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<f32>, PluginError>;
    /// Tokens of each text, by the model's own tokenizer.
    fn count_tokens(&self, texts: &[&str]) -> Result<Vec<u32>, PluginError>;
}

/// Query and passages to scores.
pub trait Reranker: Send + Sync {
    /// Which build it is at this moment.
    fn id(&self) -> PluginId;
    /// One score for each passage, 0 to 1.
    fn rerank(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>, PluginError>;
}

/// What a generator says of its model.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorInfo {
    /// Name of the model.
    pub model: String,
    /// Tokens of prompt and answer together.
    pub context_window: Option<u32>,
    /// Whether it can be trusted to rewrite a question.
    pub strong: bool,
    /// Whether it wants [`GeneratorPassage::sentences`].
    pub wants_sentences: bool,
    /// Names that a request may choose from.
    pub models: Vec<String>,
}

/// A sentence of a passage.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceEvidence {
    /// Bytes of the passage's text.
    pub span: std::ops::Range<usize>,
    /// Cosine similarity to the question; `None` where the embedder knows none of the words.
    pub similarity: Option<f32>,
}

/// A passage to answer from.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorPassage {
    /// The number by which the answer cites it.
    pub citation: u32,
    /// Its text.
    pub text: String,
    /// Of its document.
    pub title: String,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// ISO 639-1.
    pub language: Option<String>,
    /// Fused search score, 0 to 1 within this result.
    pub score: f32,
    /// Cosine similarity to the question.
    pub similarity: Option<f32>,
    /// Where the generator wants them.
    pub sentences: Vec<SentenceEvidence>,
}

/// Options of a generation; `None` leaves the choice to the backend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerateOptions {
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Nucleus sampling.
    pub top_p: Option<f32>,
    /// Tokens of the answer at most.
    pub max_tokens: Option<u32>,
    /// For repeatable answers.
    pub seed: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Anything a backend knows beyond these.
    pub extra: JsonMap,
}

/// What a generator is asked.
#[derive(Clone, Debug, Default)]
pub struct GenerateRequest {
    /// The backend's model, where it has several.
    pub model: Option<String>,
    /// The question, made to stand alone where it followed up on another.
    pub question: String,
    /// BCP 47, of the answer.
    pub language: String,
    /// The finished prompt, for a model that reads prompts.
    pub messages: Vec<(PromptRole, String)>,
    /// The same passages, apart.
    pub passages: Vec<GeneratorPassage>,
    /// Sampling and limits.
    pub options: GenerateOptions,
    /// Ends the wait for a server, also within a call.
    pub cancel: Cancel,
}

/// Who speaks in a prompt.
pub type PromptRole = MessageRole;

/// A piece of an answer in the making.
#[derive(Clone, Debug, PartialEq)]
pub enum GenerateEvent {
    /// Text of the answer.
    Text(String),
    /// Reasoning that is not part of it.
    Reasoning(String),
    /// Tokens used so far.
    Usage(Usage),
    /// The end.
    Finish(FinishReason),
}

/// An answer in the making; dropping it cancels. Each item is a batch of at least one event.
pub type Generation = Box<dyn Iterator<Item = Result<Vec<GenerateEvent>, PluginError>> + Send>;

/// Question and passages to an answer.
pub trait Generator: Send + Sync {
    /// Which build it is at this moment.
    fn id(&self) -> PluginId;
    /// What it says of its model.
    fn info(&self) -> GeneratorInfo;
    /// Asks anew what it says of its model; one with a server asks the server.
    fn probe(&self) -> Result<GeneratorInfo, PluginError> {
        Ok(self.info())
    }
    /// Begins an answer.
    fn generate(&self, request: &GenerateRequest) -> Result<Generation, PluginError>;
    /// Tokens of each text, by the model's own tokenizer.
    fn count_tokens(&self, texts: &[&str]) -> Result<Vec<u32>, PluginError>;
}
