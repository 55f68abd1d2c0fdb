use super::{ChunkId, CollectionKey, Document, Filter, JsonMap};
use std::ops::Range;
use std::sync::Arc;

/// Which indexes a search asks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[allow(missing_docs)]
pub enum SearchMode {
    #[default]
    Hybrid,
    Keyword,
    Vector,
}

/// How keyword and vector results become one list.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fusion {
    /// `alpha * vector + (1 - alpha) * keyword` over min-max normalised scores.
    Convex {
        /// Weight of the vector side, 0 to 1.
        alpha: f32,
    },
    /// Reciprocal rank fusion (Cormack et al., 2009) with k = 60.
    Rrf,
}

/// A search of one collection.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// What the user typed, NFC.
    pub text: String,
    /// Whether the keyword side also looks for words that are spelled almost like these.
    pub typo_tolerance: bool,
    /// Its embedding; `None` makes a hybrid search a keyword search.
    pub vector: Option<Vec<f32>>,
    /// Which indexes to ask.
    pub mode: SearchMode,
    /// Only chunks that pass.
    pub filter: Option<Filter>,
    /// Results at most.
    pub limit: usize,
    /// Results of each side before fusion.
    pub candidates: usize,
    /// How to join the sides.
    pub fusion: Fusion,
}

/// The scores behind a result.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Scores {
    /// BM25, where the keyword side found the chunk.
    pub keyword: Option<f32>,
    /// Cosine similarity, where the vector side found the chunk.
    pub vector: Option<f32>,
    /// From the reranker.
    pub rerank: Option<f32>,
}

/// A found chunk, as the indexes know it.
#[derive(Clone, PartialEq, Debug)]
pub struct Hit {
    /// Which chunk.
    pub chunk: ChunkId,
    /// Fused, 0 to 1; only comparable within one result.
    pub score: f32,
    /// What it came from.
    pub scores: Scores,
}

/// A found chunk with its text and document: what the API shows and what answers are made from.
#[derive(Clone, Debug)]
pub struct Passage {
    /// Which chunk.
    pub chunk: ChunkId,
    /// Its document.
    pub document: Arc<Document>,
    /// Its text.
    pub text: String,
    /// Unicode code points of the document's text.
    pub chars: Range<usize>,
    /// Zero-based.
    pub page: Option<u32>,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// ISO 639-1.
    pub language: Option<String>,
    /// The chunk's own annotations.
    pub metadata: JsonMap,
    /// Final score of this result.
    pub score: f32,
    /// What it came from.
    pub scores: Scores,
    /// Words of the query in `text`, where asked for: Unicode code points, in order, without overlaps.
    pub highlights: Option<Vec<Range<usize>>>,
}

/// Where a request may look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// One collection.
    One(CollectionKey),
    /// All collections of the caller.
    All,
}

/// What an index needs to know of a document.
#[derive(Clone, PartialEq, Debug)]
pub struct IndexDocument {
    /// The document; its metadata, tags and type are what filters see.
    pub document: Arc<Document>,
    /// Its chunks in order.
    pub chunks: Vec<super::Chunk>,
    /// Row-major, `chunks.len() * dimension`, unit length; empty where the collection has no vectors.
    pub vectors: Vec<f32>,
}

/// A change of a collection, in journal order.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// The document is new or replaces its former self.
    Put(IndexDocument),
    /// The document is gone.
    Delete(super::DocumentId),
}
