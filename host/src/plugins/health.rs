//! What follows from crashes: a new build that crashes is rolled back, a plugin that goes on crashing is left alone for
//! a while. Breached limits are the input's fault as often as the plugin's and do not count.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::fault::fault;
use crate::telemetry::{NoticeKind, notify};
use crate::types::{FaultKind, PluginError, Role};

/// A new build is on probation for so long.
const PROBATION: Duration = Duration::from_secs(300);
/// Crashes in a row that end a probation.
const PROBATION_CRASHES: u32 = 3;
/// Crashes in a row after which a plugin is left alone.
const CRASHES: u32 = 5;
/// For how long at first; twice as long each time.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Goes back to the build before; false if there is none.
pub type RollBack = Box<dyn Fn() -> bool + Send + Sync>;

/// The crashes of one plugin in one place of the config.
pub struct Health {
    plugin: String,
    role: Role,
    roll_back: RollBack,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    /// Since the last call that ended well.
    crashes: u32,
    pauses: u32,
    paused_until: Option<Instant>,
    probation_until: Option<Instant>,
}

impl Health {
    /// Of a plugin that has not crashed yet.
    pub fn new(plugin: &str, role: Role, roll_back: RollBack) -> Self {
        Self { plugin: plugin.to_owned(), role, roll_back, record: Mutex::default() }
    }

    /// An error while the plugin is left alone.
    pub fn admit(&self) -> Result<(), PluginError> {
        let Some(left) = self.paused() else { return Ok(()) };
        let message = format!(
            "quarantined after {CRASHES} crashes in a row; it is tried again in {} s. Replace the plugin, or reload it by \
             POST /api/v1/plugins/reload",
            left.as_secs() + 1
        );
        let error = fault(&self.plugin, FaultKind::Unavailable, message);
        Err(PluginError { retryable: true, retry_after_ms: u32::try_from(left.as_millis()).ok(), ..error })
    }

    /// How long the plugin is still left alone.
    pub fn paused(&self) -> Option<Duration> {
        let until = self.record.lock().paused_until?;
        until.checked_duration_since(Instant::now())
    }

    /// Takes note of how a call ended; true if the build before is back in use.
    pub fn note(&self, error: Option<&PluginError>) -> bool {
        let crashed = error.is_some_and(|error| error.kind.is_crash());
        let mut record = self.record.lock();
        if !crashed {
            if error.is_none() {
                record.crashes = 0;
                record.pauses = 0;
            }
            return false;
        }
        record.crashes += 1;
        let on_probation = record.probation_until.is_some_and(|until| Instant::now() < until);
        if on_probation && record.crashes >= PROBATION_CRASHES {
            record.probation_until = None;
            record.crashes = 0;
            drop(record);
            return (self.roll_back)();
        }
        // A parser meets files that were made to crash it; others must not wait for those.
        if self.role != Role::Parser && record.crashes >= CRASHES {
            let pause = PAUSE.saturating_mul(1 << record.pauses.min(16)).min(PAUSE_MAX);
            record.paused_until = Some(Instant::now() + pause);
            record.pauses += 1;
            // After the pause one more crash is enough.
            record.crashes = CRASHES - 1;
            let seconds = pause.as_secs();
            tracing::error!(plugin = self.plugin, seconds, "quarantined: it keeps crashing");
            notify(
                NoticeKind::PluginQuarantined,
                &self.plugin,
                format!("it keeps crashing; left alone for {seconds} s"),
            );
        }
        false
    }

    /// A new build took over.
    pub fn begin_probation(&self) {
        *self.record.lock() =
            Record { probation_until: Some(Instant::now() + PROBATION), ..Record::default() };
    }

    /// Forgets everything, because somebody asked for it.
    pub fn reset(&self) {
        *self.record.lock() = Record::default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn health(role: Role) -> (Health, Arc<AtomicU32>) {
        let rolled = Arc::new(AtomicU32::new(0));
        let count = rolled.clone();
        let roll_back = move || {
            count.fetch_add(1, Ordering::Relaxed);
            true
        };
        (Health::new("p", role, Box::new(roll_back)), rolled)
    }

    fn crash() -> PluginError {
        fault("p", FaultKind::Trap, "crashed")
    }

    #[test]
    fn crashes_in_a_row_are_a_quarantine() {
        let (health, rolled) = health(Role::Generator);
        for _ in 0..CRASHES - 1 {
            assert!(!health.note(Some(&crash())));
        }
        health.note(None);
        for _ in 0..CRASHES {
            assert!(health.admit().is_ok());
            health.note(Some(&crash()));
        }
        let error = health.admit().unwrap_err();
        assert!(error.retryable && error.retry_after_ms.is_some(), "{error:?}");
        assert_eq!(rolled.load(Ordering::Relaxed), 0, "no probation");
        health.reset();
        assert!(health.admit().is_ok());
    }

    #[test]
    fn breached_limits_and_refusals_are_no_crashes() {
        let (health, _) = health(Role::Embedder);
        for _ in 0..20 {
            health.note(Some(&fault("p", FaultKind::Limit(crate::types::Limit::Time), "slow")));
            health.note(Some(&fault("p", FaultKind::Corrupt, "no")));
        }
        assert!(health.admit().is_ok());
    }

    #[test]
    fn parsers_are_never_left_alone() {
        let (health, _) = health(Role::Parser);
        (0..20).for_each(|_| assert!(!health.note(Some(&crash()))));
        assert!(health.admit().is_ok());
    }

    #[test]
    fn a_probation_ends_with_the_build_before() {
        let (health, rolled) = health(Role::Parser);
        health.begin_probation();
        let ends: Vec<bool> = (0..PROBATION_CRASHES).map(|_| health.note(Some(&crash()))).collect();
        assert_eq!(ends, [false, false, true]);
        assert_eq!(rolled.load(Ordering::Relaxed), 1);
        assert!(!health.note(Some(&crash())), "the probation is over");
    }
}
