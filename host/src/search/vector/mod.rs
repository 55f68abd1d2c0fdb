//! Vector search by an exact scan. Blocks of rows are shared between snapshots: a change copies the block it touches,
//! never what a running search reads. Sealed segments will stand beside the blocks.

pub(super) mod graph;
mod prefetch;
pub(super) mod scan;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use self::scan::{Probe, RowBuffer, Rows};
use super::allowed::Allowed;
use super::{Error, Result};
use crate::types::*;

/// A block takes no further document once it has as many rows.
const BLOCK_ROWS: usize = 1024;

/// The rows of one document: those of its chunks, in order.
#[derive(Clone, Debug)]
struct Run {
    document: DocumentId,
    rows: Range<usize>,
    /// Length of the sum of the rows.
    length: f32,
}

/// Some documents and their rows. Rows that no run points at are dead.
#[derive(Clone, Debug)]
struct Block {
    rows: Arc<RowBuffer>,
    /// Ordered by document.
    runs: Vec<Run>,
}

impl Block {
    fn new(dimension: usize) -> Self {
        Self { rows: Arc::new(RowBuffer::new(dimension)), runs: Vec::new() }
    }

    fn rows(&self) -> Rows<'_> {
        self.rows.rows()
    }

    fn alive(&self) -> usize {
        self.runs.iter().map(|run| run.rows.len()).sum()
    }

    fn push(&mut self, document: DocumentId, vectors: &[f32], dimension: usize) {
        let rows = Arc::make_mut(&mut self.rows);
        let start = rows.rows().len();
        vectors.chunks_exact(dimension).for_each(|row| rows.push(row));
        let rows = start..rows.rows().len();
        let length = self.sum(&rows, dimension).iter().map(|value| value * value).sum::<f32>().sqrt();
        let at = self.runs.partition_point(|run| run.document < document);
        self.runs.insert(at, Run { document, rows, length });
    }

    fn run(&self, document: DocumentId) -> Option<&Run> {
        let at = self.runs.binary_search_by_key(&document, |run| run.document).ok()?;
        self.runs.get(at)
    }

    fn sum(&self, rows: &Range<usize>, dimension: usize) -> Vec<f32> {
        let mut sum = vec![0.0; dimension];
        rows.clone().for_each(|row| self.rows().add_to(row, &mut sum));
        sum
    }

    fn remove(&mut self, document: DocumentId, dimension: usize) {
        self.runs.retain(|run| run.document != document);
        if self.alive() * 2 < self.rows().len() {
            self.compact(dimension);
        }
    }

    fn compact(&mut self, dimension: usize) {
        let mut rows = RowBuffer::new(dimension);
        for run in &mut self.runs {
            let start = rows.rows().len();
            run.rows.clone().for_each(|row| rows.push_from(self.rows.rows(), row));
            run.rows = start..rows.rows().len();
        }
        self.rows = Arc::new(rows);
    }
}

/// The vectors of a collection at one moment.
#[derive(Clone, Debug, Default)]
pub struct Vectors {
    dimension: usize,
    blocks: Vec<Arc<Block>>,
    count: u64,
}

impl Vectors {
    /// How many rows there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Numbers in a row; `None` while there are none.
    pub fn dimension(&self) -> Option<usize> {
        (self.dimension > 0).then_some(self.dimension)
    }

    fn probe(&self, vector: &[f32]) -> Result<Option<Probe>> {
        match self.dimension {
            0 => Ok(None),
            expected if expected != vector.len() => Err(Error::Dimension { expected, got: vector.len() }),
            _ => Ok(Probe::new(vector)),
        }
    }

    /// The chunks with the highest cosine, best first, among the allowed ones where given.
    pub fn search(
        &self,
        vector: &[f32],
        allowed: Option<&Allowed>,
        limit: usize,
    ) -> Result<Vec<(ChunkId, f32)>> {
        let Some(probe) = self.probe(vector)?.filter(|_| limit > 0) else { return Ok(Vec::new()) };
        let candidates = self.candidates(&probe, allowed, limit.saturating_mul(4).saturating_add(20));
        let mut best: Vec<_> = candidates
            .into_iter()
            .map(|place| {
                let run = &self.blocks[place.block].runs[place.run];
                let index = u32::try_from(place.row - run.rows.start).unwrap_or(u32::MAX);
                let cosine = self.blocks[place.block].rows().cosine(&probe, place.row);
                (ChunkId { document: run.document, index }, cosine)
            })
            .collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        best.truncate(limit);
        Ok(best)
    }

    /// The cosines of the chunks that have a vector with a direction.
    pub fn cosines(&self, vector: &[f32], chunks: &[ChunkId]) -> Result<Vec<(ChunkId, f32)>> {
        let Some(probe) = self.probe(vector)? else { return Ok(Vec::new()) };
        let cosine = |chunk: &ChunkId| {
            let (block, run) =
                self.blocks.iter().find_map(|block| Some((block, block.run(chunk.document)?)))?;
            let row = run.at(&(chunk.index..chunk.index.saturating_add(1))).next()?;
            block.rows().is_found(row).then(|| (*chunk, block.rows().cosine(&probe, row)))
        };
        Ok(chunks.iter().filter_map(cosine).collect())
    }

    fn candidates(&self, probe: &Probe, allowed: Option<&Allowed>, limit: usize) -> Vec<Place> {
        let mut best = Best::new(limit);
        let mut scores = Vec::new();
        for (block, content) in self.blocks.iter().enumerate() {
            // Without a filter nearly all rows count: one product over the whole block, dead rows and all.
            if allowed.is_none() {
                content.rows().approximate(probe, 0..content.rows().len(), &mut scores);
            }
            for (at, run) in content.runs.iter().enumerate() {
                let mut offer = |row: usize, score: f32| {
                    if best.would_take(score) && content.rows().is_found(row) {
                        best.offer(score, Place { block, run: at, row });
                    }
                };
                match allowed {
                    None => run.rows.clone().for_each(|row| offer(row, scores[row])),
                    Some(allowed) => allowed.of(run.document).for_each(|indexes| {
                        let rows = run.at(&indexes);
                        content.rows().approximate(probe, rows.clone(), &mut scores);
                        rows.zip(&scores).for_each(|(row, score)| offer(row, *score));
                    }),
                }
            }
        }
        best.into_places()
    }

    /// Other documents by the cosine of their mean vectors, best first. `None` if the document has no vectors.
    pub fn similar(&self, document: DocumentId, limit: usize) -> Option<Vec<(DocumentId, f32)>> {
        let probe = Probe::new(&self.sum_of(document)?)?;
        let mut found: Vec<(DocumentId, f32)> = Vec::new();
        for block in &self.blocks {
            for run in block.runs.iter().filter(|run| run.document != document && run.length > 0.0) {
                let product: f32 = run.rows.clone().map(|row| block.rows().cosine(&probe, row)).sum();
                found.push((run.document, (product / run.length).clamp(-1.0, 1.0)));
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(limit);
        Some(found)
    }

    fn sum_of(&self, document: DocumentId) -> Option<Vec<f32>> {
        self.blocks.iter().find_map(|block| {
            let run = block.run(document)?;
            Some(block.sum(&run.rows, self.dimension))
        })
    }
}

impl Run {
    /// The rows of some chunks of the document.
    fn at(&self, indexes: &Range<u32>) -> Range<usize> {
        let row = |index: u32| (self.rows.start + index as usize).min(self.rows.end);
        row(indexes.start)..row(indexes.end)
    }
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    block: usize,
    run: usize,
    row: usize,
}

/// The best rows so far; the worst of them on top.
struct Best {
    limit: usize,
    heap: BinaryHeap<Reverse<(Ordered, Reverse<Place>)>>,
    threshold: f32,
}

impl Best {
    fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new(), threshold: f32::NEG_INFINITY }
    }

    fn would_take(&self, score: f32) -> bool {
        score > self.threshold
    }

    fn offer(&mut self, score: f32, place: Place) {
        if self.heap.len() >= self.limit {
            self.heap.pop();
        }
        self.heap.push(Reverse((Ordered(score), Reverse(place))));
        if self.heap.len() >= self.limit {
            self.threshold = self.heap.peek().map_or(f32::NEG_INFINITY, |Reverse((score, _))| score.0);
        }
    }

    fn into_places(self) -> Vec<Place> {
        self.heap.into_iter().map(|Reverse((_, Reverse(place)))| place).collect()
    }
}

/// A score with a total order.
#[derive(Clone, Copy, Debug)]
struct Ordered(f32);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Changes vectors; [`Self::snapshot`] shows the result to searches.
#[derive(Debug, Default)]
pub struct VectorWriter {
    vectors: Vectors,
}

impl VectorWriter {
    /// Goes on from a snapshot.
    pub fn from(vectors: Vectors) -> Self {
        Self { vectors }
    }

    /// The vectors as they are now.
    pub fn snapshot(&self) -> Vectors {
        self.vectors.clone()
    }

    /// Settles the dimension; an error if there are rows of another one.
    pub fn expect_dimension(&mut self, dimension: usize) -> Result<()> {
        let expected = self.vectors.dimension;
        if expected != dimension && (dimension == 0 || self.vectors.count > 0) {
            return Err(Error::Dimension { expected, got: dimension });
        }
        if expected != dimension {
            *self = Self::from(Vectors { dimension, ..Vectors::default() });
        }
        Ok(())
    }

    /// Puts the rows of a document, in place of its former ones. Their dimension was settled before.
    pub fn put(&mut self, document: DocumentId, vectors: &[f32]) {
        self.delete(document);
        let dimension = self.vectors.dimension;
        if dimension == 0 || vectors.is_empty() {
            return;
        }
        let full = self.vectors.blocks.last().is_none_or(|block| block.rows().len() >= BLOCK_ROWS);
        if full {
            self.vectors.blocks.push(Arc::new(Block::new(dimension)));
        }
        if let Some(block) = self.vectors.blocks.last_mut() {
            Arc::make_mut(block).push(document, vectors, dimension);
            self.vectors.count += (vectors.len() / dimension) as u64;
        }
    }

    /// Removes the rows of a document.
    pub fn delete(&mut self, document: DocumentId) {
        let mut blocks = self.vectors.blocks.iter_mut();
        let Some(block) = blocks.find(|block| block.run(document).is_some()) else { return };
        let before = block.alive();
        Arc::make_mut(block).remove(document, self.vectors.dimension);
        self.vectors.count -= (before - block.alive()) as u64;
        self.drop_empty_blocks();
    }

    /// Keeps the list of blocks in proportion to what they hold.
    fn drop_empty_blocks(&mut self) {
        let empty = self.vectors.blocks.iter().filter(|block| block.runs.is_empty()).count();
        if empty > 16 && empty * 2 > self.vectors.blocks.len() {
            self.vectors.blocks.retain(|block| !block.runs.is_empty());
        }
    }
}
