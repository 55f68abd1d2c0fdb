//! The greedy best-first walk that searches and insertions share (algorithm 2 of Malkov & Yashunin, 2018).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::scan::{Probe, Rows};

/// Where the neighbours of a node stand.
pub(super) trait Links {
    /// Appends the neighbours of a node; none for a node that there is not.
    fn read(&self, node: u32, into: &mut Vec<u32>);
    /// They are read soon.
    fn prefetch(&self, node: u32);
}

/// A row with its score, ordered by score and then by row, first rows first; both in one word, since heaps compare a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scored(u64);

impl Scored {
    pub fn new(score: f32, row: u32) -> Self {
        let bits = score.to_bits();
        // The order of `f32::total_cmp`, as unsigned numbers.
        let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
        Self(u64::from(ordered) << 32 | u64::from(!row))
    }

    pub fn row(self) -> u32 {
        !(self.0 as u32)
    }

    pub fn score(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
    }
}

/// What a walk needs besides the graph; reused, so that a search allocates nearly nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    visited: Visited,
    /// Nodes to go on from, best first.
    open: BinaryHeap<Scored>,
    /// The best accepted rows; the worst of them on top.
    found: BinaryHeap<Reverse<Scored>>,
    fresh: Vec<u32>,
    scores: Vec<f32>,
    scored: usize,
}

/// A set of rows that is emptied by counting up.
#[derive(Debug, Default)]
struct Visited {
    stamps: Vec<u8>,
    epoch: u8,
}

impl Visited {
    fn clear(&mut self, rows: usize) {
        if self.stamps.len() != rows || self.epoch == u8::MAX {
            self.stamps.clear();
            self.stamps.resize(rows, 0);
            self.epoch = 0;
        }
        self.epoch += 1;
    }

    /// Whether the row is there and was not visited before.
    fn is_new(&mut self, row: u32) -> bool {
        match self.stamps.get_mut(row as usize) {
            Some(stamp) => std::mem::replace(stamp, self.epoch) != self.epoch,
            None => false,
        }
    }
}

/// How far a walk goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Width {
    /// Accepted rows to keep.
    pub ef: usize,
    /// Rows to score at most.
    pub visits_max: usize,
}

impl Scratch {
    /// Begins anew for a graph of so many rows.
    pub(super) fn begin(&mut self, rows: usize) {
        self.visited.clear(rows);
        self.open.clear();
        self.found.clear();
    }

    /// Rows that the last walk scored.
    pub fn scored(&self) -> usize {
        self.scored
    }

    /// What was found, best first.
    pub(super) fn take_found(&mut self) -> Vec<Scored> {
        let mut found: Vec<Scored> = self.found.drain().map(|Reverse(scored)| scored).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }

    /// Walks from `starts` towards the query. False when more rows than allowed were scored.
    pub(super) fn walk(
        &mut self,
        links: &impl Links,
        (rows, probe): (Rows<'_>, &Probe),
        starts: &[Scored],
        width: Width,
        accept: impl Fn(u32) -> bool,
    ) -> bool {
        self.begin(rows.len());
        self.scored = 0;
        let mut worst = Scored(0);
        for start in starts {
            if self.visited.is_new(start.row()) {
                self.open.push(*start);
                self.offer(*start, width.ef, &mut worst, &accept);
            }
        }
        while let Some(nearest) = self.open.pop() {
            if nearest < worst {
                break;
            }
            self.expand(links, (rows, probe), nearest.row());
            self.scored += self.fresh.len();
            if self.scored > width.visits_max {
                return false;
            }
            for at in 0..self.fresh.len() {
                let scored = Scored::new(self.scores[at], self.fresh[at]);
                if scored > worst {
                    self.open.push(scored);
                    self.offer(scored, width.ef, &mut worst, &accept);
                }
            }
        }
        true
    }

    /// Scores those neighbours of a node that were not visited yet.
    fn expand(&mut self, links: &impl Links, (rows, probe): (Rows<'_>, &Probe), node: u32) {
        self.fresh.clear();
        links.read(node, &mut self.fresh);
        let visited = &mut self.visited;
        self.fresh.retain(|row| visited.is_new(*row));
        self.fresh.iter().for_each(|row| rows.prefetch(*row));
        if let Some(next) = self.open.peek() {
            links.prefetch(next.row());
        }
        rows.approximate_some(probe, &self.fresh, &mut self.scores);
    }

    /// Keeps an accepted row if it is among the best; `worst` is the least of them once there are enough.
    fn offer(&mut self, scored: Scored, ef: usize, worst: &mut Scored, accept: impl Fn(u32) -> bool) {
        if scored <= *worst || !accept(scored.row()) {
            return;
        }
        if self.found.len() >= ef {
            self.found.pop();
        }
        self.found.push(Reverse(scored));
        if self.found.len() >= ef {
            *worst = self.found.peek().map_or(Scored(0), |Reverse(scored)| *scored);
        }
    }

    /// Goes from neighbour to neighbour for as long as it gets nearer (the walk with `ef` = 1).
    pub(super) fn descend(
        &mut self,
        links: &impl Links,
        (rows, probe): (Rows<'_>, &Probe),
        mut nearest: Scored,
    ) -> Scored {
        loop {
            self.fresh.clear();
            links.read(nearest.row(), &mut self.fresh);
            self.fresh.iter().for_each(|row| rows.prefetch(*row));
            rows.approximate_some(probe, &self.fresh, &mut self.scores);
            let scored = self.scores.iter().zip(&self.fresh).map(|(score, row)| Scored::new(*score, *row));
            match scored.max().filter(|best| *best > nearest) {
                Some(best) => nearest = best,
                None => return nearest,
            }
        }
    }
}

/// The score of one row, to begin with.
pub(super) fn score(rows: Rows<'_>, probe: &Probe, row: u32) -> Scored {
    let mut scores = Vec::new();
    rows.approximate_some(probe, &[row], &mut scores);
    Scored::new(scores.first().copied().unwrap_or(0.0), row)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_word_keeps_score_and_row_and_order(a: f32, b: f32, row: u32, other: u32) {
            let (first, second) = (Scored::new(a, row), Scored::new(b, other));
            prop_assert_eq!((first.score().to_bits(), first.row()), (a.to_bits(), row));
            prop_assert_eq!(first.cmp(&second), a.total_cmp(&b).then(other.cmp(&row)));
        }
    }

    #[test]
    fn a_visited_set_forgets_everything_at_once() {
        let mut visited = Visited::default();
        for _ in 0..600 {
            visited.clear(3);
            assert!(visited.is_new(2) && !visited.is_new(2) && !visited.is_new(3));
        }
    }
}
