//! Keyword search (tantivy), vector search (exact), filters, and the fusion of both. One directory a collection.
//!
//! Invariants: everything here can be rebuilt from the store; a search sees one collection and no other;
//! nothing outside this module knows of tantivy or instant-distance.

use std::path::{Path, PathBuf};

use crate::types::*;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("the query can't be searched: {0}")]
    Query(String),
    #[error("the filter can't be applied: {0}")]
    Filter(String),
    #[error("vectors of {got} dimensions for a collection of {expected}")]
    Dimension { expected: usize, got: usize },
    #[error("the index in {path} is damaged: {detail}")]
    Damaged { path: PathBuf, detail: String },
    #[error("no space left on the device of the index directory")]
    Full,
    #[error("index: {0}")]
    Index(String),
}

/// Result of a search or an update.
pub type Result<T> = std::result::Result<T, Error>;

/// What a search found and how long each side took, in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Outcome {
    /// Best first.
    pub hits: Vec<Hit>,
    pub keyword_us: u64,
    pub vector_us: u64,
    pub filter_us: u64,
}

/// All indexes below one directory. Cheap to clone.
#[derive(Clone)]
pub struct Search;

impl Search {
    /// Prepares the directory; opens no collection yet.
    pub fn open(_dir: &Path) -> Result<Self> {
        todo!()
    }

    /// Opens a collection and tells up to which journal entry its keyword index is complete; vectors are always
    /// loaded anew with [`Self::load_vectors`]. A damaged index is moved away, and the answer is 0.
    pub fn open_collection(&self, _id: CollectionId, _dimension: Option<usize>) -> Result<u64> {
        todo!()
    }

    /// Takes in vectors of documents that the keyword index has already (boot).
    pub fn load_vectors(
        &self,
        _id: CollectionId,
        _dimension: usize,
        _documents: &[(DocumentId, Vec<f32>)],
    ) -> Result<()> {
        todo!()
    }

    /// Applies changes up to journal entry `seq`; on return searches see them.
    pub fn apply(&self, _id: CollectionId, _changes: &[Change], _seq: u64) -> Result<()> {
        todo!()
    }

    /// Searches one collection. An unknown collection has no hits.
    pub fn search(&self, _id: CollectionId, _query: &SearchQuery) -> Result<Outcome> {
        todo!()
    }

    /// Documents whose mean vector is nearest, best first, with the cosine similarity; without vectors, by shared
    /// rare terms. The document itself is left out.
    pub fn similar(
        &self,
        _id: CollectionId,
        _document: DocumentId,
        _limit: usize,
    ) -> Result<Vec<(DocumentId, f32)>> {
        todo!()
    }

    /// How many chunks the keyword and the vector index of a collection hold.
    pub fn counts(&self, _id: CollectionId) -> (u64, u64) {
        todo!()
    }

    /// Removes the indexes of a collection, to build them anew.
    pub fn drop_collection(&self, _id: CollectionId) -> Result<()> {
        todo!()
    }
}
