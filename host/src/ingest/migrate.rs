//! From one embedder to the next: a thread makes the vectors of the configured embedder for the collections that have
//! those of another, beside ingestion and behind it. Searches use the old ones until all are there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::maintain::Vectors;
use super::worker::Signal;
use super::{Core, Error, stages};
use crate::config::PluginRef;
use crate::plugins::{Embedders, Plugins, Purpose};
use crate::store::{Collection, EmbedderSource, NextVectors, Pending, Store};
use crate::types::*;

/// Documents of one step.
const DOCUMENTS: usize = 16;
/// Texts that are embedded at once.
const TEXTS: usize = 64;
/// Documents that are being taken in hold the migration up for so long a step, no longer: it must end some day.
const YIELD: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(20);
/// After a failure the next try waits.
const RETRY: Duration = Duration::from_secs(10);
/// Others go first.
const NICE: i32 = 10;

/// A step of a collection from one embedder to another.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct MigrationEvent {
    pub collection: CollectionKey,
    /// Fingerprints.
    pub from: String,
    pub to: String,
    /// Documents that have vectors of both.
    pub done: u64,
    /// All documents.
    pub total: u64,
    /// Whether searches use the new vectors now.
    pub switched: bool,
}

/// How far a collection has come.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Migration {
    pub event: MigrationEvent,
    /// Why it does not go on, or why searches have keywords only.
    pub problem: Option<String>,
}

/// What is told of migrations.
pub(super) struct Board {
    pub events: broadcast::Sender<MigrationEvent>,
    problems: Mutex<BTreeMap<CollectionId, String>>,
}

impl Board {
    pub(super) fn new(backlog: usize) -> Self {
        Self { events: broadcast::Sender::new(backlog), problems: Mutex::default() }
    }

    fn problem(&self, id: CollectionId, problem: Option<String>) {
        let mut problems = self.problems.lock();
        match problem {
            Some(problem) => {
                problems.insert(id, problem);
            }
            None => {
                problems.remove(&id);
            }
        }
    }
}

fn event(collection: &Collection) -> Option<MigrationEvent> {
    let next = collection.next.as_ref()?;
    Some(MigrationEvent {
        collection: collection.key.clone(),
        from: collection.embedder.clone().unwrap_or_default(),
        to: next.fingerprint.clone(),
        done: next.done,
        total: collection.documents,
        switched: false,
    })
}

/// Notes how the embedder in use can be had again, and loads those whose vectors are still in use, as far as they
/// can be had.
///
/// # Errors
/// Those of the store.
pub fn load_former(
    store: &Store,
    plugins: &Plugins,
    embedders: &Embedders,
    config: &PluginRef,
) -> Result<(), Error> {
    let info = embedders.main().info();
    store.remember_embedder(&EmbedderSource {
        fingerprint: info.fingerprint,
        dimension: info.dimension,
        plugin: config.plugin.clone(),
        settings: config.settings.clone(),
    })?;
    for collection in store.collections(None)? {
        let Some(fingerprint) = collection.embedder else { continue };
        if embedders.by_fingerprint(&fingerprint).is_some() {
            continue;
        }
        let source = store.embedder_source(&fingerprint)?;
        let loaded = source.and_then(|source| plugins.embedder(&source.plugin, &source.settings).ok());
        match loaded.filter(|embedder| embedder.info().fingerprint == fingerprint) {
            Some(embedder) => embedders.keep(embedder),
            None => tracing::warn!(
                collection = %collection.key.name, fingerprint,
                "the embedder of these vectors can't be had any more: keyword search only until there are new ones"
            ),
        }
    }
    Ok(())
}

impl Core {
    /// Begins, or goes on with, vectors of the embedder in use where a collection has others, before any document is
    /// committed; where it has them, a migration away from them ends. Whether there is something to do.
    pub(super) fn begin_migrations(&self) -> Result<bool, Error> {
        let info = self.embedders.main().info();
        let mut begun = false;
        for collection in self.store.collections(None)? {
            let same = collection.embedder.as_ref().is_none_or(|present| *present == info.fingerprint);
            if !same || collection.next.is_some() {
                begun |= self.store.begin_generation(collection.id, &info.fingerprint, info.dimension)?;
            }
        }
        // A crash may have come between a switch and the removal of the old vectors.
        Ok(begun || self.store.has_old_generations()?)
    }

    pub(super) fn migrations(&self) -> Result<Vec<Migration>, Error> {
        let problems = self.board.problems.lock();
        let status = |collection: &Collection| {
            let event = event(collection)?;
            let gone = self.embedders.by_fingerprint(&event.from).is_none();
            let gone =
                gone.then(|| "the former embedder is gone: keyword search only until it ends".to_owned());
            Some(Migration { event, problem: problems.get(&collection.id).cloned().or(gone) })
        };
        Ok(self.store.collections(None)?.iter().filter_map(status).collect())
    }
}

/// The thread; `None` if there is nothing to migrate.
pub(super) fn start(core: &Arc<Core>, signal: &Arc<Signal>) -> Option<JoinHandle<()>> {
    let (core, signal) = (core.clone(), signal.clone());
    let work = move || {
        // If it is refused, the migration competes with ingestion: slower, not wrong.
        let _ = rustix::process::nice(NICE);
        Worker { core: &core, signal: &signal }.run();
    };
    let spawned = thread::Builder::new().name("migrate".into()).spawn(work);
    spawned.inspect_err(|error| tracing::error!(%error, "the migration did not start")).ok()
}

struct Worker<'a> {
    core: &'a Core,
    signal: &'a Signal,
}

impl Worker<'_> {
    fn run(&self) {
        while !self.signal.stopped() {
            match self.round() {
                Ok(true) => break,
                Ok(false) => self.sleep(RETRY),
                Err(error) => {
                    tracing::error!(%error, "the migration to another embedder failed; trying again");
                    self.sleep(RETRY);
                }
            }
        }
        if !self.signal.stopped() {
            self.core.embedders.forget_former();
        }
        if let Err(error) = self.core.store.sweep_generations() {
            tracing::warn!(%error, "vectors of a former embedder are left for later");
        }
    }

    /// One attempt at every collection; whether all are done.
    fn round(&self) -> Result<bool, Error> {
        let mut all = true;
        for collection in self.core.store.collections(None)? {
            if collection.next.is_some() && !self.signal.stopped() {
                all &= self.migrate(&collection)?;
            }
        }
        Ok(all && !self.signal.stopped())
    }

    /// Makes what is missing, then switches; whether that is done.
    fn migrate(&self, collection: &Collection) -> Result<bool, Error> {
        let Some(event) = event(collection) else { return Ok(true) };
        tracing::info!(collection = %collection.key.name, done = event.done, total = event.total, "embedding anew");
        let mut after = None;
        loop {
            let pending = self.core.store.pending(collection.id, after, DOCUMENTS)?;
            let Some(last) = pending.last() else { break };
            after = Some(last.document);
            self.let_others_go_first()?;
            if !self.step(collection.id, &event.to, &pending)? {
                return Ok(false);
            }
            self.announce(collection, false)?;
        }
        if !self.core.store.pending(collection.id, None, 1)?.is_empty() {
            // One that failed, or was replaced behind us.
            return Ok(false);
        }
        let _alone = self.core.upkeep.lock();
        let Some(now) = self.core.store.collection(&collection.key)? else { return Ok(true) };
        let switched = self.core.indexer.rebuild(&now, Vectors::Next, &|| !self.signal.stopped())?;
        if switched {
            self.core.board.problem(collection.id, None);
            tracing::info!(collection = %collection.key.name, documents = now.documents, "searches use the new vectors");
            let total = now.documents;
            let _ = self.core.board.events.send(MigrationEvent { done: total, total, switched, ..event });
        }
        Ok(switched)
    }

    /// Embeds some documents; `false` if the daemon is to stop. One that can't be embedded waits for the next round.
    fn step(&self, id: CollectionId, fingerprint: &str, pending: &[Pending]) -> Result<bool, Error> {
        let mut made = Vec::with_capacity(pending.len());
        for Pending { document, seq } in pending {
            let Some(index) = self.core.store.index_document(*document)? else { continue };
            match self.embed(&index.chunks) {
                Ok(Some(vectors)) => made.push(NextVectors { document: *document, seq: *seq, vectors }),
                Ok(None) => return Ok(false),
                Err(error) => {
                    tracing::warn!(%document, %error, "a document could not be embedded anew; it will be tried again");
                    self.core.board.problem(id, Some(format!("document {document}: {error}")));
                }
            }
        }
        self.core.store.put_next(id, fingerprint, &made)?;
        Ok(true)
    }

    /// `None` if the daemon is to stop.
    fn embed(&self, chunks: &[Chunk]) -> Result<Option<Vec<f32>>, PluginError> {
        let mut vectors = Vec::new();
        for some in chunks.chunks(TEXTS) {
            if self.signal.stopped() {
                return Ok(None);
            }
            let texts: Vec<String> = some.iter().map(Chunk::embedding_text).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let embedder = self.core.embedders.main();
            vectors.extend(stages::retried(|| embedder.embed(&texts, Purpose::Passage))?);
        }
        Ok(Some(vectors))
    }

    fn let_others_go_first(&self) -> Result<(), Error> {
        let begun = Instant::now();
        while begun.elapsed() < YIELD && !self.signal.stopped() && self.core.store.totals()?.queued > 0 {
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn announce(&self, collection: &Collection, switched: bool) -> Result<(), Error> {
        let now = self.core.store.collection(&collection.key)?;
        if let Some(event) = now.as_ref().and_then(event) {
            tracing::debug!(collection = %collection.key.name, done = event.done, total = event.total, "embedded anew");
            // Nobody listening is no fault.
            let _ = self.core.board.events.send(MigrationEvent { switched, ..event });
        }
        Ok(())
    }

    fn sleep(&self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time && !self.signal.stopped() {
            thread::sleep(LOOK);
        }
    }
}
