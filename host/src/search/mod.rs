//! Keyword search (tantivy), vector search (exact), filters, and the fusion of both. One directory a collection.
//!
//! Invariants: everything here can be rebuilt from the store; a search sees one collection and no other;
//! nothing outside this module knows of tantivy or instant-distance.

mod allowed;
mod collection;
pub mod eval;
mod filter;
mod fuse;
mod keyword;
mod rebuild;
mod vector;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use self::collection::{Collection, remove};
pub use self::rebuild::Rebuild;
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

/// A collection that was not changed for so long needs no writer.
const IDLE: Duration = Duration::from_secs(20);

/// All indexes below one directory. Cheap to clone.
#[derive(Clone)]
pub struct Search {
    shared: Arc<Shared>,
}

struct Shared {
    directory: PathBuf,
    collections: RwLock<HashMap<CollectionId, Arc<Collection>>>,
    /// Held while a collection is opened or removed; searches of others go on.
    opening: Mutex<()>,
    builds: Mutex<rebuild::Builds>,
}

impl Search {
    /// Prepares the directory and removes what was built by halves; opens no collection yet.
    pub fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let shared = Arc::new(Shared {
            directory: dir.to_path_buf(),
            collections: RwLock::default(),
            opening: Mutex::new(()),
            builds: Mutex::new(rebuild::find_builds(dir)?),
        });
        rest_when_idle(Arc::downgrade(&shared))?;
        Ok(Self { shared })
    }

    /// Opens a collection and tells up to which journal entry its keyword index is complete; vectors are always
    /// loaded anew with [`Self::load_vectors`]. A damaged index is removed, and the answer is 0.
    pub fn open_collection(&self, id: CollectionId, dimension: Option<usize>) -> Result<u64> {
        Ok(self.get_or_open(id, dimension)?.cursor())
    }

    /// Takes in vectors of documents that the keyword index has already (boot).
    pub fn load_vectors(
        &self,
        id: CollectionId,
        dimension: usize,
        documents: &[(DocumentId, Vec<f32>)],
    ) -> Result<()> {
        self.get_or_open(id, Some(dimension))?.load_vectors(dimension, documents)
    }

    /// Applies changes up to journal entry `seq`; on return searches see them. All of them or, on an error, none.
    /// Changes of a collection must come in the order of the journal. A collection that is not open is opened.
    pub fn apply(&self, id: CollectionId, changes: &[Change], seq: u64) -> Result<()> {
        self.get_or_open(id, None)?.apply(changes, seq)
    }

    /// Searches one collection. An unknown collection has no hits.
    pub fn search(&self, id: CollectionId, query: &SearchQuery) -> Result<Outcome> {
        self.get(id).map_or_else(|| Ok(Outcome::default()), |collection| collection.search(query))
    }

    /// Documents whose mean vector is nearest, best first, with the cosine similarity; without vectors, by shared
    /// rare terms. The document itself is left out.
    pub fn similar(
        &self,
        id: CollectionId,
        document: DocumentId,
        limit: usize,
    ) -> Result<Vec<(DocumentId, f32)>> {
        self.get(id).map_or_else(|| Ok(Vec::new()), |collection| collection.similar(document, limit))
    }

    /// How many chunks the keyword and the vector index of a collection hold.
    pub fn counts(&self, id: CollectionId) -> (u64, u64) {
        self.get(id).map_or((0, 0), |collection| collection.counts())
    }

    /// Removes the indexes of a collection, to build them anew.
    pub fn drop_collection(&self, id: CollectionId) -> Result<()> {
        let _opening = self.shared.opening.lock();
        self.shared.collections.write().remove(&id);
        remove(&self.shared.path_of(id))?;
        self.shared.builds.lock().remove(&id);
        Ok(())
    }

    fn get(&self, id: CollectionId) -> Option<Arc<Collection>> {
        self.shared.collections.read().get(&id).cloned()
    }

    fn get_or_open(&self, id: CollectionId, dimension: Option<usize>) -> Result<Arc<Collection>> {
        if let Some(collection) = self.get(id) {
            return Ok(collection);
        }
        let _opening = self.shared.opening.lock();
        if let Some(collection) = self.get(id) {
            return Ok(collection);
        }
        let collection = Arc::new(Collection::open(&self.shared.path_of(id), dimension)?);
        self.shared.collections.write().insert(id, collection.clone());
        Ok(collection)
    }
}

impl Shared {
    fn path_of(&self, id: CollectionId) -> PathBuf {
        rebuild::path_of(&self.directory, id, self.builds.lock().get(&id).copied().unwrap_or(0))
    }
}

/// A thread that lets writers of idle collections go; it ends with the last handle.
fn rest_when_idle(shared: Weak<Shared>) -> Result<()> {
    let work = move || {
        loop {
            std::thread::sleep(IDLE / 2);
            let Some(shared) = shared.upgrade() else { return };
            let collections: Vec<_> = shared.collections.read().values().cloned().collect();
            for collection in collections {
                if let Err(error) = collection.rest(IDLE) {
                    tracing::warn!(%error, "an idle index can't rest");
                }
            }
        }
    };
    std::thread::Builder::new().name("search-rest".into()).spawn(work)?;
    Ok(())
}

#[cfg(test)]
mod tests;
