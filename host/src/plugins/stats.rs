use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

/// What a plugin did since start; shared by all its instances.
#[derive(Debug, Default)]
pub struct Stats {
    calls: AtomicU64,
    traps: AtomicU64,
    busy_us: AtomicU64,
    memory_peak: AtomicU64,
    log_lines_dropped: AtomicU64,
    breaches: Mutex<BTreeMap<String, u64>>,
}

impl Stats {
    /// Counts a call that took `busy`.
    pub fn called(&self, busy: Duration) {
        self.calls.fetch_add(1, Relaxed);
        self.busy_us.fetch_add(busy.as_micros() as u64, Relaxed);
    }

    /// Counts an instance that had to be thrown away.
    pub fn trapped(&self) {
        self.traps.fetch_add(1, Relaxed);
    }

    /// The host had to stop the plugin; the codes are the host's own and few.
    pub fn breached(&self, code: &str) {
        let mut breaches = self.breaches.lock();
        match breaches.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(breaches.insert(code.to_owned(), 1)),
        }
    }

    /// A line for the log was one too many.
    pub fn log_line_dropped(&self) {
        self.log_lines_dropped.fetch_add(1, Relaxed);
    }

    /// An instance reached `bytes` of linear memory.
    pub fn memory(&self, bytes: usize) {
        self.memory_peak.fetch_max(bytes as u64, Relaxed);
    }

    /// Calls into the guest.
    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// Instances thrown away.
    pub fn traps(&self) -> u64 {
        self.traps.load(Relaxed)
    }

    /// What the host had to stop, by code.
    pub fn breaches(&self) -> BTreeMap<String, u64> {
        self.breaches.lock().clone()
    }

    /// Lines for the log that were too many.
    pub fn log_lines_dropped(&self) -> u64 {
        self.log_lines_dropped.load(Relaxed)
    }

    /// Time spent in calls, in microseconds.
    pub fn busy_us(&self) -> u64 {
        self.busy_us.load(Relaxed)
    }

    /// Largest linear memory that one instance had, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Relaxed)
    }
}
