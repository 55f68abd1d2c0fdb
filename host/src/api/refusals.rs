//! How many refused requests are told one by one: whoever knocks all the time must not fill the disk with lines.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

const WINDOW: Duration = Duration::from_secs(60);
/// Told one by one in each window; of more only each tenth power is.
const LINES_MAX: u64 = 100;

/// What is said of a refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Its own line.
    Alone,
    /// That it was one of so many within the window.
    Counted(u64),
    Not,
}

/// The refusals of the present window.
pub(super) struct Refusals(Mutex<Option<(Instant, u64)>>);

impl Refusals {
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// One more.
    pub fn add(&self, now: Instant) -> Told {
        let mut window = self.0.lock();
        let (_, count) = match &mut *window {
            Some(window) if now.duration_since(window.0) < WINDOW => window,
            window => window.insert((now, 0)),
        };
        *count += 1;
        match *count {
            ..=LINES_MAX => Told::Alone,
            count if 10_u64.pow(count.ilog10()) == count => Told::Counted(count),
            _ => Told::Not,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ones_of_a_minute_are_told_and_then_how_many_there_are() {
        let (refusals, begun) = (Refusals::new(), Instant::now());
        let told: Vec<Told> = (0..100_000).map(|_| refusals.add(begun)).collect();
        assert!(told[..100].iter().all(|told| *told == Told::Alone));
        let counted: Vec<_> = told[100..].iter().filter(|told| **told != Told::Not).collect();
        assert_eq!(counted, [&Told::Counted(1000), &Told::Counted(10_000), &Told::Counted(100_000)]);
        assert_eq!(refusals.add(begun + WINDOW), Told::Alone);
    }
}
