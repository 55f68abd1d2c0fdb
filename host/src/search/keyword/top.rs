//! The best rows of a query over all segments.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use tantivy::query::{BooleanQuery, EnableScoring, Query, Weight};
use tantivy::{DocAddress, Score, SegmentReader};

use super::query::Statistics;
use super::rows::Rows;

/// A filter that lets through fewer rows than one in so many leads the search; any other is asked about each row found.
const FEW_ROWS: u64 = 20;

/// The rows that any of the queries finds, best first. No row may be found by two of them.
pub fn run(
    statistics: &Statistics<'_>,
    queries: Vec<Box<dyn Query>>,
    allowed: Option<&Rows>,
    limit: usize,
) -> tantivy::Result<Vec<(f32, DocAddress)>> {
    let searcher = statistics.searcher;
    let few = allowed.filter(|rows| rows.len() * FEW_ROWS < searcher.num_docs());
    let mut best = Best { limit, rows: BinaryHeap::with_capacity(limit + 1) };
    // What the largest segment has found lets the others be skipped through: one bar for all.
    let mut segments: Vec<_> = (0u32..).zip(searcher.segment_readers()).collect();
    segments.sort_by_key(|(_, segment)| Reverse(segment.num_docs()));
    for mut query in queries {
        if let Some(rows) = few {
            query = Box::new(BooleanQuery::intersection(vec![Box::new(rows.clone()), query]));
        }
        let weight = query.weight(EnableScoring::enabled_from_statistics_provider(statistics, searcher))?;
        for (ord, segment) in &segments {
            best.look_through(weight.as_ref(), *ord, segment, allowed)?;
        }
    }
    let rows = best.rows.into_sorted_vec().into_iter();
    Ok(rows.map(|row| (row.score, row.address)).collect())
}

/// The best rows so far; the worst of them is on top.
struct Best {
    limit: usize,
    rows: BinaryHeap<Scored>,
}

impl Best {
    fn look_through(
        &mut self,
        weight: &dyn Weight,
        ord: u32,
        segment: &SegmentReader,
        allowed: Option<&Rows>,
    ) -> tantivy::Result<()> {
        let allowed = match allowed.map(|rows| rows.0.get(&segment.segment_id())) {
            // None of the rows of this segment may be found.
            Some(None) => return Ok(()),
            Some(rows) => rows,
            None => None,
        };
        let alive = segment.alive_bitset();
        weight.for_each_pruning(self.bar(), segment, &mut |row, score| {
            let counts = alive.is_none_or(|alive| alive.is_alive(row))
                && allowed.is_none_or(|allowed| allowed.contains(row));
            if counts {
                self.push(Scored { score, address: DocAddress::new(ord, row) });
            }
            self.bar()
        })
    }

    /// A row must score higher.
    fn bar(&self) -> Score {
        let worst = self.rows.peek().filter(|_| self.rows.len() >= self.limit);
        worst.map_or(Score::MIN, |worst| worst.score)
    }

    fn push(&mut self, row: Scored) {
        self.rows.push(row);
        if self.rows.len() > self.limit {
            self.rows.pop();
        }
    }
}

/// Better rows are less: scores fall, then addresses rise.
struct Scored {
    score: Score,
    address: DocAddress,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.address.cmp(&other.address))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scored {}
