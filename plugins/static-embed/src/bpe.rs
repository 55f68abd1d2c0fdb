//! Byte-pair encoding of one piece (Sennrich et al. 2016): joins the pair of the lowest rank, leftmost first, until
//! none is left. A heap and a linked list: long pieces cost n log n.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

/// `(left, right)` to `(rank, joined)`.
pub type Merges = FxHashMap<(u32, u32), (u32, u32)>;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Symbol {
    /// `NONE` once it was joined to its left neighbour.
    id: u32,
    previous: u32,
    next: u32,
}

/// Joins symbols; kept between pieces for its buffers.
#[derive(Default)]
pub struct Joiner {
    symbols: Vec<Symbol>,
    /// Rank of a pair and position of its left symbol. A rank is one pair's, and so tells whether it is still there.
    queue: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Joiner {
    /// The tokens of a piece that is given as its characters' tokens, appended to `out`.
    pub fn join(&mut self, characters: &[u32], merges: &Merges, out: &mut Vec<u32>) {
        self.load(characters);
        for left in 0..characters.len() as u32 {
            self.offer(left, merges);
        }
        while let Some(Reverse((rank, left))) = self.queue.pop() {
            match self.merge_at(left, merges) {
                Some((still, id)) if still == rank => self.merge(left, id, merges),
                _ => {}
            }
        }
        out.extend(self.symbols.iter().map(|symbol| symbol.id).filter(|&id| id != NONE));
    }

    fn load(&mut self, characters: &[u32]) {
        self.symbols.clear();
        self.symbols.extend(characters.iter().zip(0..).map(|(&id, at): (_, u32)| Symbol {
            id,
            previous: at.wrapping_sub(1),
            next: at + 1,
        }));
        if let Some(last) = self.symbols.last_mut() {
            last.next = NONE;
        }
    }

    fn symbol(&self, at: u32) -> Option<Symbol> {
        self.symbols.get(at as usize).copied().filter(|symbol| symbol.id != NONE)
    }

    /// Rank and result of the merge that `left` and its right neighbour allow.
    fn merge_at(&self, left: u32, merges: &Merges) -> Option<(u32, u32)> {
        let symbol = self.symbol(left)?;
        merges.get(&(symbol.id, self.symbol(symbol.next)?.id)).copied()
    }

    fn offer(&mut self, left: u32, merges: &Merges) {
        if let Some((rank, _)) = self.merge_at(left, merges) {
            self.queue.push(Reverse((rank, left)));
        }
    }

    fn merge(&mut self, left: u32, id: u32, merges: &Merges) {
        let Symbol { previous, next: right, .. } = self.symbols[left as usize];
        let next = self.symbols[right as usize].next;
        self.symbols[right as usize].id = NONE;
        self.symbols[left as usize] = Symbol { id, previous, next };
        if let Some(symbol) = self.symbols.get_mut(next as usize) {
            symbol.previous = left;
        }
        self.offer(previous, merges);
        self.offer(left, merges);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word.
    fn slow(characters: &[u32], merges: &Merges) -> Vec<u32> {
        let mut ids = characters.to_vec();
        loop {
            let pairs = ids.windows(2).enumerate();
            let best = pairs.filter_map(|(at, pair)| Some((merges.get(&(pair[0], pair[1]))?, at))).min();
            let Some((&(_, id), at)) = best else { return ids };
            ids.splice(at..at + 2, [id]);
        }
    }

    proptest! {
        #[test]
        fn the_heap_joins_as_the_definition_does(
            characters in prop::collection::vec(0..3u32, 0..40),
            pairs in prop::collection::vec((0..12u32, 0..12u32), 0..20),
        ) {
            // A merge joins tokens that exist already, as in any trained vocabulary.
            let merges: Merges = pairs
                .into_iter()
                .zip(0..)
                .map(|((left, right), rank)| ((left % (3 + rank), right % (3 + rank)), (rank, 3 + rank)))
                .collect();
            let mut joined = Vec::new();
            Joiner::default().join(&characters, &merges, &mut joined);
            prop_assert_eq!(joined, slow(&characters, &merges));
        }
    }

    #[test]
    fn a_joiner_can_be_used_again() {
        let merges = Merges::from_iter([((0, 1), (0, 2))]);
        let (mut joiner, mut out) = (Joiner::default(), Vec::new());
        joiner.join(&[0, 1, 0], &merges, &mut out);
        joiner.join(&[1, 0, 1], &merges, &mut out);
        assert_eq!(out, [2, 0, 1, 2]);
    }
}
