//! As many searches at once as there are processors; the others wait in turn. More at once only take the caches from
//! each other, and all end late.

use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Searches that must find all other seats free, one after the other, until one is taken to be alone: between two of
/// many clients there is a moment without a search, too.
const QUIET: u32 = 4;
/// How long two searches at once are remembered.
const CROWDED: Duration = Duration::from_millis(250);

/// Seats for searches.
pub struct Seats {
    count: usize,
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    taken: usize,
    /// Searches in a row that found all others free.
    quiet: u32,
    /// When a search last met another.
    met: Option<Instant>,
}

/// A seat; it is left when this is dropped.
pub struct Seat<'a> {
    seats: &'a Seats,
    /// Whether no other search goes on, nor did lately.
    pub is_alone: bool,
}

impl Seats {
    /// One a processor.
    pub fn new() -> Self {
        Self {
            count: available_parallelism().map_or(1, usize::from),
            state: Mutex::default(),
            left: Condvar::new(),
        }
    }

    /// Waits for a seat. Blocks.
    pub fn enter(&self) -> Seat<'_> {
        let mut state = self.state.lock();
        while state.taken == self.count {
            self.left.wait(&mut state);
        }
        match state.taken {
            0 => state.quiet = state.quiet.saturating_add(1),
            _ => (state.quiet, state.met) = (0, Some(Instant::now())),
        }
        state.taken += 1;
        Seat { seats: self, is_alone: state.quiet >= QUIET }
    }

    /// Whether searches meet each other these moments.
    pub fn is_crowded(&self) -> bool {
        self.state.lock().met.is_some_and(|met| met.elapsed() < CROWDED)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.seats.state.lock().taken -= 1;
        self.seats.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn never_more_at_once_than_there_are_seats() {
        let seats = Seats { count: 2, ..Seats::new() };
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _seat = seats.enter();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 2);
        assert_eq!(seats.state.lock().taken, 0);
    }

    #[test]
    fn alone_is_who_met_nobody_for_a_while() {
        let seats = Seats { count: 2, ..Seats::new() };
        let alone = |times| (0..times).map(|_| seats.enter().is_alone).collect::<Vec<_>>();
        assert_eq!(alone(5), [false, false, false, true, true]);
        let other = seats.enter();
        assert!(other.is_alone && !seats.is_crowded() && !seats.enter().is_alone);
        assert!(seats.is_crowded());
        drop(other);
        assert_eq!(alone(4), [false, false, false, true]);
    }

    #[test]
    fn a_seat_is_left_when_a_search_panics() {
        let seats = Seats { count: 1, ..Seats::new() };
        let search = std::panic::AssertUnwindSafe(|| {
            let _seat = seats.enter();
            panic!("a search failed");
        });
        assert!(std::panic::catch_unwind(search).is_err());
        assert_eq!(seats.state.lock().taken, 0);
    }
}
