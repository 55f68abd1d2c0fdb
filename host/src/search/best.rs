//! The best of many scores.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// What there is room for from the start.
const ROOM: usize = 256;

/// The highest scores so far and what they belong to; of equal ones the lower item counts more.
pub struct Best<S, T> {
    limit: usize,
    /// The worst on top.
    heap: BinaryHeap<Reverse<(S, Reverse<T>)>>,
}

impl<S: Ord + Copy, T: Ord + Copy> Best<S, T> {
    /// Keeps at most `limit`.
    pub fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::with_capacity(limit.min(ROOM)) }
    }

    /// The score that others must reach; `None` while all are kept.
    pub fn bar(&self) -> Option<S> {
        self.worst().map(|(score, _)| score)
    }

    fn worst(&self) -> Option<(S, Reverse<T>)> {
        let worst = self.heap.peek().filter(|_| self.heap.len() >= self.limit);
        worst.map(|Reverse(worst)| *worst)
    }

    /// Keeps it, once there are enough in place of the worst one if it is better.
    pub fn offer(&mut self, score: S, item: T) {
        let offered = (score, Reverse(item));
        match self.worst() {
            Some(worst) if offered <= worst => {}
            Some(_) => {
                if let Some(mut worst) = self.heap.peek_mut() {
                    *worst = Reverse(offered);
                }
            }
            None => self.heap.push(Reverse(offered)),
        }
    }

    /// All that was kept, in no order.
    pub fn into_items(self) -> impl Iterator<Item = T> {
        self.heap.into_iter().map(|Reverse((_, Reverse(item)))| item)
    }

    /// All that was kept, best first.
    pub fn into_sorted(self) -> impl Iterator<Item = (S, T)> {
        let sorted = self.heap.into_sorted_vec().into_iter();
        sorted.map(|Reverse((score, Reverse(item)))| (score, item))
    }
}

/// A score with a total order.
#[derive(Clone, Copy, Debug)]
pub struct Ordered(pub f32);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_keeps_the_highest_and_of_equals_the_lower(
            scores in proptest::collection::vec(-5i8..5, 0..40), limit in 1usize..20, backwards: bool,
        ) {
            let mut best = Best::new(limit);
            let mut offers: Vec<_> = scores.iter().copied().zip(0usize..).collect();
            if backwards {
                offers.reverse();
            }
            offers.iter().for_each(|(score, item)| best.offer(*score, *item));
            offers.sort_by_key(|(score, item)| (Reverse(*score), *item));
            offers.truncate(limit);
            let bar = offers.last().filter(|_| offers.len() == limit).map(|last| last.0);
            prop_assert_eq!(best.bar(), bar);
            prop_assert_eq!(best.into_sorted().collect::<Vec<_>>(), offers);
        }
    }
}
