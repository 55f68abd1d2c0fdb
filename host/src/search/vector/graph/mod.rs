//! A graph over the rows of one sealed segment (HNSW; Malkov & Yashunin, 2018): built once, then only read.

mod instant;
mod parallel;
mod repair;
mod select;
mod twins;
mod walk;
mod words;

use std::sync::atomic::{AtomicBool, Ordering};

pub use self::walk::Scratch;
use self::walk::{Scored, Width};
pub use self::words::Graph;
use super::scan::{Probe, Rows};

/// Rows that a search should keep unless more are asked for.
pub const EF: usize = 64;

impl Graph<'_> {
    /// Up to `ef` accepted rows, best first, with about their cosines. Rows that are not accepted are walked, never returned.
    /// `None` when more than `visits_max` rows were scored: it is cheaper then to scan the accepted ones.
    pub fn search(
        &self,
        rows: Rows<'_>,
        probe: &Probe,
        ef: usize,
        visits_max: usize,
        accept: impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Option<Vec<(f32, u32)>> {
        let Some(entry) = self.entry.filter(|_| ef > 0) else { return Some(Vec::new()) };
        let mut nearest = walk::score(rows, probe, entry);
        for layer in self.layers().iter().rev() {
            nearest = scratch.descend(layer, (rows, probe), nearest);
        }
        let is_wanted = |row| accept(row) || self.twins.of(row).iter().any(|twin| accept(*twin));
        let width = Width { ef, visits_max };
        let is_done = scratch.walk(&self.zero, (rows, probe), &[nearest], width, is_wanted);
        is_done.then(|| self.with_twins(&scratch.take_found(), ef, accept))
    }

    fn with_twins(&self, found: &[Scored], ef: usize, accept: impl Fn(u32) -> bool) -> Vec<(f32, u32)> {
        let all = found.iter().flat_map(|scored| {
            let equal = [scored.row()].into_iter().chain(self.twins.of(scored.row()).iter().copied());
            equal.map(|row| (scored.score(), row))
        });
        all.filter(|(_, row)| accept(*row)).take(ef).collect()
    }
}

/// Who builds the edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    /// Our own, with several threads.
    Parallel,
    /// The package instant-distance; takes no base and can't be cancelled on the way.
    InstantDistance,
}

/// What to build a graph from, and how.
#[derive(Clone, Copy)]
pub struct Build<'a> {
    /// Rows without direction do not get into the graph.
    pub rows: Rows<'a>,
    /// At least one.
    pub threads: usize,
    /// Decides on which layers a row stands, and in which order rows are inserted.
    pub seed: u64,
    /// A graph over the first of the rows, to go on from.
    pub base: Option<Graph<'a>>,
    /// Looked at between insertions.
    pub cancelled: &'a AtomicBool,
    /// Called between insertions, by each thread: may wait until more urgent work is done.
    pub pause: &'a (dyn Fn() + Sync),
}

impl Build<'_> {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Runs `work` on each index below `count`, on all threads; each has its own `state`. `None` if cancelled.
    fn on_all_threads<S: Send>(
        &self,
        count: usize,
        state: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, usize) + Sync,
    ) -> Option<Vec<S>> {
        let next = std::sync::atomic::AtomicUsize::new(0);
        let run = || {
            let mut state = state();
            while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < count) {
                if self.is_cancelled() {
                    break;
                }
                (self.pause)();
                work(&mut state, at);
            }
            state
        };
        let states = std::thread::scope(|scope| {
            // Where no further thread is to be had, this one does all the work.
            let helpers: Vec<_> = (1..self.threads)
                .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, run).ok())
                .collect();
            let mut states = vec![run()];
            for helper in helpers {
                states.push(helper.join().ok()?);
            }
            Some(states)
        })?;
        (!self.is_cancelled()).then_some(states)
    }
}

/// Builds a graph and repairs it until every row finds itself. `None` if cancelled.
///
/// With one thread the result depends on rows, seed and base only.
pub fn build(builder: Builder, build: &Build<'_>) -> Option<Vec<u32>> {
    let words = match builder {
        Builder::Parallel => parallel::build(build)?,
        Builder::InstantDistance => instant::build(build)?,
    };
    repair::repair(words, build)
}

#[cfg(test)]
mod tests;
