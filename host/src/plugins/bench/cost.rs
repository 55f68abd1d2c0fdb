use std::time::{Duration, Instant};

// The figures of a debug build say nothing; it only has to come to its end.
const RUNS: usize = if cfg!(debug_assertions) { 20 } else { 2_000 };
const BATCHES: usize = if cfg!(debug_assertions) { 2 } else { 200 };
/// Calls that are timed together where one takes less than the clock tells.
const BATCH: u32 = 500;

/// One figure.
#[derive(Clone, Debug)]
pub struct Cost {
    /// What was measured.
    pub name: &'static str,
    /// In `unit`.
    pub value: f64,
    /// `ns`, `µs` or `ms`.
    pub unit: &'static str,
    /// On a machine with two cores.
    pub goal: Option<&'static str>,
}

impl Cost {
    pub(super) fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, goal: None }
    }

    pub(super) fn us(name: &'static str, took: Duration) -> Self {
        Self::new(name, took.as_secs_f64() * 1e6, "µs")
    }

    pub(super) fn ms(name: &'static str, took: Duration) -> Self {
        Self::new(name, took.as_secs_f64() * 1e3, "ms")
    }

    pub(super) fn goal(self, goal: &'static str) -> Self {
        Self { goal: Some(goal), ..self }
    }
}

/// Median time of one call, from batches.
pub fn batched<E>(mut call: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let mut times = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let begun = Instant::now();
        for _ in 0..BATCH {
            call()?;
        }
        times.push(begun.elapsed() / BATCH);
    }
    Ok(median(times))
}

/// The time of each call.
pub fn one_by_one<E>(mut call: impl FnMut() -> Result<(), E>) -> Result<Vec<Duration>, E> {
    let timed = |_| {
        let begun = Instant::now();
        call().map(|()| begun.elapsed())
    };
    (0..RUNS).map(timed).collect()
}

/// The time of each call of several callers at once.
pub fn at_once<E: Send>(callers: usize, call: impl Fn() -> Result<(), E> + Sync) -> Result<Vec<Duration>, E> {
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..callers).map(|_| scope.spawn(|| one_by_one(&call))).collect();
        let times = callers.into_iter().filter_map(|caller| caller.join().ok());
        times.collect::<Result<Vec<_>, E>>().map(|times| times.concat())
    })
}

/// The middle one; zero of none.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
