//! What `smartrag bench vectors` measures: graphs over given vectors, beside an exact search.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::vector::graph::{Build, Graph, Scratch, build};
use super::vector::scan::{Probe, RowBuffer};

pub use super::vector::graph::Builder;

/// How many neighbours are asked for.
pub const NEIGHBOURS: usize = 10;
/// Candidates that get their exact cosine.
const RESCORED: usize = 40;
/// So much less than the tenth still counts as found: equal texts are interchangeable.
const TIE: f32 = 1e-6;

/// Vectors of unit length, as given and as the index stores them.
pub struct Vectors {
    dimension: usize,
    given: Vec<f32>,
    stored: RowBuffer,
}

/// A finished graph and what it cost.
pub struct Built {
    words: Vec<u32>,
    /// By the clock, and of all processors together.
    #[allow(missing_docs)]
    pub seconds: f64,
    #[allow(missing_docs)]
    pub cpu_seconds: f64,
}

/// One pass over the queries.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Pass {
    /// Of ten neighbours, 0 to 1.
    pub recall: f64,
    /// Processor time a query, so that others who use the machine count less.
    pub us: f64,
}

impl Vectors {
    /// Row-major vectors of unit length.
    pub fn new(given: Vec<f32>, dimension: usize) -> Self {
        let mut stored = RowBuffer::new(dimension);
        given.chunks_exact(dimension.max(1)).for_each(|vector| stored.push(vector));
        Self { dimension, given, stored }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.stored.rows().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The nearest by exact cosines, best first.
    pub fn nearest(&self, query: &[f32]) -> Vec<u32> {
        let rows = self.given.chunks_exact(self.dimension).zip(0..);
        let mut scored: Vec<(f32, u32)> = rows.map(|(row, at)| (product(row, query), at)).collect();
        let better = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0);
        if scored.len() > NEIGHBOURS {
            scored.select_nth_unstable_by(NEIGHBOURS, better);
            scored.truncate(NEIGHBOURS);
        }
        scored.sort_by(better);
        scored.into_iter().map(|(_, row)| row).collect()
    }

    /// Builds a graph. `None` where the builder fails.
    pub fn build(&self, builder: Builder, threads: usize) -> Option<Built> {
        let cancelled = AtomicBool::new(false);
        let plan = Build {
            rows: self.stored.rows(),
            threads,
            seed: 1,
            base: None,
            cancelled: &cancelled,
            pause: &|| (),
        };
        let (begun, cpu) = (Instant::now(), process_seconds());
        let words = build(builder, &plan)?;
        let seconds = begun.elapsed().as_secs_f64();
        let cpu_seconds = cpu.zip(process_seconds()).map_or(seconds, |(from, to)| to - from);
        Some(Built { words, seconds, cpu_seconds })
    }

    /// Searches for every query; `truth` holds what [`Self::nearest`] says of each.
    pub fn pass(&self, built: &Built, queries: &[Vec<f32>], truth: &[Vec<u32>], ef: usize) -> Pass {
        let mut scratch = Scratch::default();
        let (begun, cpu) = (Instant::now(), thread_seconds());
        let found: Vec<_> = queries.iter().map(|query| self.search(built, query, ef, &mut scratch)).collect();
        let seconds = begun.elapsed().as_secs_f64();
        let seconds = cpu.zip(thread_seconds()).map_or(seconds, |(from, to)| to - from);
        let shares = queries.iter().zip(&found).zip(truth);
        let recall: f64 = shares.map(|((query, found), truth)| self.recall(query, found, truth)).sum();
        let count = queries.len().max(1) as f64;
        Pass { recall: recall / count, us: seconds * 1e6 / count }
    }

    fn search(&self, built: &Built, query: &[f32], ef: usize, scratch: &mut Scratch) -> Vec<u32> {
        let rows = self.stored.rows();
        let (Some(graph), Some(probe)) = (Graph::read(&built.words, rows.len()), Probe::new(query)) else {
            return Vec::new();
        };
        let mut found = graph.search(rows, &probe, ef, usize::MAX, |_| true, scratch).unwrap_or_default();
        found.truncate(RESCORED);
        found.iter_mut().for_each(|(score, row)| *score = rows.cosine(&probe, *row as usize));
        found.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        found.into_iter().take(NEIGHBOURS).map(|(_, row)| row).collect()
    }

    fn recall(&self, query: &[f32], found: &[u32], truth: &[u32]) -> f64 {
        let nearness = |row: u32| {
            let at = row as usize * self.dimension;
            product(&self.given[at..at + self.dimension], query)
        };
        let Some(last) = truth.last().map(|row| nearness(*row)) else { return 1.0 };
        found.iter().filter(|row| nearness(**row) >= last - TIE).count() as f64 / truth.len() as f64
    }
}

impl Built {
    /// Bytes of the graph and of the half of the rows that it is searched with, a vector.
    pub fn bytes(&self, vectors: &Vectors) -> f64 {
        (self.words.len() * 4) as f64 / vectors.len().max(1) as f64 + vectors.dimension as f64 + 4.0
    }
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [0.0f32; 16];
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += a * b);
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// Processor time of this thread; `None` where the system does not say.
fn thread_seconds() -> Option<f64> {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(said.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

/// Processor time of all threads, in hundredths.
fn process_seconds() -> Option<f64> {
    let said = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = said.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_over_few_vectors_has_all_neighbours() {
        let vector = |at: usize| -> Vec<f32> {
            let angle = at as f32 * 0.01;
            vec![angle.cos(), angle.sin()]
        };
        let vectors = Vectors::new((0..100).flat_map(vector).collect(), 2);
        let built = vectors.build(Builder::Parallel, 2).unwrap();
        let queries = vec![vector(3), vector(50)];
        let truth: Vec<_> = queries.iter().map(|query| vectors.nearest(query)).collect();
        assert_eq!(vectors.pass(&built, &queries, &truth, 40).recall, 1.0);
        assert!(built.bytes(&vectors) > 6.0 && built.cpu_seconds >= 0.0);
    }
}
