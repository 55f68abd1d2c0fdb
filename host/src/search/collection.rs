//! Both indexes of one collection. Searches read an immutable view and take no lock; one writer makes the next view.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::fuse::{Side, fuse};
use super::keyword::{KeywordIndex, Keywords, Marker};
use super::vector::{VectorWriter, Vectors};
use super::{Error, Outcome, Result};
use crate::types::*;

/// What searches of one moment see: both indexes in the same state.
struct View {
    keywords: Keywords,
    vectors: Vectors,
}

struct Writer {
    keywords: KeywordIndex,
    vectors: VectorWriter,
}

/// The indexes of a collection.
pub struct Collection {
    view: ArcSwap<View>,
    writer: Mutex<Writer>,
}

impl Collection {
    /// Opens the indexes below a directory; a damaged keyword index is removed and begun anew.
    pub fn open(directory: &Path, dimension: Option<usize>) -> Result<Self> {
        let keywords = open_or_renew(&directory.join("keyword"))?;
        let mut vectors = VectorWriter::default();
        if let Some(dimension) = dimension {
            vectors.expect_dimension(dimension)?;
        }
        let view = View { keywords: keywords.snapshot()?, vectors: vectors.snapshot() };
        Ok(Self { view: ArcSwap::from_pointee(view), writer: Mutex::new(Writer { keywords, vectors }) })
    }

    /// The journal entry up to which the keyword index is complete.
    pub fn cursor(&self) -> u64 {
        self.writer.lock().keywords.cursor()
    }

    /// Chunks in the keyword and in the vector index.
    pub fn counts(&self) -> (u64, u64) {
        let view = self.view.load();
        (view.keywords.len(), view.vectors.len())
    }

    /// Takes in vectors of documents whose text is indexed already.
    pub fn load_vectors(&self, dimension: usize, documents: &[(DocumentId, Vec<f32>)]) -> Result<()> {
        let mut writer = self.writer.lock();
        let uneven = documents.iter().find(|(_, vectors)| dimension == 0 || vectors.len() % dimension != 0);
        if let Some((_, vectors)) = uneven {
            return Err(Error::Dimension { expected: dimension, got: vectors.len() });
        }
        writer.vectors.expect_dimension(dimension)?;
        for (document, vectors) in documents {
            writer.vectors.put(*document, vectors);
        }
        self.publish(&writer)
    }

    /// Applies changes, all or none.
    pub fn apply(&self, changes: &[Change], seq: u64) -> Result<()> {
        let mut writer = self.writer.lock();
        let applied = writer.apply(changes, seq);
        if applied.is_err() {
            writer.vectors = VectorWriter::from(self.view.load().vectors.clone());
            return applied;
        }
        self.publish(&writer)
    }

    fn publish(&self, writer: &Writer) -> Result<()> {
        let view = View { keywords: writer.keywords.snapshot()?, vectors: writer.vectors.snapshot() };
        self.view.store(Arc::new(view));
        Ok(())
    }

    /// Lets go of what only changes need, if there were none for a while. Never waits for a change.
    pub fn rest(&self, idle: Duration) -> Result<()> {
        let Some(mut writer) = self.writer.try_lock() else { return Ok(()) };
        if writer.keywords.rest(idle)? {
            self.publish(&writer)?;
        }
        Ok(())
    }

    /// Searches both sides or one, as the query asks.
    pub fn search(&self, query: &SearchQuery) -> Result<Outcome> {
        let view = self.view.load_full();
        let (vector, keyword_asked) = match (query.mode, &query.vector) {
            (SearchMode::Keyword, _) | (SearchMode::Hybrid, None) => (None, true),
            (SearchMode::Hybrid, Some(vector)) => (Some(vector), true),
            (SearchMode::Vector, Some(vector)) => (Some(vector), false),
            (SearchMode::Vector, None) => {
                return Err(Error::Query("vector search needs an embedding of the query".into()));
            }
        };
        let both = keyword_asked && vector.is_some();
        let depth = if both { query.candidates.max(query.limit) } else { query.limit };

        let (rows, filter_us) =
            timed(|| query.filter.as_ref().map(|filter| view.keywords.matching(filter)).transpose())?;
        let (keyword, keyword_us) =
            timed(|| keyword_asked.then(|| view.keywords.search(query, rows.as_ref(), depth)).transpose())?;
        let (vector, vector_us) = timed(|| {
            let Some(vector) = vector else { return Ok(None) };
            let allowed = rows.as_ref().map(|rows| view.keywords.allowed(rows)).transpose()?;
            let mut found = view.vectors.search(vector, allowed.as_ref(), depth)?;
            if let (Some(keyword), Fusion::Convex { .. }) = (&keyword, query.fusion) {
                found.extend(cosines_of_others(&view.vectors, vector, &found, keyword)?);
            }
            Ok(Some(found))
        })?;
        let hits = fuse(keyword.as_deref(), vector.as_deref(), query.fusion, query.limit);
        Ok(Outcome { hits, keyword_us, vector_us, filter_us })
    }

    /// Marks the words of a query in the texts of its hits.
    pub fn marker(&self, query: &SearchQuery) -> Result<Marker> {
        self.view.load().keywords.marker(query)
    }

    /// Documents like this one, best first.
    pub fn similar(&self, document: DocumentId, limit: usize) -> Result<Vec<(DocumentId, f32)>> {
        let view = self.view.load_full();
        match view.vectors.similar(document, limit) {
            Some(found) => Ok(found),
            None => view.keywords.similar(document, limit),
        }
    }
}

impl Writer {
    fn apply(&mut self, changes: &[Change], seq: u64) -> Result<()> {
        for change in changes {
            if let Change::Put(document) = change {
                self.check(document)?;
            }
        }
        for change in changes {
            match change {
                Change::Put(document) => self.vectors.put(document.document.id, &document.vectors),
                Change::Delete(document) => self.vectors.delete(*document),
            }
        }
        self.keywords.apply(changes, seq)
    }

    /// Settles the dimension with the first vectors, and refuses others.
    fn check(&mut self, document: &IndexDocument) -> Result<()> {
        let (numbers, chunks) = (document.vectors.len(), document.chunks.len());
        if numbers == 0 {
            return Ok(());
        }
        let got = numbers / chunks.max(1);
        if got * chunks != numbers {
            let expected = self.vectors.snapshot().dimension().unwrap_or(got) * chunks;
            return Err(Error::Dimension { expected, got: numbers });
        }
        self.vectors.expect_dimension(got)
    }
}

/// The cosines of what only the keyword side found: unknown is not unlike.
fn cosines_of_others(
    vectors: &Vectors,
    vector: &[f32],
    found: &Side,
    keyword: &Side,
) -> Result<Vec<(ChunkId, f32)>> {
    let known: HashSet<ChunkId> = found.iter().map(|(chunk, _)| *chunk).collect();
    let others = keyword.iter().map(|(chunk, _)| *chunk).filter(|chunk| !known.contains(chunk));
    vectors.cosines(vector, &others.collect::<Vec<_>>())
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let start = Instant::now();
    let done = work()?;
    Ok((done, u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)))
}

/// The index is derived: whatever keeps it from being read back whole, a new one is as good after a replay.
fn open_or_renew(path: &Path) -> Result<KeywordIndex> {
    match KeywordIndex::open(path) {
        Err(Error::Full) => Err(Error::Full),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "keyword index is damaged: it is built anew");
            remove(path)?;
            KeywordIndex::open(path)
        }
        opened => opened,
    }
}

/// Removes a directory or file; it need not be there.
pub fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
