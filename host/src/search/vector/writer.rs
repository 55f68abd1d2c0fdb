//! Changes of the vectors of a collection. Its directory holds the manifest and the segments.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Vectors;
use super::bits::Bits;
use super::manifest::{Entry, Manifest};
use super::plan::{Limits, Standing};
use super::sealed::Sealed;
use super::segment::{Run, Segment};
use crate::search::{Error, Result};
use crate::types::*;

/// Changes vectors; [`Self::snapshot`] shows the result to searches.
#[derive(Debug)]
pub struct VectorWriter {
    directory: PathBuf,
    vectors: Vectors,
    /// First row of each document in memory.
    fresh: HashMap<DocumentId, u32>,
    /// The first row number that no row has had.
    next_row: u32,
    /// The journal entry up to which `vectors` is complete.
    cursor: u64,
    /// The journal entry up to which the segments are complete, as in the manifest.
    sealed: u64,
    /// As in the manifest.
    next_segment: u64,
    limits: Limits,
}

impl VectorWriter {
    /// Opens the index in a directory, or makes an empty one, and checks every file against its checksums.
    ///
    /// # Errors
    /// [`Error::Damaged`] where anything can't be read back whole.
    pub fn open(directory: &Path, dimension: usize, limits: Option<Limits>) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        let manifest = Manifest::read(directory)?;
        manifest.remove_others(directory)?;
        let sealed = manifest
            .segments
            .iter()
            .map(|entry| open_segment(directory, entry, dimension))
            .collect::<Result<Vec<_>>>()?;
        let next_row = ends(&sealed).max().unwrap_or(0);
        let vectors = Vectors { dimension, sealed, ..Vectors::default() };
        Ok(Self {
            directory: directory.to_path_buf(),
            vectors,
            fresh: HashMap::new(),
            next_row,
            cursor: manifest.cursor,
            sealed: manifest.cursor,
            next_segment: manifest.next,
            limits: limits.unwrap_or_else(|| Limits::measured(dimension)),
        })
    }

    /// Reads the index in a directory without changing anything: up to which journal entry its files are complete, and how
    /// many rows they hold. `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`] where anything can't be read back whole.
    pub fn examine(directory: &Path, dimension: usize) -> Result<Option<(u64, u64)>> {
        let Some(manifest) = Manifest::find(directory)? else { return Ok(None) };
        let mut rows = 0;
        for entry in &manifest.segments {
            rows += open_segment(directory, entry, dimension)?.alive();
        }
        Ok(Some((manifest.cursor, rows)))
    }

    /// Notes the fingerprint of the embedder whose vectors these are.
    pub fn of_embedder(mut self, fingerprint: &str) -> Self {
        self.vectors.embedder = fingerprint.into();
        self
    }

    /// The vectors as they are now.
    pub fn snapshot(&self) -> Vectors {
        self.vectors.clone()
    }

    /// Goes back to a snapshot, if a change could be made in part only.
    pub fn restore(&mut self, vectors: Vectors, cursor: u64) {
        let runs = || vectors.fresh.blocks().iter().flat_map(|block| block.runs());
        self.fresh = runs().map(|run| (run.document, run.first)).collect();
        self.next_row = runs().map(|run| run.rows().end).chain(ends(&vectors.sealed)).max().unwrap_or(0);
        let (dimension, embedder) = (self.vectors.dimension, self.vectors.embedder.clone());
        self.vectors = Vectors { dimension, embedder, ..vectors };
        self.cursor = cursor;
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Numbers in a row.
    pub fn dimension(&self) -> usize {
        self.vectors.dimension
    }

    /// The journal entry up to which searches see everything.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Everything up to a journal entry is in.
    pub fn set_cursor(&mut self, cursor: u64) {
        self.cursor = self.cursor.max(cursor);
    }

    /// Whether the files do not yet say all that searches see.
    pub fn is_ahead(&self) -> bool {
        self.cursor > self.sealed
    }

    /// The segments are complete up to a journal entry.
    pub fn set_sealed(&mut self, cursor: u64) {
        self.sealed = self.sealed.max(cursor);
    }

    /// When things are to be done.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Puts the rows of a document, in place of its former ones. A version that is there already stays.
    ///
    /// # Errors
    /// [`Error::Dimension`] where these are no whole rows. [`Error::Index`] if the row numbers were used before: then the index does not go with the store.
    pub fn put(&mut self, document: DocumentId, first: u32, vectors: &[f32]) -> Result<()> {
        let dimension = self.vectors.dimension;
        if dimension == 0 || !vectors.len().is_multiple_of(dimension) {
            return Err(Error::Dimension { expected: dimension, got: vectors.len() });
        }
        let rows = vectors.len() / dimension;
        if rows > 0 && self.first_row(document) == Some(first) {
            return Ok(());
        }
        self.delete(document);
        if rows == 0 {
            return Ok(());
        }
        let end = u32::try_from(rows).ok().and_then(|rows| first.checked_add(rows));
        let Some(end) = end.filter(|_| first >= self.next_row) else {
            return Err(Error::Index(format!("row {first} of document {document} is used twice")));
        };
        self.next_row = end;
        self.fresh.insert(document, first);
        self.vectors.fresh.push(document, first, vectors, dimension);
        Ok(())
    }

    fn first_row(&self, document: DocumentId) -> Option<u32> {
        let sealed = || self.vectors.sealed.iter().find_map(|sealed| sealed.run_of(document));
        self.fresh.get(&document).copied().or_else(|| sealed().map(|run| run.first))
    }

    /// Removes the rows of a document.
    pub fn delete(&mut self, document: DocumentId) {
        if let Some(first) = self.fresh.remove(&document) {
            self.vectors.fresh.remove(first);
        }
        for sealed in &mut self.vectors.sealed {
            while let Some(run) = sealed.run_of(document) {
                let dead = Arc::make_mut(&mut sealed.dead);
                run.places().for_each(|place| dead.insert(place));
            }
        }
    }

    /// How the segments stand, and how many rows are in memory.
    pub fn standing(&self) -> (Vec<Standing>, u64) {
        let standing = |sealed: &Sealed| Standing {
            rows: sealed.segment.len() as u64,
            dead: sealed.dead.len(),
            graph: sealed.segment.has_graph(),
        };
        (self.vectors.sealed.iter().map(standing).collect(), self.vectors.fresh.len())
    }

    /// A number that no segment has had.
    pub fn take_number(&mut self) -> u64 {
        self.next_segment += 1;
        self.next_segment - 1
    }

    /// Takes in a segment that was written from all rows of `from` that were in memory.
    pub fn exchange_fresh(&mut self, number: u64, segment: Arc<Segment>) {
        let runs = (0..segment.runs()).map(|at| segment.run(at));
        let dead = runs.filter(|run| self.fresh.get(&run.document) != Some(&run.first));
        let dead: Bits = dead.flat_map(|run| run.places()).collect();
        let last = segment.span().end.saturating_sub(1);
        self.vectors.fresh.remove_through(last);
        self.fresh.retain(|_, first| *first > last);
        self.vectors.sealed.push(Sealed::new(number, segment, dead));
    }

    /// Takes in a segment that was written from these runs of these segments; `None` if nothing was left of them.
    pub fn exchange_sealed(&mut self, from: &[(u64, Vec<Run>)], new: Option<(u64, Arc<Segment>)>) {
        let first = |sealed: &Sealed| from.iter().any(|(number, _)| *number == sealed.number);
        let Some(at) = self.vectors.sealed.iter().position(first) else { return };
        let dead = self.dead_among(from);
        self.vectors.sealed.retain(|sealed| !first(sealed));
        if let Some((number, segment)) = new {
            self.vectors.sealed.insert(at, Sealed::new(number, segment, dead));
        }
    }

    /// Places in a segment made of these runs, one after the other, of the rows that are dead by now.
    fn dead_among(&self, from: &[(u64, Vec<Run>)]) -> Bits {
        let mut dead = Bits::default();
        let mut next = 0;
        for (number, runs) in from {
            let Some(source) = self.vectors.segment(*number) else { continue };
            for run in runs {
                if source.dead.contains(run.start) {
                    (next..next + run.len).for_each(|place| dead.insert(place));
                }
                next += run.len;
            }
        }
        dead
    }

    /// The list of segments as it stands.
    pub fn manifest(&self) -> Result<Manifest> {
        let entry = |sealed: &Sealed| Entry::new(sealed.number, &sealed.dead);
        let segments = self.vectors.sealed.iter().map(entry).collect::<std::io::Result<_>>()?;
        Ok(Manifest {
            dimension: self.vectors.dimension,
            cursor: self.sealed,
            next: self.next_segment,
            segments,
        })
    }
}

/// The row numbers behind the last of each segment.
fn ends(sealed: &[Sealed]) -> impl Iterator<Item = u32> + '_ {
    sealed.iter().map(|sealed| sealed.segment.span().end)
}

fn open_segment(directory: &Path, entry: &Entry, dimension: usize) -> Result<Sealed> {
    let path = directory.join(entry.file_name());
    let damaged = |detail: &str| Error::Damaged { path: path.clone(), detail: detail.to_owned() };
    let segment = Segment::open(&path)?;
    segment.verify()?;
    if segment.dimension() != dimension {
        return Err(damaged("it is of another dimension"));
    }
    let dead = entry.dead().map_err(|_| damaged("its dead rows can't be read"))?;
    Ok(Sealed::new(entry.number, Arc::new(segment), dead))
}
