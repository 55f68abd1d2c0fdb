//! Says what takes so long.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// Rust components are compiled sooner.
const PATIENCE: Duration = Duration::from_secs(1);

/// Loads a plugin, and says so where that takes its time.
pub(super) fn while_compiling<T>(what: &str, load: impl FnOnce() -> T) -> T {
    let (done, waiting) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!(
                    "compiling {what} for this machine: seconds for Rust, half a minute where a language's runtime \
                     is inside"
                );
            }
        });
        let loaded = load();
        drop(done);
        loaded
    })
}
