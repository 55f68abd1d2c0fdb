use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::Error;
use crate::telemetry::metrics;

/// What went to one origin and came back from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests that were answered.
    pub requests: u64,
    /// Bytes of their bodies.
    pub sent_bytes: u64,
    /// Bytes of the answers' bodies.
    pub received_bytes: u64,
}

/// Counts what one build of a plugin sends and gets; the metrics count by the plugin's name. Origins are few: those that
/// were granted.
#[derive(Debug)]
pub struct Meter {
    plugin: String,
    origins: Mutex<BTreeMap<String, Traffic>>,
    refused: AtomicU64,
}

impl Meter {
    pub(super) fn new(plugin: &str) -> Self {
        Self { plugin: plugin.to_owned(), origins: Mutex::default(), refused: AtomicU64::new(0) }
    }

    /// A request was answered.
    pub(super) fn answered(&self, origin: &str, sent_bytes: u64) {
        metrics().egress(&self.plugin, origin, sent_bytes);
        self.count(origin, |traffic| {
            traffic.requests += 1;
            traffic.sent_bytes += sent_bytes;
        });
    }

    /// A piece of an answer came.
    pub(super) fn received(&self, origin: &str, bytes: u64) {
        metrics().egress_received(&self.plugin, origin, bytes);
        self.count(origin, |traffic| traffic.received_bytes += bytes);
    }

    /// A request failed.
    pub(super) fn failed(&self, error: &Error) {
        tracing::debug!(target: "plugin", plugin = self.plugin, %error, "request failed");
        if matches!(error, Error::Denied(_)) {
            metrics().egress_refused(&self.plugin);
            self.refused.fetch_add(1, Relaxed);
        }
    }

    /// By `host:port`.
    pub fn by_origin(&self) -> BTreeMap<String, Traffic> {
        self.origins.lock().clone()
    }

    /// Requests that were not granted.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn count(&self, origin: &str, add: impl FnOnce(&mut Traffic)) {
        let mut origins = self.origins.lock();
        match origins.get_mut(origin) {
            Some(traffic) => add(traffic),
            None => add(origins.entry(origin.to_owned()).or_default()),
        }
    }
}
