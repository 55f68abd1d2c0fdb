use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a plugin did since start; shared by all its instances.
#[derive(Debug, Default)]
pub struct Stats {
    calls: AtomicU64,
    traps: AtomicU64,
    busy_us: AtomicU64,
    memory_peak: AtomicU64,
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

    /// Time spent in calls, in microseconds.
    pub fn busy_us(&self) -> u64 {
        self.busy_us.load(Relaxed)
    }

    /// Largest linear memory that one instance had, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Relaxed)
    }
}
