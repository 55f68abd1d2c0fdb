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

/// The name of a [`Fusion`], where its weight is left to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum FusionMethod {
    Convex,
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
    /// Fingerprint of the embedder that made it; vectors of another are not compared with it.
    pub embedder: Option<String>,
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

/// What one side gave to the score of a hit: `weight * points`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Share {
    /// Its place on that side, from 1; `None` where the side scored it only because the other one found it.
    pub rank: Option<usize>,
    /// Its normalised score, 0 to 1; the cosine itself where vectors alone were asked.
    pub points: f32,
    /// What the side counts, 0 to 1.
    pub weight: f32,
}

/// The shares of both sides, where they have scored the hit.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
#[allow(missing_docs)]
pub struct Shares {
    pub keyword: Option<Share>,
    pub vector: Option<Share>,
}

/// How the vectors of a collection were searched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum VectorPath {
    /// They were not asked, or there are none.
    #[default]
    None,
    /// Every one that the filter lets through was compared.
    Exact {
        /// How many these are.
        compared: u64,
    },
    /// Along a graph.
    Graph {
        /// Vectors that were compared on the way.
        compared: u64,
    },
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
    /// How these became one.
    pub shares: Shares,
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
    /// How it came to its place.
    pub origin: Origin,
}

/// How a passage came to its place.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Origin {
    /// The score of both sides together, before any reranker.
    pub fused: f32,
    /// What it came from.
    pub shares: Shares,
    /// Its place before diversity moved it, from 1; `None` where diversity did not.
    pub moved_from: Option<usize>,
    /// Chunks of nearly the same text that it stands for, best first.
    pub folded: Vec<ChunkId>,
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
    /// Number of its first chunk among all that the collection ever had: chunk `i` is row `first_row + i` of both
    /// indexes. Later versions have higher numbers; none is used twice.
    pub first_row: u32,
    /// Whether it is known to be its first version, so that no index has rows of another.
    pub is_first: bool,
    /// Row-major, `chunks.len() * dimension`, unit length; empty where the collection has no vectors.
    pub vectors: Vec<f32>,
}

/// A change of the vectors of a collection, in journal order.
#[derive(Clone, PartialEq, Debug)]
pub enum VectorChange {
    /// The document has these vectors, in place of any others.
    Put {
        /// Whose.
        document: super::DocumentId,
        /// See [`IndexDocument::first_row`].
        first_row: u32,
        /// Row-major.
        vectors: Vec<f32>,
    },
    /// The document is gone.
    Delete(super::DocumentId),
}

/// A change of a collection, in journal order.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// The document is new or replaces its former self.
    Put(IndexDocument),
    /// The document is gone.
    Delete(super::DocumentId),
}
