//! How fast this machine scans.

use std::collections::BTreeMap;
use std::time::Instant;

use parking_lot::Mutex;

use super::scan::{Probe, Rows};

/// Rows of the trial: enough to be timed, few enough to be over at once.
const ROWS: usize = 4096;
const TRIALS: usize = 3;

/// Rows of a dimension that one thread scores in a microsecond; measured when first asked for.
pub fn rows_a_microsecond(dimension: usize) -> f64 {
    static KNOWN: Mutex<BTreeMap<usize, f64>> = Mutex::new(BTreeMap::new());
    *KNOWN.lock().entry(dimension).or_insert_with(|| measure(dimension))
}

fn measure(dimension: usize) -> f64 {
    let (numbers, steps) = (vec![1i8; ROWS * dimension], vec![1.0; ROWS]);
    let rows = Rows { dimension, upper: &numbers, lower: &numbers, steps: &steps };
    let Some(probe) = Probe::new(&vec![1.0; dimension]) else { return 1.0 };
    let mut scores = Vec::new();
    // The first one pays for pages that were never touched; the best of the others was disturbed least.
    let trial = |_| {
        let begun = Instant::now();
        rows.approximate(&probe, 0..ROWS, &mut scores);
        begun.elapsed().as_secs_f64() * 1e6
    };
    let best = (0..=TRIALS).map(trial).skip(1).fold(f64::INFINITY, f64::min);
    ROWS as f64 / best.max(1.0)
}
