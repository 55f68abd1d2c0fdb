//! A segment as a search sees it: the file, and which of its rows are dead.

use std::sync::Arc;

use parking_lot::Mutex;

use super::bits::Bits;
use super::graph::Scratch;
use super::scan::Probe;
use super::segment::{Run, Segment};
use super::{Found, Trace};
use crate::types::DocumentId;

/// Rows that are scored at once in a scan.
const STRETCH: usize = 4096;
/// What finding a row through the graph costs beside scoring one in a scan, roughly: with `n` rows of which `m` may be
/// found, a walk that wants `ef` of them scores `GRAPH_COST * ef * n / m`. Tests have few rows.
const GRAPH_COST: f64 = if cfg!(test) { 4.0 } else { 40.0 };

/// A segment and its dead rows.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Names the file.
    pub number: u64,
    /// The file.
    pub segment: Arc<Segment>,
    /// Places of dead rows.
    pub dead: Arc<Bits>,
    /// For walks through the graph; as many as there were searches at once.
    scratches: Arc<Mutex<Vec<Scratch>>>,
}

/// Scores and places, and how many rows were compared.
type Walked = (Vec<(f32, u32)>, u64);

/// What a search wants of each source of rows.
pub struct Wanted<'a> {
    /// The query.
    pub probe: &'a Probe,
    /// Row numbers that may be found; all where there is none.
    pub allowed: Option<&'a Bits>,
    /// How many rows at most.
    pub count: usize,
    /// Effort of a walk through a graph.
    pub ef: usize,
}

impl Sealed {
    /// A segment whose dead rows are known.
    pub fn new(number: u64, segment: Arc<Segment>, dead: Bits) -> Self {
        Self { number, segment, dead: Arc::new(dead), scratches: Arc::default() }
    }

    /// Rows that are alive.
    pub fn alive(&self) -> u64 {
        (self.segment.len() as u64).saturating_sub(self.dead.len())
    }

    /// The place of a row number, if it is there and alive.
    pub fn place(&self, row: u32) -> Option<u32> {
        let numbers = self.segment.numbers();
        // Where no number is left out, which is usual, that is the place; else it comes before.
        let most = row.checked_sub(*numbers.first()?)? as usize;
        let place = match numbers.get(most) {
            Some(number) if *number == row => most,
            _ => numbers[..most.min(numbers.len())].binary_search(&row).ok()?,
        } as u32;
        (!self.dead.contains(place)).then_some(place)
    }

    /// The version of a document that is alive.
    pub fn run_of(&self, document: DocumentId) -> Option<Run> {
        self.segment.runs_of(document).find(|run| run.len > 0 && !self.dead.contains(run.start))
    }

    /// All runs that are alive.
    pub fn alive_runs(&self) -> impl Iterator<Item = Run> + '_ {
        let runs = (0..self.segment.runs()).map(|at| self.segment.run(at));
        runs.filter(|run| !self.dead.contains(run.start))
    }

    /// Calls `offer` with the score and place of at least all rows that belong to the best: `offer` keeps what it wants.
    pub fn collect(&self, wanted: &Wanted<'_>, trace: &mut Trace, mut offer: impl FnMut(f32, Found)) {
        let segment = &self.segment;
        let span = segment.span();
        let matches = match wanted.allowed {
            Some(allowed) => allowed.count(span),
            None => self.alive(),
        };
        if matches == 0 {
            return;
        }
        if self.pays(wanted.ef, matches)
            && let Some((found, compared)) = self.walk(wanted, matches)
        {
            trace.graph_segments += 1;
            trace.graph_rows += compared;
            return found
                .into_iter()
                .for_each(|(score, place)| offer(score, Found::Sealed(self.number, place)));
        }
        trace.exact_rows += matches;
        match wanted.allowed {
            Some(allowed) => self.scan_some(wanted.probe, allowed, &mut offer),
            None => self.scan(wanted.probe, &mut offer),
        }
    }

    /// Whether a walk through the graph is cheaper than a scan of what matches.
    fn pays(&self, ef: usize, matches: u64) -> bool {
        let (rows, matches) = (self.segment.len() as f64, matches as f64);
        self.segment.has_graph() && matches * matches > GRAPH_COST * ef as f64 * rows
    }

    /// What was found, and how many rows were compared on the way; `None` if a scan would have been cheaper.
    fn walk(&self, wanted: &Wanted<'_>, matches: u64) -> Option<Walked> {
        let graph = self.segment.graph()?;
        let mut scratch = self.scratches.lock().pop().unwrap_or_default();
        let visits = usize::try_from(matches).unwrap_or(usize::MAX);
        let (rows, numbers) = (self.segment.rows(), self.segment.numbers());
        let alive = |place: u32| !self.dead.contains(place);
        let found = match wanted.allowed {
            None => graph.search(rows, wanted.probe, wanted.ef, visits, alive, &mut scratch),
            Some(allowed) => {
                let may = |place: u32| {
                    alive(place) && numbers.get(place as usize).is_some_and(|row| allowed.contains(*row))
                };
                graph.search(rows, wanted.probe, wanted.ef, visits, may, &mut scratch)
            }
        };

        let compared = scratch.scored() as u64;
        self.scratches.lock().push(scratch);
        Some((found?, compared))
    }

    fn scan(&self, probe: &Probe, offer: &mut impl FnMut(f32, Found)) {
        let rows = self.segment.rows();
        let mut scores = Vec::new();
        for start in (0..rows.len()).step_by(STRETCH) {
            let end = rows.len().min(start + STRETCH);
            rows.approximate(probe, start..end, &mut scores);
            for (place, score) in (start..end).zip(&scores) {
                if rows.is_found(place) && !self.dead.contains(place as u32) {
                    offer(*score, Found::Sealed(self.number, place as u32));
                }
            }
        }
    }

    /// Scores only what is allowed, run by run.
    fn scan_some(&self, probe: &Probe, allowed: &Bits, offer: &mut impl FnMut(f32, Found)) {
        let rows = self.segment.rows();
        let mut scores = Vec::new();
        let mut next = self.places_of(allowed).peekable();
        while let Some(start) = next.next() {
            let mut end = start + 1;
            while next.next_if_eq(&end).is_some() {
                end += 1;
            }
            rows.approximate(probe, start as usize..end as usize, &mut scores);
            for (place, score) in (start..end).zip(&scores) {
                if rows.is_found(place as usize) && !self.dead.contains(place) {
                    offer(*score, Found::Sealed(self.number, place));
                }
            }
        }
    }

    /// The places of the row numbers of a set, ascending.
    fn places_of<'a>(&'a self, allowed: &'a Bits) -> impl Iterator<Item = u32> + 'a {
        let numbers = self.segment.numbers();
        let mut at = 0;
        allowed.iter(self.segment.span()).filter_map(move |row| {
            at += gallop(&numbers[at..], row);
            (numbers.get(at) == Some(&row)).then_some(at as u32)
        })
    }
}

/// How many of the first numbers are lower than `row`; cheap where that are few.
fn gallop(numbers: &[u32], row: u32) -> usize {
    let mut step = 1;
    while numbers.get(step).is_some_and(|number| *number < row) {
        step *= 2;
    }
    let (low, high) = (step / 2, numbers.len().min(step + 1));
    low + numbers[low..high].partition_point(|number| *number < row)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn galloping_finds_what_a_walk_finds(numbers in proptest::collection::btree_set(0u32..300, 0..90), row in 0u32..310) {
            let numbers: Vec<u32> = numbers.into_iter().collect();
            let wanted = numbers.iter().take_while(|number| **number < row).count();
            prop_assert_eq!(gallop(&numbers, row), wanted);
        }
    }
}
