//! Both indexes of one collection. Searches read an immutable view and take no lock; one writer makes the next view.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::boundary::boundary;
use super::fuse::{Fused, fuse};
use super::keyword::{KeywordHit, KeywordIndex, Keywords, Marker, Rows};
use super::vector::{Job, Limits, Scored, Trace, VectorWriter, Vectors, plan};
use super::{Cursors, Error, Outcome, Result, Space, at};
use crate::types::*;

/// What searches of one moment see: both indexes in the same state.
struct View {
    keywords: Keywords,
    vectors: Vectors,
}

struct Writer {
    keywords: KeywordIndex,
    /// `None` until there is a vector.
    vectors: Option<VectorWriter>,
}

/// How often a join of keyword segments, which takes milliseconds to minutes, is asked whether it is done.
const JOIN_POLL: Duration = Duration::from_millis(5);

/// The indexes of a collection.
pub struct Collection {
    directory: PathBuf,
    limits: Option<Limits>,
    view: ArcSwap<View>,
    writer: Mutex<Writer>,
    has_vectors: AtomicBool,
    /// Held while a segment of new vectors is written.
    sealing: Mutex<()>,
    /// Held while segments are written anew.
    rewriting: Mutex<()>,
    /// Held while somebody waits for the keyword index to be one segment.
    joining: Mutex<()>,
    /// Held from an exchange of segments to the list of them on disk.
    listing: Mutex<()>,
}

impl Collection {
    /// Opens the indexes below a directory; what is damaged is removed and begun anew.
    pub fn open(directory: &Path, space: Option<&Space>, limits: Option<Limits>) -> Result<Self> {
        let keywords = open_or_renew(&directory.join("keyword"), KeywordIndex::open)?;
        let vectors = space.map(|space| open_vectors(directory, space, limits)).transpose()?;
        let mut writer = Writer { keywords, vectors };
        let view = ArcSwap::from_pointee(writer.view()?);
        let directory = directory.to_path_buf();
        let (sealing, rewriting, joining, listing) = Default::default();
        let has_vectors = AtomicBool::new(space.is_some());
        Ok(Self {
            directory,
            limits,
            view,
            writer: Mutex::new(writer),
            has_vectors,
            sealing,
            rewriting,
            joining,
            listing,
        })
    }

    /// Opens the vectors of an embedder, unless there are vectors already.
    pub fn ensure_space(&self, space: &Space) -> Result<()> {
        if self.has_vectors.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut writer = self.writer.lock();
        if writer.vectors.is_none() {
            writer.vectors = Some(open_vectors(&self.directory, space, self.limits)?);
            self.publish(&mut writer)?;
        }
        self.has_vectors.store(true, Ordering::Release);
        Ok(())
    }

    /// The journal entries up to which the indexes are complete.
    pub fn cursors(&self) -> Cursors {
        let writer = self.writer.lock();
        Cursors {
            keyword: writer.keywords.cursor(),
            vector: writer.vectors.as_ref().map(VectorWriter::cursor),
        }
    }

    /// Chunks in the keyword and in the vector index.
    pub fn counts(&self) -> (u64, u64) {
        let view = self.view.load();
        (view.keywords.len(), view.vectors.len())
    }

    /// Chunks by the language they were analysed in.
    pub fn languages(&self) -> Vec<(&'static str, u64)> {
        self.view.load().keywords.languages()
    }

    /// Applies changes, all or none.
    pub fn apply(&self, changes: &[Change], seq: u64) -> Result<()> {
        self.change(|writer| {
            writer.apply_vectors(changes, seq, (&self.directory, self.limits))?;
            boundary("the vectors are in, the words are not");
            writer.keywords.apply(changes, seq)
        })
    }

    /// Applies changes to the vectors alone: the keyword index has them.
    pub fn apply_vectors(&self, changes: &[VectorChange], seq: u64) -> Result<()> {
        let rows = changes.iter().map(|change| match change {
            VectorChange::Put { document, first_row, vectors } => {
                (*document, Some((*first_row, vectors.as_slice())))
            }
            VectorChange::Delete(document) => (*document, None),
        });
        self.change(|writer| writer.change_vectors(rows, seq))
    }

    fn change(&self, work: impl FnOnce(&mut Writer) -> Result<()>) -> Result<()> {
        let mut writer = self.writer.lock();
        let cursor = writer.vectors.as_ref().map(VectorWriter::cursor);
        let done = work(&mut writer);
        if done.is_err() {
            let vectors = self.view.load().vectors.clone();
            if let Some(writer) = &mut writer.vectors {
                writer.restore(vectors, cursor.unwrap_or(0));
            }
            return done;
        }
        self.publish(&mut writer)
    }

    fn publish(&self, writer: &mut Writer) -> Result<()> {
        self.view.store(Arc::new(writer.view()?));
        Ok(())
    }

    /// Tidies up and lets go of what only changes need, if there were none for a while. Never waits for a change.
    pub fn rest(&self, idle: Duration) -> Result<()> {
        let Some(mut writer) = self.writer.try_lock() else { return Ok(()) };
        if writer.keywords.rest(idle)? {
            self.publish(&mut writer)?;
        }
        Ok(())
    }

    /// Whether there is work for [`Self::seal`] or [`Self::rewrite`].
    pub fn is_due(&self) -> bool {
        self.writer.lock().due(plan::next).is_some()
    }

    /// Writes vectors in memory to a segment, if they are enough.
    pub fn seal(&self) -> Result<()> {
        let _sealing = self.sealing.lock();
        let due =
            |segments: &_, fresh, limits| plan::next(segments, fresh, limits).filter(|job| *job == Job::Seal);
        while self.work_once(due, &AtomicBool::new(false))? {}
        Ok(())
    }

    /// Joins and rewrites segments as far as that is due.
    pub fn rewrite(&self, cancelled: &AtomicBool) -> Result<()> {
        let _rewriting = self.rewriting.lock();
        while self.work_once(|segments, _, limits| plan::next(segments, 0, limits), cancelled)? {}
        Ok(())
    }

    /// Puts each index into as few files as can be.
    pub fn optimize(&self, cancelled: &AtomicBool) -> Result<()> {
        self.flush()?;
        let rewriting = self.rewriting.lock();
        while self.work_once(|segments, _, limits| plan::whole(segments, limits), cancelled)? {}
        drop(rewriting);
        let _joining = self.joining.lock();
        let mut writer = self.writer.lock();
        if !writer.keywords.begin_join()? {
            return self.publish(&mut writer);
        }
        drop(writer);
        while !cancelled.load(Ordering::Relaxed) {
            let mut writer = self.writer.lock();
            if writer.keywords.end_join()? {
                return self.publish(&mut writer);
            }
            drop(writer);
            std::thread::sleep(JOIN_POLL);
        }
        Ok(())
    }

    /// Puts what is in memory on disk, so that the next start has nothing to replay.
    pub fn flush(&self) -> Result<()> {
        let _sealing = self.sealing.lock();
        let ahead = self.writer.lock().vectors.as_ref().is_some_and(VectorWriter::is_ahead);
        if ahead {
            self.work_once(|_, _, _| Some(Job::Seal), &AtomicBool::new(false))?;
        }
        Ok(())
    }

    /// Does a job; false if there was none, or it was called off. The caller holds the lock of its kind.
    fn work_once(
        &self,
        next: impl Fn(&[plan::Standing], u64, Limits) -> Option<Job>,
        cancelled: &AtomicBool,
    ) -> Result<bool> {
        let begun = {
            let mut writer = self.writer.lock();
            let job = writer.due(next);
            let Some((job, vectors)) = job.zip(writer.vectors.as_mut()) else { return Ok(false) };
            vectors.begin(job)
        };
        let Some(made) = begun.run(cancelled)? else { return Ok(false) };
        let _listing = self.listing.lock();
        let (manifest, directory) = {
            let mut writer = self.writer.lock();
            let Some(vectors) = writer.vectors.as_mut() else { return Ok(false) };
            vectors.exchange(&made);
            let listed = (vectors.manifest()?, vectors.directory().to_path_buf());
            self.publish(&mut writer)?;
            listed
        };
        boundary("searches see the new segment");
        manifest.write(&directory)?;
        made.remove_sources()?;
        Ok(true)
    }

    /// Searches both sides or one, as the query asks; both at once for somebody who is alone.
    pub fn search(&self, query: &SearchQuery, alone: bool) -> Result<Outcome> {
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
        let in_keywords =
            || timed(|| keyword_asked.then(|| view.keywords.search(query, rows.as_ref(), depth)).transpose());
        let in_vectors =
            || timed(|| vector.map(|vector| view.nearest(query, vector, rows.as_ref(), depth)).transpose());
        // One search at a time has all processors; several at once use them better side by side.
        let (keyword, vector) =
            if both && alone { at_once(in_keywords, in_vectors) } else { (in_keywords(), in_vectors()) };
        let ((keyword, keyword_us), (mut vector, mut vector_us)) = (keyword?, vector?);
        if let (Some(keyword), Some((found, _)), Some(asked), Fusion::Convex { .. }) =
            (&keyword, &mut vector, &query.vector, query.fusion)
        {
            let (others, us) = timed(|| cosines_of_others(&view.vectors, asked, found, keyword))?;
            found.extend(others);
            vector_us += us;
        }
        let (vector, vector_path) = match vector {
            Some((found, trace)) => (Some(found), trace.path()),
            None => (None, VectorPath::None),
        };
        let of_keyword = side(keyword.as_deref(), |hit| (hit.row, hit.score));
        let of_vector = side(vector.as_deref(), |hit| (hit.row, hit.cosine));
        let fused = fuse(of_keyword.as_deref(), of_vector.as_deref(), query.fusion, depth, query.limit);
        let hits = view.chunks(fused, keyword.as_deref().unwrap_or_default())?;
        let filter_matches = rows.as_ref().map(Rows::len);
        Ok(Outcome { hits, keyword_us, vector_us, filter_us, vector_path, filter_matches })
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

impl View {
    /// Which chunks the rows are; those of keyword hits as the keyword index knows them.
    fn chunks(&self, rows: Vec<Fused>, keyword: &[KeywordHit]) -> Result<Vec<Hit>> {
        let by_row: HashMap<u32, &KeywordHit> = keyword.iter().map(|hit| (hit.row, hit)).collect();
        let chunk = |row: u32| match by_row.get(&row) {
            Some(hit) => self.keywords.chunk(hit).map(Some),
            None => Ok(self.vectors.chunk(row)),
        };
        let hits = rows.into_iter().map(|fused| Ok(chunk(fused.row)?.map(|chunk| fused.hit(chunk))));
        hits.filter_map(Result::transpose).collect()
    }

    /// The nearest rows of those that may be found.
    fn nearest(
        &self,
        query: &SearchQuery,
        vector: &[f32],
        rows: Option<&Rows>,
        depth: usize,
    ) -> Result<(Vec<Scored>, Trace)> {
        if !self.vectors.are_of(query.embedder.as_deref()) {
            return Err(Error::OtherEmbedder);
        }
        let allowed = rows.map(|rows| self.keywords.allowed(rows)).transpose()?;
        self.vectors.search(vector, allowed.as_ref(), depth)
    }
}

impl Writer {
    fn view(&mut self) -> Result<View> {
        let vectors = self.vectors.as_ref().map(VectorWriter::snapshot);
        Ok(View { keywords: self.keywords.snapshot()?, vectors: vectors.unwrap_or_default() })
    }

    fn due(&self, next: impl Fn(&[plan::Standing], u64, Limits) -> Option<Job>) -> Option<Job> {
        let vectors = self.vectors.as_ref()?;
        let (segments, fresh) = vectors.standing();
        next(&segments, fresh, vectors.limits())
    }

    fn apply_vectors(
        &mut self,
        changes: &[Change],
        seq: u64,
        (directory, limits): (&Path, Option<Limits>),
    ) -> Result<()> {
        for change in changes {
            if let Change::Put(document) = change {
                self.check(document, (directory, limits))?;
            }
        }
        let rows = changes.iter().map(|change| match change {
            Change::Put(put) => (put.document.id, Some((put.first_row, put.vectors.as_slice()))),
            Change::Delete(document) => (*document, None),
        });
        self.change_vectors(rows, seq)
    }

    /// Puts the rows of each document, from its first row number on, or deletes them.
    fn change_vectors<'a>(
        &mut self,
        changes: impl Iterator<Item = (DocumentId, Option<(u32, &'a [f32])>)>,
        seq: u64,
    ) -> Result<()> {
        let Some(writer) = &mut self.vectors else { return Ok(()) };
        for (document, rows) in changes {
            match rows {
                Some((first_row, vectors)) => writer.put(document, first_row, vectors)?,
                None => writer.delete(document),
            }
        }
        writer.set_cursor(seq);
        Ok(())
    }

    /// Settles the dimension with the first vectors, and refuses others.
    fn check(
        &mut self,
        document: &IndexDocument,
        (directory, limits): (&Path, Option<Limits>),
    ) -> Result<()> {
        let (numbers, chunks) = (document.vectors.len(), document.chunks.len());
        if numbers == 0 {
            return Ok(());
        }
        let got = numbers / chunks.max(1);
        let known = self.vectors.as_ref().map(VectorWriter::dimension);
        let expected = known.unwrap_or(got);
        if got * chunks != numbers || got != expected {
            let of_all = if got * chunks == numbers { (expected, got) } else { (expected * chunks, numbers) };
            return Err(Error::Dimension { expected: of_all.0, got: of_all.1 });
        }
        if self.vectors.is_none() {
            let space = Space { fingerprint: String::new(), dimension: got };
            self.vectors = Some(open_vectors(directory, &space, limits)?);
        }
        Ok(())
    }
}

/// Does the first on another thread meanwhile.
fn at_once<A: Send, B>(
    first: impl FnOnce() -> Result<A> + Send,
    second: impl FnOnce() -> B,
) -> (Result<A>, B) {
    let mut done = None;
    let second = rayon::in_place_scope(|scope| {
        scope.spawn(|_| done = Some(first()));
        second()
    });
    (done.unwrap_or_else(|| Err(Error::Index("a search was called off".into()))), second)
}

/// The cosines of what only the keyword side found: unknown is not unlike.
fn cosines_of_others(
    vectors: &Vectors,
    vector: &[f32],
    found: &[Scored],
    keyword: &[KeywordHit],
) -> Result<Vec<Scored>> {
    let known: HashSet<u32> = found.iter().map(|hit| hit.row).collect();
    let others: Vec<&KeywordHit> = keyword.iter().filter(|hit| !known.contains(&hit.row)).collect();
    let rows: Vec<u32> = others.iter().map(|hit| hit.row).collect();
    let cosines = vectors.cosines(vector, &rows)?;
    let scored =
        others.iter().zip(cosines).filter_map(|(hit, cosine)| Some(Scored { row: hit.row, cosine: cosine? }));
    Ok(scored.collect())
}

fn side<T>(found: Option<&[T]>, scored: impl Fn(&T) -> (u32, f32)) -> Option<Vec<(u32, f32)>> {
    found.map(|found| found.iter().map(scored).collect())
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let start = Instant::now();
    let done = work()?;
    Ok((done, u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)))
}

/// The vectors of one embedder have a directory of their own; those of others go.
fn open_vectors(directory: &Path, space: &Space, limits: Option<Limits>) -> Result<VectorWriter> {
    let name = space.directory();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let other = entry.file_name().to_string_lossy().into_owned();
        if other.starts_with("vectors") && other != name {
            remove(&entry.path())?;
        }
    }
    let open = |path: &Path| VectorWriter::open(path, space.dimension, limits);
    Ok(open_or_renew(&directory.join(name), open)?.of_embedder(&space.fingerprint))
}

/// An index is derived: whatever keeps it from being read back whole, a new one is as good after a replay.
fn open_or_renew<T>(path: &Path, open: impl Fn(&Path) -> Result<T>) -> Result<T> {
    match open(path) {
        Err(Error::Full) => Err(Error::Full),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "index is damaged: it is built anew");
            remove(path)?;
            open(path)
        }
        opened => opened,
    }
}

/// Removes a directory or file; it need not be there.
pub fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}
