//! The threads: workers take jobs through the stages in small batches, committers commit what they finish.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::index::Shown;
use super::stages::Work;
use super::{Core, Error, migrate};
use crate::store::{Finished, Job};
use crate::telemetry::metrics;
use crate::types::{Document, DocumentId, Stage};

/// Documents that a worker takes through the stages together.
const BATCH_DOCUMENTS: usize = 32;
/// Their bytes; a larger document is a batch of its own.
const BATCH_BYTES: u64 = 1 << 20;
/// Documents of one commit at most.
const COMMIT_DOCUMENTS: usize = 256;
/// For how long a commit waits for more of them while many search.
const GATHER: Duration = Duration::from_millis(200);
/// While one waits for the indexes, the other has the store commit.
const COMMITTERS: usize = 2;
/// Of the workers.
const NICENESS: i32 = 10;
/// How long a thread waits before it looks again without being woken.
const TICK: Duration = Duration::from_secs(1);

/// Between two lines about what keeps all from working.
pub(super) const COMPLAINTS: Duration = Duration::from_secs(60);

/// The stages that workers do; the committer does the rest.
const STAGES: [Stage; 4] = [Stage::Parsing, Stage::Chunking, Stage::Enriching, Stage::Embedding];

/// All threads of the pipeline.
pub(super) struct Workers {
    signal: Arc<Signal>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Tells threads to work or to stop.
#[derive(Default)]
pub(super) struct Signal {
    stop: AtomicBool,
    /// Counts wakings, so that none is missed between a look at the ledger and the wait.
    wakings: Mutex<u64>,
    woken: Condvar,
}

impl Signal {
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn wake(&self) {
        *self.wakings.lock() += 1;
        self.woken.notify_all();
    }

    fn wait(&self, seen: &mut u64) {
        let mut wakings = self.wakings.lock();
        if *wakings == *seen && !self.stopped() {
            self.woken.wait_for(&mut wakings, TICK);
        }
        *seen = *wakings;
    }
}

impl Workers {
    pub(super) fn start(core: &Arc<Core>, count: usize) -> Self {
        let signal = Arc::new(Signal::default());
        let (sender, receiver) = sync_channel(2);
        let mut threads = Vec::new();
        for _ in 0..count.max(1) {
            let (core, signal, sender) = (core.clone(), signal.clone(), sender.clone());
            threads.push(thread::spawn(move || work(&core, &signal, &sender)));
        }
        drop(sender);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..COMMITTERS {
            let (core, signal, receiver) = (core.clone(), signal.clone(), receiver.clone());
            threads.push(thread::spawn(move || commit(&core, &signal, &receiver)));
        }
        let (core, stop) = (core.clone(), signal.clone());
        threads.push(thread::spawn(move || repair(&core, &stop)));
        Self { signal, threads: Mutex::new(threads) }
    }

    /// Starts the migration to another embedder, too.
    pub(super) fn migrate(&self, core: &Arc<Core>) {
        self.threads.lock().extend(migrate::start(core, &self.signal));
    }

    /// Whether the threads end.
    pub(super) fn stopped(&self) -> bool {
        self.signal.stopped()
    }

    /// There may be jobs.
    pub(super) fn wake(&self) {
        self.signal.wake();
    }

    /// Lets every thread end the stage it is in, and waits for them.
    pub(super) fn stop(&self) {
        self.signal.stop.store(true, Ordering::Relaxed);
        self.signal.wake();
        for thread in self.threads.lock().drain(..) {
            // A worker's panic was logged; there is nothing left to do about it here.
            let _ = thread.join();
        }
    }
}

fn work(core: &Core, signal: &Signal, done: &SyncSender<Vec<Finished>>) {
    // Whoever asks waits for the answer, whoever uploads does not. If it is refused, all compete: slower, not wrong.
    let _ = rustix::process::nice(NICENESS);
    let mut seen = 0;
    while !signal.stopped() {
        match claim(core) {
            Ok(jobs) if jobs.is_empty() => signal.wait(&mut seen),
            Ok(jobs) => process(core, signal, done, jobs),
            Err(error) => {
                complain(core, &error, "jobs can't be taken from the ledger; trying again");
                thread::sleep(TICK);
            }
        }
    }
}

/// What goes on for long, such as a full disk, is told once a minute by all threads together.
fn complain(core: &Core, error: &Error, what: &str) {
    if core.complaints.lock().is_due() {
        tracing::error!(%error, "{what}");
    }
}

fn claim(core: &Core) -> Result<Vec<Job>, Error> {
    let (mut jobs, mut bytes) = (Vec::new(), 0);
    while jobs.len() < BATCH_DOCUMENTS && bytes < BATCH_BYTES {
        let Some(job) = core.store.claim()? else { break };
        // It was under way when the daemon ended: alone, it can only take itself down.
        if job.attempts > 0 && !jobs.is_empty() {
            core.store.release(job.document.id);
            break;
        }
        let suspect = job.attempts > 0;
        bytes += job.document.file_size;
        jobs.push(job);
        if suspect {
            break;
        }
    }
    Ok(jobs)
}

/// Takes jobs as far as possible; those that stop half-way go back to the ledger.
fn process(core: &Core, signal: &Signal, done: &SyncSender<Vec<Finished>>, jobs: Vec<Job>) {
    let ids: Vec<DocumentId> = jobs.iter().map(|job| job.document.id).collect();
    let result = stages(core, signal, jobs);
    let unfinished = match result {
        Ok(Some(works)) => {
            let finished: Vec<Finished> = works.into_iter().map(Work::finish).collect();
            finished.is_empty() || done.send(finished).is_ok()
        }
        Ok(None) => false,
        Err(error) => {
            complain(core, &error, "documents wait because the store failed; trying again");
            thread::sleep(TICK);
            false
        }
    };
    if !unfinished {
        ids.into_iter().for_each(|id| core.store.release(id));
    }
}

/// `None` if the daemon is to stop first.
fn stages(core: &Core, signal: &Signal, jobs: Vec<Job>) -> Result<Option<Vec<Work>>, Error> {
    let (mut works, indexed) = core.resume(jobs)?;
    if !indexed.is_empty() {
        core.indexer.finish(&indexed)?;
    }
    for stage in STAGES {
        if signal.stopped() {
            return Ok(None);
        }
        works = core.run(stage, works)?;
    }
    Ok(Some(works))
}

fn commit(core: &Core, signal: &Signal, finished: &Mutex<Receiver<Vec<Finished>>>) {
    loop {
        // Not held while the batch is committed.
        let Some(batch) = next_batch(core, &finished.lock()) else { return };
        commit_batch(core, signal, &batch);
    }
}

/// What the workers have finished by now; waits for the first, and for a few more while many search: each commit costs them
/// more than its documents. `None` when the workers have ended.
fn next_batch(core: &Core, finished: &Receiver<Vec<Finished>>) -> Option<Vec<Finished>> {
    let mut batch = finished.recv().ok()?;
    let gather = if core.indexer.search.is_crowded() { GATHER } else { Duration::ZERO };
    let until = Instant::now() + gather;
    while batch.len() < COMMIT_DOCUMENTS {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(more) = finished.recv_timeout(left) else { break };
        batch.extend(more);
    }
    Some(batch)
}

/// Helps indexes that are behind the store, while documents are taken in.
fn repair(core: &Core, signal: &Signal) {
    let mut seen = 0;
    while !signal.stopped() {
        match core.indexer.repair(&|| signal.stopped()) {
            Ok(ready) => announce_repaired(core, &ready),
            Err(error) => {
                tracing::error!(%error, "an index is behind the store; trying again");
                thread::sleep(TICK);
            }
        }
        signal.wait(&mut seen);
    }
}

fn announce_repaired(core: &Core, ready: &[DocumentId]) {
    for id in ready {
        if let Ok(Some(document)) = core.store.document_any(*id) {
            core.announce(&document, Stage::Ready, None);
        }
    }
}

/// Tries until it succeeds or the daemon stops: the work is done, only the disk stands in the way.
fn commit_batch(core: &Core, signal: &Signal, batch: &[Finished]) {
    for done in batch {
        core.announce(&done.document, Stage::Indexing, None);
    }
    loop {
        match core.indexer.commit(batch) {
            Ok(shown) => return announce_shown(core, batch, &shown),
            Err(error) => complain(core, &error, "finished documents can't be committed; trying again"),
        }
        if signal.stopped() {
            return;
        }
        thread::sleep(TICK);
    }
}

fn announce_shown(core: &Core, batch: &[Finished], shown: &Shown) {
    for done in batch {
        let Some(seq) = shown.ready.get(&done.document.id) else { continue };
        metrics().document_ready(done.chunks.len() as u64);
        tracing::debug!(document = %done.document.id, file = done.document.filename, chunks = done.chunks.len(), "ready");
        core.announce(&Document { error: None, ..done.document.clone() }, Stage::Ready, Some(*seq));
    }
    for (collection, document, seq) in &shown.replaced {
        core.announce_gone(collection, *document, *seq);
    }
}
