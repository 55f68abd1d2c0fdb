use std::time::Duration;

use crate::llama::BATCH_MAX;

/// How long a step may take that reads a prompt: nobody can cancel an answer meanwhile.
const STEP: Duration = Duration::from_secs(1);
/// Steps smaller than this waste what a batch saves.
const STEP_TOKENS_MIN: usize = 32;
/// Before anything was measured.
const STEP_TOKENS_FIRST: usize = 128;

/// How much of a prompt is read in one step, by how fast the machine reads.
#[derive(Debug, Default)]
pub struct Pace {
    tokens_per_s: Option<f64>,
}

impl Pace {
    /// Tokens for the next step.
    pub fn tokens(&self) -> usize {
        let measured = self.tokens_per_s.map(|rate| (rate * STEP.as_secs_f64()) as usize);
        measured.unwrap_or(STEP_TOKENS_FIRST).clamp(STEP_TOKENS_MIN, BATCH_MAX)
    }

    /// A step read so many.
    pub fn measured(&mut self, tokens: usize, took: Duration) {
        if tokens >= STEP_TOKENS_MIN && !took.is_zero() {
            self.tokens_per_s = Some(tokens as f64 / took.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_take_about_a_second() {
        let mut pace = Pace::default();
        assert_eq!(pace.tokens(), STEP_TOKENS_FIRST);
        for (ms, expected) in [(100, BATCH_MAX), (500, 256), (60_000, STEP_TOKENS_MIN)] {
            pace.measured(128, Duration::from_millis(ms));
            assert_eq!(pace.tokens(), expected, "{ms} ms for 128 tokens");
        }
        pace.measured(1, Duration::from_millis(1));
        assert_eq!(pace.tokens(), STEP_TOKENS_MIN, "one token tells nothing of many");
    }
}
