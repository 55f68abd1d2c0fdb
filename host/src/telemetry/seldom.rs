use std::time::{Duration, Instant};

/// Lets what goes on for long be told now and then only.
#[derive(Debug)]
pub struct Seldom {
    every: Duration,
    told: Option<Instant>,
}

impl Seldom {
    /// At most once in so long.
    pub const fn new(every: Duration) -> Self {
        Self { every, told: None }
    }

    /// Whether it is to be told now.
    pub fn is_due(&mut self) -> bool {
        let is_due = self.told.is_none_or(|told| told.elapsed() >= self.every);
        if is_due {
            self.told = Some(Instant::now());
        }
        is_due
    }

    /// It is over; whether it was told.
    pub fn ends(&mut self) -> bool {
        self.told.take().is_some()
    }
}
