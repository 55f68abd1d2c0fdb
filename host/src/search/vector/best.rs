//! The best of many scores.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The highest scores so far and what they belong to; of equal ones the lower item counts more.
pub struct Best<T> {
    limit: usize,
    /// The worst on top.
    heap: BinaryHeap<Reverse<(Ordered, Reverse<T>)>>,
    threshold: f32,
}

impl<T: Ord> Best<T> {
    /// Keeps at most `limit`.
    pub fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new(), threshold: f32::NEG_INFINITY }
    }

    /// Whether an offer of this score would be kept.
    pub fn would_take(&self, score: f32) -> bool {
        score > self.threshold
    }

    /// Keeps it in place of the worst one, once there are enough. Scores that would not be taken must not be offered.
    pub fn offer(&mut self, score: f32, item: T) {
        if self.heap.len() >= self.limit {
            self.heap.pop();
        }
        self.heap.push(Reverse((Ordered(score), Reverse(item))));
        if self.heap.len() >= self.limit {
            self.threshold = self.heap.peek().map_or(f32::NEG_INFINITY, |Reverse((score, _))| score.0);
        }
    }

    /// All that was kept, in no order.
    pub fn into_items(self) -> impl Iterator<Item = T> {
        self.heap.into_iter().map(|Reverse((_, Reverse(item)))| item)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_keeps_the_highest(scores in proptest::collection::vec(-5i8..5, 0..40), limit in 1usize..20) {
            let mut best = Best::new(limit);
            for (item, score) in scores.iter().enumerate() {
                if best.would_take(f32::from(*score)) {
                    best.offer(f32::from(*score), item);
                }
            }
            let mut kept: Vec<i8> = best.into_items().map(|item| scores[item]).collect();
            kept.sort_by_key(|score| std::cmp::Reverse(*score));
            let mut wanted = scores.clone();
            wanted.sort_by_key(|score| std::cmp::Reverse(*score));
            wanted.truncate(limit);
            prop_assert_eq!(kept, wanted);
        }
    }
}
