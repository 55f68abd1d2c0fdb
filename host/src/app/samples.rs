//! Looks at the machine now and then, keeps what it sees, and says when the disk fills up.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use crate::answer::Answers;
use crate::store::Store;
use crate::telemetry::{NoticeKind, cpu_seconds, notify, resident_bytes};
use crate::types::{Role, Sample};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(60);
/// Below it uploads will fail soon.
const DISK_LOW_BYTES: u64 = 1 << 30;

/// The thread that looks. Ends when it is dropped.
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sampler {
    pub(super) fn start(store: Store, answers: Answers, data_dir: &Path) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, data_dir) = (stop.clone(), data_dir.to_owned());
        let look = move || {
            let mut was_low = false;
            while !stopped.load(Ordering::Acquire) {
                let sample = sample(&store, &answers, &data_dir);
                was_low = watch_disk(sample.disk_free_bytes, was_low);
                if let Err(error) = store.add_sample(sample) {
                    tracing::warn!(%error, "a sample is not kept");
                }
                thread::park_timeout(PAUSE);
            }
        };
        let thread = thread::Builder::new().name("samples".into()).spawn(look)?;
        Ok(Self { stop, thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.lock().take() {
            thread.thread().unpark();
            // Its panic was logged.
            let _ = thread.join();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Says once that the disk is low; whether it is. Unknown counts as fine.
fn watch_disk(free_bytes: u64, was_low: bool) -> bool {
    let is_low = free_bytes > 0 && free_bytes < DISK_LOW_BYTES;
    if is_low && !was_low {
        let detail = format!("{} MiB are free for the data directory: free some", free_bytes >> 20);
        tracing::warn!(free_bytes, "the disk of the data directory is low");
        notify(NoticeKind::DiskLow, "", detail);
    }
    is_low
}

/// The machine and the product as they are. Blocks.
fn sample(store: &Store, answers: &Answers, data_dir: &Path) -> Sample {
    let totals = store.totals().unwrap_or_default();
    let disk = rustix::fs::statvfs(data_dir).ok();
    let models = answers.models();
    let backends: Vec<_> = models.iter().filter(|model| model.role == Role::Generator).collect();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Sample {
        at: jiff::Timestamp::now().as_millisecond(),
        memory_bytes: resident_bytes().unwrap_or_default(),
        cpu_seconds: cpu_seconds().unwrap_or_default(),
        disk_free_bytes: disk.map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        database_bytes: totals.database_bytes,
        documents: totals.documents,
        documents_queued: totals.queued,
        documents_failed: totals.failed,
        chunks: totals.chunks,
        sessions: totals.sessions,
        backends: count(backends.len()),
        backends_ready: count(backends.iter().filter(|model| model.problem.is_none()).count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_disk_is_said_once() {
        let mut notices = crate::telemetry::notices();
        assert!(watch_disk(DISK_LOW_BYTES - 1, false));
        assert!(watch_disk(DISK_LOW_BYTES - 2, true));
        assert!(!watch_disk(DISK_LOW_BYTES, true));
        assert!(!watch_disk(0, false));
        let told = std::iter::from_fn(|| notices.try_recv().ok());
        assert_eq!(told.filter(|notice| notice.kind == NoticeKind::DiskLow).count(), 1);
    }
}
