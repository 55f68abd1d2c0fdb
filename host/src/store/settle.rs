//! A thread that writes the state of the allocator to disk once writers pause, see `Engine::settle`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Result;
use super::engine::{Engine, QUIET};
use super::error::at;

/// How long to wait after a failure.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends its thread, and waits for it, when it is dropped.
pub(super) struct Settler {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Settler {
    pub(super) fn start(engine: &Arc<Engine>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, watched) = (stop.clone(), engine.clone());
        let work = move || settle_when_quiet(&watched, &stopped);
        let thread = thread::Builder::new().name("store-settle".into()).spawn(work);
        let thread = thread.map_err(at(Path::new("store-settle")))?;
        engine.wakes(thread.thread().clone());
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        // Its panic was logged.
        let _ = thread.join();
    }
}

fn settle_when_quiet(engine: &Engine, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        match engine.loose_for() {
            None => thread::park(),
            Some(quiet) if quiet < QUIET => thread::park_timeout(QUIET - quiet),
            Some(_) => {
                if let Err(error) = engine.settle() {
                    tracing::warn!(%error, "the store can't be settled: the next start after a crash reads all of it");
                    thread::park_timeout(PATIENCE);
                }
            }
        }
    }
}
