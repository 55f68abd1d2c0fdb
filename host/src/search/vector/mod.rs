//! Vector search. The newest rows stand in memory and are scanned exactly; older ones lie in mapped segments, flat ones
//! that are scanned as well, and large ones with a graph over them ([`graph`]).
//!
//! A row is known by its number, which the store gave it: they only ascend, so segments hold separate stretches of them.
//! What is deleted or replaced is marked as dead where it stands, and left out when its segment is next rewritten.

mod bits;
mod fresh;
pub(super) mod graph;
mod manifest;
mod mapped;
mod pace;
pub mod plan;
mod prefetch;
pub(super) mod scan;
mod sealed;
mod segment;
mod upkeep;
mod writer;

use std::ops::Range;
use std::sync::Arc;

pub use self::bits::Bits;
pub use self::plan::{Job, Limits};
pub use self::writer::VectorWriter;

use self::fresh::{Fresh, sum};
use self::scan::{Probe, Rows};
use self::sealed::{Sealed, Wanted};
use super::best::{Best, Ordered};
use super::{Error, Result};
use crate::types::*;

/// Rows that a walk through a graph keeps in sight at least: what recall costs.
const EF_MIN: usize = 150;

/// Which way vector search went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Rows that were compared one by one.
    pub exact_rows: u64,
    /// Rows that were compared on the way through graphs.
    pub graph_rows: u64,
    /// Segments that were searched through their graph.
    pub graph_segments: u32,
}

impl Trace {
    /// For those who ask how a result came about.
    pub fn path(&self) -> VectorPath {
        let compared = self.exact_rows + self.graph_rows;
        match (compared, self.graph_segments) {
            (0, _) => VectorPath::None,
            (_, 0) => VectorPath::Exact { compared },
            _ => VectorPath::Graph { compared },
        }
    }
}

/// The vectors of a collection at one moment.
#[derive(Clone, Debug, Default)]
pub struct Vectors {
    dimension: usize,
    /// Fingerprint of the embedder that made them; empty where nobody said.
    embedder: Arc<str>,
    /// In the order of their rows.
    sealed: Vec<Sealed>,
    fresh: Fresh,
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    /// Number of the segment, and place in it.
    Sealed(u64, u32),
    /// Position of the block, and place in it.
    Fresh(usize, u32),
}

/// A row of a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// Its number in the collection.
    pub row: u32,
    /// Cosine similarity.
    pub cosine: f32,
}

impl Vectors {
    /// How many rows there are.
    pub fn len(&self) -> u64 {
        self.fresh.len() + self.sealed.iter().map(Sealed::alive).sum::<u64>()
    }

    /// Whether the vectors are those of an embedder, as far as both are known.
    pub fn are_of(&self, embedder: Option<&str>) -> bool {
        self.embedder.is_empty() || embedder.is_none_or(|embedder| *self.embedder == *embedder)
    }

    fn probe(&self, vector: &[f32]) -> Result<Option<Probe>> {
        match self.dimension {
            0 => Ok(None),
            expected if expected != vector.len() => Err(Error::Dimension { expected, got: vector.len() }),
            _ => Ok(Probe::new(vector)),
        }
    }

    /// The chunks with the highest cosine, best first, among the allowed row numbers where given.
    pub fn search(
        &self,
        vector: &[f32],
        allowed: Option<&Bits>,
        limit: usize,
    ) -> Result<(Vec<Scored>, Trace)> {
        let mut trace = Trace::default();
        let Some(probe) = self.probe(vector)?.filter(|_| limit > 0) else { return Ok((Vec::new(), trace)) };
        let found = self.candidates(&probe, allowed, limit, &mut trace);
        let mut best = Best::new(limit);
        for (cosine, row) in found.filter_map(|found| self.score(&probe, found)) {
            best.offer(Ordered(cosine), row);
        }
        let scored = best.into_sorted().map(|(Ordered(cosine), row)| Scored { row, cosine });
        Ok((scored.collect(), trace))
    }

    /// Rows that seem best by their upper halves; some more than wanted, since both halves judge them then.
    fn candidates(
        &self,
        probe: &Probe,
        allowed: Option<&Bits>,
        limit: usize,
        trace: &mut Trace,
    ) -> impl Iterator<Item = Found> + use<> {
        let count = limit.saturating_add(limit / 4).saturating_add(20);
        let ef = limit.saturating_add(limit / 2).max(EF_MIN);
        let wanted = Wanted { probe, allowed, count, ef };
        let mut best = Best::new(wanted.count);
        let mut offer = |score: f32, found: Found| best.offer(Ordered(score), found);
        self.sealed.iter().for_each(|sealed| sealed.collect(&wanted, trace, &mut offer));
        self.scan_fresh(probe, allowed, trace, &mut offer);
        best.into_items()
    }

    fn scan_fresh(
        &self,
        probe: &Probe,
        allowed: Option<&Bits>,
        trace: &mut Trace,
        offer: &mut impl FnMut(f32, Found),
    ) {
        let mut scores = Vec::new();
        for (at, block) in self.fresh.blocks().iter().enumerate() {
            let rows = block.rows();
            rows.approximate(probe, 0..rows.len(), &mut scores);
            for run in block.runs() {
                for (place, row) in run.places().zip(run.rows()) {
                    if allowed.is_none_or(|allowed| allowed.contains(row)) {
                        trace.exact_rows += 1;
                        if rows.is_found(place as usize) {
                            offer(scores[place as usize], Found::Fresh(at, place));
                        }
                    }
                }
            }
        }
    }

    fn segment(&self, number: u64) -> Option<&Sealed> {
        self.sealed.iter().find(|sealed| sealed.number == number)
    }

    /// The cosine and number of a row.
    fn score(&self, probe: &Probe, found: Found) -> Option<(f32, u32)> {
        match found {
            Found::Sealed(number, place) => {
                let segment = &self.segment(number)?.segment;
                let row = segment.numbers().get(place as usize)?;
                Some((segment.rows().cosine(probe, place as usize), *row))
            }
            Found::Fresh(at, place) => {
                let block = self.fresh.blocks().get(at)?;
                let run = block.run_at(place)?;
                Some((block.rows().cosine(probe, place as usize), run.first + place - run.start))
            }
        }
    }

    /// Which chunk a row is.
    pub fn chunk(&self, row: u32) -> Option<ChunkId> {
        let (run, place) = match self.fresh.find(row) {
            Some((block, place)) => (*block.run_at(place as u32)?, place as u32),
            None => {
                let sealed = self.sealed_with(row)?;
                let place = sealed.place(row)?;
                (sealed.segment.run_at(place), place)
            }
        };
        Some(ChunkId { document: run.document, index: place - run.start })
    }

    /// The cosines of rows, where they have a vector with a direction.
    pub fn cosines(&self, vector: &[f32], rows: &[u32]) -> Result<Vec<Option<f32>>> {
        let Some(probe) = self.probe(vector)? else { return Ok(vec![None; rows.len()]) };
        let cosine = |row: &u32| {
            let (rows, place) = self.find(*row)?;
            rows.is_found(place).then(|| rows.cosine(&probe, place))
        };
        Ok(rows.iter().map(cosine).collect())
    }

    /// The rows among which one stands, and its place.
    fn find(&self, row: u32) -> Option<(Rows<'_>, usize)> {
        if let Some((block, place)) = self.fresh.find(row) {
            return Some((block.rows(), place));
        }
        let sealed = self.sealed_with(row)?;
        Some((sealed.segment.rows(), sealed.place(row)? as usize))
    }

    /// The segment among whose rows it would stand.
    fn sealed_with(&self, row: u32) -> Option<&Sealed> {
        let after = self.sealed.partition_point(|sealed| sealed.segment.span().start <= row);
        self.sealed.get(after.checked_sub(1)?)
    }

    /// Other documents by the cosine of their mean vectors, best first. `None` if the document has no vectors.
    pub fn similar(&self, document: DocumentId, limit: usize) -> Option<Vec<(DocumentId, f32)>> {
        let probe = Probe::new(&self.sum_of(document)?)?;
        let mut found: Vec<(DocumentId, f32)> = Vec::new();
        self.each_run(|rows, id, places, length| {
            if id != document && length > 0.0 {
                let product: f32 = places.map(|place| rows.cosine(&probe, place)).sum();
                found.push((id, (product / length).clamp(-1.0, 1.0)));
            }
        });
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(limit);
        Some(found)
    }

    /// Every document that is alive: its rows, its places among them, and the length of their sum.
    fn each_run(&self, mut each: impl FnMut(Rows<'_>, DocumentId, Range<usize>, f32)) {
        let wide = |places: Range<u32>| places.start as usize..places.end as usize;
        for sealed in &self.sealed {
            let rows = sealed.segment.rows();
            sealed.alive_runs().for_each(|run| each(rows, run.document, wide(run.places()), run.length));
        }
        for block in self.fresh.blocks() {
            block
                .runs()
                .iter()
                .for_each(|run| each(block.rows(), run.document, wide(run.places()), run.length));
        }
    }

    fn sum_of(&self, document: DocumentId) -> Option<Vec<f32>> {
        let mut total = None;
        for sealed in &self.sealed {
            if let Some(run) = sealed.run_of(document) {
                total = Some(sum(sealed.segment.rows(), run.start as usize..(run.start + run.len) as usize));
            }
        }
        for block in self.fresh.blocks() {
            if let Some(run) = block.runs().iter().find(|run| run.document == document) {
                total = Some(sum(block.rows(), run.start as usize..(run.start + run.len) as usize));
            }
        }
        total
    }
}

#[cfg(test)]
mod tests;
