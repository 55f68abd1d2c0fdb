//! Rows that are in no segment yet. Blocks of them are shared between snapshots: a change copies the block it touches,
//! never what a running search reads.

use std::ops::Range;
use std::sync::Arc;

use super::scan::{RowBuffer, Rows};
use super::segment::{Part, Run};
use crate::types::*;

/// A block takes no further document once it has as many rows.
const BLOCK_ROWS: usize = 1024;

/// Some documents and their rows. Rows that no run points at are dead.
#[derive(Clone, Debug)]
pub struct Block {
    rows: Arc<RowBuffer>,
    /// In the order of their rows.
    runs: Vec<Run>,
    /// The row number with which it began.
    from: u32,
}

impl Block {
    fn new(dimension: usize, from: u32) -> Self {
        Self { rows: Arc::new(RowBuffer::new(dimension)), runs: Vec::new(), from }
    }

    /// The rows, dead ones too.
    pub fn rows(&self) -> Rows<'_> {
        self.rows.rows()
    }

    /// The documents.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    fn alive(&self) -> usize {
        self.runs.iter().map(|run| run.len as usize).sum()
    }

    fn push(&mut self, document: DocumentId, first: u32, vectors: &[f32], dimension: usize) {
        let rows = Arc::make_mut(&mut self.rows);
        let start = rows.rows().len();
        vectors.chunks_exact(dimension).for_each(|row| rows.push(row));
        let places = start..rows.rows().len();
        let length = length(&sum(self.rows(), places.clone()));
        self.runs.push(Run { document, first, start: start as u32, len: places.len() as u32, length });
    }

    /// The run that holds a row number.
    pub fn run_of_row(&self, row: u32) -> Option<&Run> {
        let at = self.runs.partition_point(|run| run.first <= row).checked_sub(1)?;
        self.runs.get(at).filter(|run| run.rows().contains(&row))
    }

    /// The run that holds a place; dead rows have none.
    pub fn run_at(&self, place: u32) -> Option<&Run> {
        let at = self.runs.partition_point(|run| run.start <= place).checked_sub(1)?;
        self.runs.get(at).filter(|run| run.places().contains(&place))
    }

    fn keep(&mut self, which: impl Fn(&Run) -> bool) {
        self.runs.retain(which);
        if self.alive() * 2 < self.rows().len() {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut rows = RowBuffer::new(self.rows().dimension);
        for run in &mut self.runs {
            let start = rows.rows().len();
            run.places().for_each(|row| rows.push_from(self.rows.rows(), row as usize));
            run.start = start as u32;
        }
        self.rows = Arc::new(rows);
    }
}

/// The sum of some rows: the direction of a document.
pub fn sum(rows: Rows<'_>, places: Range<usize>) -> Vec<f32> {
    let mut sum = vec![0.0; rows.dimension];
    places.for_each(|place| rows.add_to(place, &mut sum));
    sum
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// All blocks, in the order of their rows.
#[derive(Clone, Debug, Default)]
pub struct Fresh {
    blocks: Vec<Arc<Block>>,
    rows: u64,
}

impl Fresh {
    /// Rows that are alive.
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// Appends a document; its rows have higher numbers than all before.
    pub fn push(&mut self, document: DocumentId, first: u32, vectors: &[f32], dimension: usize) {
        if self.blocks.last().is_none_or(|block| block.rows().len() >= BLOCK_ROWS) {
            self.blocks.push(Arc::new(Block::new(dimension, first)));
        }
        if let Some(block) = self.blocks.last_mut() {
            Arc::make_mut(block).push(document, first, vectors, dimension);
            self.rows += (vectors.len() / dimension) as u64;
        }
    }

    fn block_of(&self, row: u32) -> Option<usize> {
        self.blocks.partition_point(|block| block.from <= row).checked_sub(1)
    }

    /// The block and the place of a row.
    pub fn find(&self, row: u32) -> Option<(&Block, usize)> {
        let block = self.blocks.get(self.block_of(row)?)?;
        let run = block.run_of_row(row)?;
        Some((block, (run.start + row - run.first) as usize))
    }

    /// Removes the document whose rows begin with this number.
    pub fn remove(&mut self, first: u32) {
        let Some(at) = self.block_of(first) else { return };
        let Some(run) = self.blocks[at].run_of_row(first) else { return };
        self.rows -= u64::from(run.len);
        let block = Arc::make_mut(&mut self.blocks[at]);
        block.keep(|run| run.first != first);
        if block.runs.is_empty() {
            self.blocks.remove(at);
        }
    }

    /// Removes all rows up to a number.
    pub fn remove_through(&mut self, last: u32) {
        for block in &mut self.blocks {
            if block.runs.iter().any(|run| run.first <= last) {
                Arc::make_mut(block).keep(|run| run.first > last);
            }
        }
        self.blocks.retain(|block| !block.runs.is_empty());
        self.rows = self.blocks.iter().map(|block| block.alive() as u64).sum();
    }

    /// All rows that are alive, to be written to a segment.
    pub fn parts(&self) -> Vec<Part<'_>> {
        self.blocks.iter().map(|block| Part { rows: block.rows(), runs: block.runs.clone() }).collect()
    }
}
