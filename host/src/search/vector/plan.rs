//! When segments are written, joined and rewritten: a pure function of how they stand.
//!
//! Rows come into memory, then into flat segments, which are scanned. Once the flat ones have so many rows that a scan
//! would be felt, they become one segment with a graph; a graph before it that is not much larger is joined in, so that
//! sizes fall from the oldest to the newest and each row is rewritten a few times only.

use std::ops::Range;

use super::pace;

/// What a scan of everything that has no graph may take, in microseconds: a walk through a graph of that many rows takes
/// about half of it, and finds nearly all where a scan finds all.
const SCAN_US: f64 = 1000.0;
/// How much larger a graph before may be to be joined in. Two graphs cost a search nearly twice what one does; the larger
/// one is gone on with, so that joining costs what the smaller one's rows do.
const LARGER: u64 = 2;

/// Sizes at which things are done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Rows in memory that make a segment.
    pub seal_rows: u64,
    /// Rows without a graph that make one.
    pub graph_rows: u64,
    /// Flat segments that are joined.
    pub flats_max: usize,
    /// Segments with a graph at most.
    pub graphs_max: usize,
}

impl Limits {
    /// For vectors of a dimension, from how fast this machine scans them.
    pub fn measured(dimension: usize) -> Self {
        let rows = (pace::rows_a_microsecond(dimension) * SCAN_US) as u64;
        let graph_rows = rows.clamp(8 << 10, 256 << 10);
        Self { seal_rows: (graph_rows / 4).min(16 << 10), graph_rows, flats_max: 8, graphs_max: 4 }
    }
}

/// A segment as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Dead ones too.
    pub rows: u64,
    /// Of them.
    pub dead: u64,
    /// Whether it has a graph.
    pub graph: bool,
}

impl Standing {
    fn alive(&self) -> u64 {
        self.rows - self.dead
    }

    /// Whether so much is dead that rewriting pays.
    fn is_worn(&self) -> bool {
        self.dead * 5 > self.rows
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Write what is in memory to a segment.
    Seal,
    /// Write neighbouring segments anew, as one.
    Rewrite {
        /// Positions of the segments.
        which: Range<usize>,
        /// Whether the new one gets a graph.
        graph: bool,
    },
}

/// The next job for segments in the order of their rows and so many rows in memory; `None` if all is well.
pub fn next(segments: &[Standing], fresh: u64, limits: Limits) -> Option<Job> {
    if fresh >= limits.seal_rows {
        return Some(Job::Seal);
    }
    let flats = trailing_flats(segments);
    let flat_rows: u64 = segments[flats.clone()].iter().map(Standing::alive).sum();
    if flat_rows >= limits.graph_rows {
        return Some(rewrite(segments, with_smaller(segments, flats), limits));
    }
    if let Some(worn) = segments.iter().position(Standing::is_worn) {
        return Some(rewrite(segments, worn..worn + 1, limits));
    }
    if flats.start > limits.graphs_max {
        return Some(rewrite(segments, smallest_pair(&segments[..flats.start]), limits));
    }
    (flats.len() > limits.flats_max).then(|| rewrite(segments, flats, limits))
}

/// Everything in one segment; `None` if it is already and has nothing dead.
pub fn whole(segments: &[Standing], limits: Limits) -> Option<Job> {
    let clean = segments.len() <= 1 && segments.iter().all(|segment| segment.dead == 0);
    (!clean).then(|| rewrite(segments, 0..segments.len(), limits))
}

fn rewrite(segments: &[Standing], which: Range<usize>, limits: Limits) -> Job {
    let alive: u64 = segments[which.clone()].iter().map(Standing::alive).sum();
    Job::Rewrite { which, graph: alive >= limits.graph_rows }
}

/// The flat segments behind the last one with a graph.
fn trailing_flats(segments: &[Standing]) -> Range<usize> {
    let start = segments.iter().rposition(|segment| segment.graph).map_or(0, |last| last + 1);
    start..segments.len()
}

/// Also the segments before, as long as they have not many more rows than what follows them.
fn with_smaller(segments: &[Standing], mut which: Range<usize>) -> Range<usize> {
    let mut rows: u64 = segments[which.clone()].iter().map(Standing::alive).sum();
    while let Some(before) = which.start.checked_sub(1).map(|at| segments[at].alive()) {
        if before > rows * LARGER {
            break;
        }
        rows += before;
        which.start -= 1;
    }
    which
}

/// The two neighbours that have the fewest rows together.
fn smallest_pair(segments: &[Standing]) -> Range<usize> {
    let rows = |at: &usize| segments[*at].alive() + segments[*at + 1].alive();
    let at = (0..segments.len().saturating_sub(1)).min_by_key(rows).unwrap_or(0);
    at..(at + 2).min(segments.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { seal_rows: 10, graph_rows: 40, flats_max: 8, graphs_max: 4 };

    fn flat(rows: u64) -> Standing {
        Standing { rows, dead: 0, graph: false }
    }

    fn graph(rows: u64) -> Standing {
        Standing { rows, dead: 0, graph: true }
    }

    #[test]
    fn jobs_come_when_they_are_due() {
        let next = |segments: &[Standing], fresh| next(segments, fresh, LIMITS);
        let rewrite = |which, graph| Some(Job::Rewrite { which, graph });
        assert_eq!(next(&[], 9), None);
        assert_eq!(next(&[flat(30)], 10), Some(Job::Seal));
        assert_eq!(next(&[flat(10), flat(10), flat(10)], 0), None);
        assert_eq!(next(&[flat(10), flat(10), flat(10), flat(10)], 0), rewrite(0..4, true));
        assert_eq!(next(&[graph(90), flat(20), flat(20)], 0), rewrite(1..3, true));
        assert_eq!(
            next(&[graph(170), graph(40), flat(20), flat(20)], 0),
            rewrite(1..4, true),
            "170 are more than twice 80"
        );
        assert_eq!(next(&[graph(160), graph(40), flat(20), flat(20)], 0), rewrite(0..4, true));
        assert_eq!(next(&[flat(1); 9], 0), rewrite(0..9, false));
        assert_eq!(next(&[Standing { dead: 21, ..graph(100) }, flat(5)], 0), rewrite(0..1, true));
        assert_eq!(next(&[Standing { dead: 70, ..graph(100) }, flat(5)], 0), rewrite(0..1, false));
        let five = [graph(900), graph(400), graph(200), graph(100), graph(50)];
        assert_eq!(next(&five, 0), rewrite(3..5, true));
        assert_eq!(whole(&five, LIMITS), rewrite(0..5, true));
        assert_eq!(whole(&[graph(50)], LIMITS), None);
    }

    /// Does a job as the index does.
    fn done(segments: &mut Vec<Standing>, fresh: &mut u64, job: Job) -> u64 {
        match job {
            Job::Seal => segments.push(flat(std::mem::take(fresh))),
            Job::Rewrite { which, graph } => {
                let rows = segments[which.clone()].iter().map(Standing::alive).sum();
                segments.splice(which, (rows > 0).then_some(Standing { rows, dead: 0, graph }));
                return rows;
            }
        }
        0
    }

    proptest! {
        #[test]
        fn work_ends_and_stays_in_proportion(steps in proptest::collection::vec((1u64..30, 0usize..9, 0u64..40), 1..200)) {
            let (mut segments, mut fresh, mut put, mut written) = (Vec::<Standing>::new(), 0, 0, 0);
            for (rows, which, dead) in steps {
                fresh += rows;
                put += rows;
                if let Some(segment) = segments.get_mut(which) {
                    segment.dead = (segment.dead + dead).min(segment.rows);
                }
                let mut jobs = 0;
                while let Some(job) = next(&segments, fresh, LIMITS) {
                    written += done(&mut segments, &mut fresh, job);
                    jobs += 1;
                    prop_assert!(jobs < 40, "{segments:?}");
                }
                let scanned: u64 = fresh + segments.iter().filter(|one| !one.graph).map(Standing::alive).sum::<u64>();
                prop_assert!(segments.len() <= LIMITS.flats_max + LIMITS.graphs_max, "{segments:?}");
                prop_assert!(scanned < 3 * (LIMITS.graph_rows + LIMITS.seal_rows), "{segments:?}");
            }
            prop_assert!(written <= 14 * put + 1000, "{written} rows written for {put}");
        }
    }
}
