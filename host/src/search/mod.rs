//! Keyword search (tantivy), vector search (exact or by graph), filters, and the fusion of both. One directory a
//! collection.
//!
//! Invariants: everything here can be rebuilt from the store; a search sees one collection and no other;
//! nothing outside this module knows of tantivy or instant-distance.

pub mod bench;
mod best;
mod boundary;
mod collection;
pub mod eval;
mod examine;
mod filter;
mod fuse;
mod keyword;
mod rebuild;
mod seats;
mod vector;

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};

use self::collection::{Collection, remove};
pub use self::examine::{Examined, Side, examine, leftovers};
pub use self::keyword::Marker;
pub use self::rebuild::{Rebuild, forget_all};
use self::seats::Seats;
pub use self::vector::Limits;
use crate::types::*;
pub use filter::passes;

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
    #[error("the vectors are of another embedder than that of the query")]
    OtherEmbedder,
    #[error("the index in {path} is damaged: {detail}")]
    Damaged { path: PathBuf, detail: String },
    #[error("no space left on the device of the index directory")]
    Full,
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("index: {0}")]
    Index(String),
}

/// Turns an I/O error at a path into ours: `.map_err(at(path))`.
fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |source| match keyword::is_full(&source) {
        true => Error::Full,
        false => Error::Io { path: path.to_owned(), source },
    }
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
    /// Which way vector search went.
    pub vector_path: VectorPath,
    /// Chunks that pass the filter; `None` without one.
    pub filter_matches: Option<u64>,
}

impl Outcome {
    /// Microseconds of each stage.
    pub fn stages(&self) -> [(&'static str, u64); 3] {
        [("keyword", self.keyword_us), ("vector", self.vector_us), ("filter", self.filter_us)]
    }
}

/// The vectors of one embedder: those of two can't be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Names the embedder with its settings.
    pub fingerprint: String,
    /// Numbers in a row.
    pub dimension: usize,
}

impl Space {
    /// The directory of these vectors.
    fn directory(&self) -> String {
        let hash = blake3::hash(self.fingerprint.as_bytes()).to_hex();
        format!("vectors-{}-{}", &hash[..16], self.dimension)
    }
}

/// The journal entries up to which the indexes of a collection are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Cursors {
    pub keyword: u64,
    /// `None` while there are no vectors.
    pub vector: Option<u64>,
}

impl Cursors {
    /// Up to where both are.
    pub fn least(&self) -> u64 {
        self.vector.map_or(self.keyword, |vector| vector.min(self.keyword))
    }
}

/// A collection that was not changed for so long needs no writer.
const IDLE: Duration = Duration::from_secs(20);

/// All indexes below one directory. Cheap to clone.
#[derive(Clone)]
pub struct Search {
    /// Ended before the rest goes: whoever opens the directory next must not meet them.
    threads: Arc<Threads>,
    shared: Arc<Shared>,
}

struct Shared {
    directory: PathBuf,
    collections: RwLock<HashMap<CollectionId, Arc<Collection>>>,
    /// Held while a collection is opened or removed; searches of others go on.
    opening: Mutex<()>,
    limits: Option<Limits>,
    upkeep: Arc<Upkeep>,
    builds: Mutex<rebuild::Builds>,
    searches: Seats,
}

impl Search {
    /// Prepares the directory and removes what was built by halves; opens no collection yet.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::with_limits(dir, None)
    }

    /// As [`Self::open`], with other sizes at which segments of vectors are made.
    pub fn with_limits(dir: &Path, limits: Option<Limits>) -> Result<Self> {
        // The words of documents are nobody else's business.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
        let shared = Arc::new(Shared {
            directory: dir.to_path_buf(),
            collections: RwLock::default(),
            opening: Mutex::new(()),
            limits,
            upkeep: Arc::default(),
            builds: Mutex::new(rebuild::find_builds(dir)?),
            searches: Seats::new(),
        });
        let threads = Threads { upkeep: shared.upkeep.clone(), running: Mutex::default() };
        keep_up(&shared, &threads)?;
        Ok(Self { threads: Arc::new(threads), shared })
    }

    /// Opens a collection and tells up to which journal entries its indexes are complete. A damaged index is removed, and
    /// its cursor is 0; so are vectors of another embedder.
    pub fn open_collection(&self, id: CollectionId, space: Option<&Space>) -> Result<Cursors> {
        Ok(self.get_or_open(id, space)?.cursors())
    }

    /// Opens a collection that will get vectors of an embedder.
    pub fn ensure_open(&self, id: CollectionId, space: &Space) -> Result<()> {
        self.get_or_open(id, Some(space)).map(drop)
    }

    /// As [`Self::apply`], for vectors of documents that the keyword index has already.
    pub fn apply_vectors(&self, id: CollectionId, changes: &[VectorChange], seq: u64) -> Result<()> {
        self.changed(self.get_or_open(id, None)?, |collection| collection.apply_vectors(changes, seq))
    }

    /// Applies changes up to journal entry `seq`; on return searches see them. All of them or, on an error, none.
    /// Changes of a collection must come in the order of the journal. A collection that is not open is opened.
    pub fn apply(&self, id: CollectionId, changes: &[Change], seq: u64) -> Result<()> {
        self.changed(self.get_or_open(id, None)?, |collection| collection.apply(changes, seq))
    }

    fn changed(
        &self,
        collection: Arc<Collection>,
        change: impl FnOnce(&Collection) -> Result<()>,
    ) -> Result<()> {
        change(&collection)?;
        if collection.is_due() {
            self.shared.upkeep.wake();
        }
        Ok(())
    }

    /// Puts each collection's indexes into as few files as can be and gives space back. Blocks; searches go on.
    pub fn optimize(&self) -> Result<()> {
        let collections = self.shared.all();
        collections.iter().try_for_each(|collection| collection.optimize(&self.shared.upkeep.stopped))
    }

    /// Does what is due in the background at once. Blocks.
    pub fn settle(&self) -> Result<()> {
        let collections = self.shared.all();
        let stopped = &self.shared.upkeep.stopped;
        collections.iter().try_for_each(|collection| {
            collection.seal()?;
            collection.rewrite(stopped)
        })
    }

    /// Ends the work in the background and puts on disk what the next start would have to replay. Blocks.
    pub fn close(&self) {
        self.threads.end();
        for collection in self.shared.all() {
            if let Err(error) = collection.flush() {
                tracing::warn!(%error, "vectors stay to be replayed at the next start");
            }
        }
    }

    /// Searches one collection. An unknown collection has no hits.
    pub fn search(&self, id: CollectionId, query: &SearchQuery) -> Result<Outcome> {
        let Some(collection) = self.get(id) else { return Ok(Outcome::default()) };
        let seat = self.shared.searches.enter();
        collection.search(query, seat.is_alone)
    }

    /// Whether many searches are under way these moments: what can wait a little should.
    pub fn is_crowded(&self) -> bool {
        self.shared.searches.is_crowded()
    }

    /// Marks the words of a query in the texts of its hits. For an unknown collection it marks nothing.
    pub fn marker(&self, id: CollectionId, query: &SearchQuery) -> Result<Marker> {
        self.get(id).map_or_else(|| Ok(Marker::default()), |collection| collection.marker(query))
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

    /// How many chunks of a collection were analysed in each language (ISO 639-1; empty: in none).
    pub fn languages(&self, id: CollectionId) -> Vec<(&'static str, u64)> {
        self.get(id).map_or_else(Vec::new, |collection| collection.languages())
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

    fn get_or_open(&self, id: CollectionId, space: Option<&Space>) -> Result<Arc<Collection>> {
        if let Some(collection) = self.get(id) {
            space.map_or(Ok(()), |space| collection.ensure_space(space))?;
            return Ok(collection);
        }
        let _opening = self.shared.opening.lock();
        if let Some(collection) = self.get(id) {
            return Ok(collection);
        }
        let collection = Arc::new(Collection::open(&self.shared.path_of(id), space, self.shared.limits)?);
        self.shared.collections.write().insert(id, collection.clone());
        Ok(collection)
    }
}

impl Shared {
    fn path_of(&self, id: CollectionId) -> PathBuf {
        rebuild::path_of(&self.directory, id, self.builds.lock().get(&id).copied().unwrap_or(0))
    }

    fn all(&self) -> Vec<Arc<Collection>> {
        self.collections.read().values().cloned().collect()
    }
}

/// The threads behind the scenes. They hold no handle of this.
struct Threads {
    upkeep: Arc<Upkeep>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    fn end(&self) {
        self.upkeep.stop();
        for thread in self.running.lock().drain(..) {
            // A panic there was logged; what matters here is that it is over.
            let _ = thread.join();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end();
    }
}

/// Wakes and ends the threads behind the scenes.
#[derive(Default)]
struct Upkeep {
    stopped: AtomicBool,
    /// Counts wakings, so that none is missed.
    wakings: Mutex<u64>,
    woken: Condvar,
}

impl Upkeep {
    fn wake(&self) {
        *self.wakings.lock() += 1;
        self.woken.notify_all();
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn wait(&self, seen: &mut u64, most: Duration) {
        let mut wakings = self.wakings.lock();
        if *wakings == *seen {
            self.woken.wait_for(&mut wakings, most);
        }
        *seen = *wakings;
    }
}

/// Two threads, so that a graph that takes minutes keeps no rows in memory meanwhile: one seals and lets writers of idle
/// collections go, one joins segments. They end with the last handle.
fn keep_up(shared: &Arc<Shared>, threads: &Threads) -> Result<()> {
    let seal: Work = |collection, _| {
        collection.seal()?;
        collection.rest(IDLE)
    };
    let rewrite: Work = |collection, stopped| collection.rewrite(stopped);
    // The second gets what searches and uploads leave over; threads that build graphs inherit it.
    for (name, niceness, work) in [("search-seal", 0, seal), ("search-rewrite", 19, rewrite)] {
        threads.running.lock().push(in_background(shared, name, niceness, work)?);
    }
    Ok(())
}

type Work = fn(&Collection, &AtomicBool) -> Result<()>;

fn in_background(
    shared: &Arc<Shared>,
    name: &str,
    niceness: i32,
    work: Work,
) -> std::io::Result<JoinHandle<()>> {
    let (upkeep, shared) = (shared.upkeep.clone(), Arc::downgrade(shared));
    let body = move || {
        // If it is refused, the work competes with searches: slower, not wrong.
        let _ = rustix::process::nice(niceness);
        let mut seen = 0;
        while !upkeep.stopped.load(Ordering::Relaxed) {
            let collections = shared.upgrade().map(|shared| shared.all());
            for collection in collections.into_iter().flatten() {
                if let Err(error) = work(&collection, &upkeep.stopped) {
                    tracing::warn!(%error, "the upkeep of an index failed; it will be tried again");
                }
            }
            upkeep.wait(&mut seen, IDLE / 2);
        }
    };
    std::thread::Builder::new().name(name.into()).spawn(body)
}

#[cfg(test)]
mod tests;
