//! From bytes to a document that searches find: sniff, parse, chunk, enrich, embed, index.
//!
//! Invariants: every stage is committed before the next begins; `Ready` is said only once a search finds the
//! document; `text[span] == chunk` always.

mod chunk;
mod door;
mod events;
mod index;
mod maintain;
mod migrate;
mod sniff;
mod stages;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::config::{IngestConfig, PluginRef};
use crate::plugins::{Cancel, Embedders, Enricher, Plugins};
use crate::search::{self, Search};
use crate::store::{self, DocumentQuery, Listed, Purged, StagedBlob, Store, StoredChange, Submitted};
use crate::telemetry::Seldom;
use crate::types::*;

use chunk::Budget;
use events::EventLog;
pub use events::{DocumentEvent, Happened};
use index::Indexer;
pub use maintain::{optimize, reindex};
use migrate::Board;
pub use migrate::{Migration, MigrationEvent, load_former};
use worker::Workers;

/// Why a file was refused at the door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// `empty`, `executable`, `unsupported_type`, `too_large`, `invalid_value`.
    pub code: &'static str,
    /// For people; says what to do.
    pub detail: String,
}

/// A file at the door.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Upload {
    pub collection: CollectionKey,
    /// As the client sent it; directories are cut off here.
    pub filename: String,
    /// Where it comes from: a later upload from there replaces it.
    pub path: Option<String>,
    pub blob: StagedBlob,
    pub tags: Vec<String>,
    pub metadata: JsonMap,
    /// When its request was let in.
    pub since: Instant,
}

/// What can go wrong outside of a single document.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("{0}")]
    Store(#[from] store::Error),
    #[error("{0}")]
    Search(#[from] crate::search::Error),
}

/// The ingestion service. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    core: Arc<Core>,
    workers: Arc<Workers>,
}

/// What every part of the pipeline needs.
struct Core {
    store: Store,
    indexer: Indexer,
    plugins: Plugins,
    embedders: Embedders,
    enrichers: Vec<Arc<dyn Enricher>>,
    budget: Budget,
    queue_max: usize,
    events: EventLog,
    board: Board,
    /// Parsers that are at work, to be stopped.
    calls: Mutex<HashMap<DocumentId, Cancel>>,
    /// Whether documents wait for the embedder's server.
    waits: AtomicBool,
    /// About what keeps all from working.
    complaints: Mutex<Seldom>,
    /// Held by what builds indexes anew or cuts the journal.
    upkeep: Mutex<()>,
}

impl Core {
    /// Ends the call of a parser that is at work on a document.
    fn cancel_call(&self, id: DocumentId) {
        if let Some(call) = self.calls.lock().get(&id) {
            call.cancel();
        }
    }

    /// Tells that a document came to a stage; `seq` is that of its change of the store, if it is one.
    fn announce(&self, document: &Document, stage: Stage, seq: Option<u64>) {
        let event = DocumentEvent {
            number: 0,
            collection: document.collection.clone(),
            document: document.id,
            filename: Some(document.filename.clone()),
            happened: Happened::Came(stage),
            error: document.error.clone(),
            at: now_ms(),
        };
        self.events.tell(event, seq);
    }

    fn announce_gone(&self, collection: &CollectionKey, document: DocumentId, seq: u64) {
        let event = DocumentEvent {
            number: 0,
            collection: collection.clone(),
            document,
            filename: None,
            happened: Happened::Deleted,
            error: None,
            at: now_ms(),
        };
        self.events.tell(event, Some(seq));
    }
}

/// Documents that go in one step.
const DELETED_AT_ONCE: usize = 256;
/// Events that a slow listener may fall behind before it is told so.
const EVENT_BACKLOG: usize = 4096;

impl Ingest {
    /// Brings the indexes up to the journal, takes up unfinished jobs, starts the workers. Blocks until searches
    /// see all that was ready before.
    ///
    /// # Errors
    /// Those of store and search while the indexes catch up.
    pub fn start(
        store: Store,
        search: Search,
        plugins: Plugins,
        embedders: Embedders,
        config: IngestConfig,
    ) -> Result<Self, Error> {
        let info = embedders.main().info();
        maintain::drop_outdated(&store, &search)?;
        let indexer = Indexer::new(store.clone(), search, info.fingerprint.clone(), info.dimension);
        indexer.catch_up()?;
        let budget = Budget {
            tokens: config.chunk_tokens.min(info.window_tokens),
            block_tokens: (config.chunk_tokens * 2).min(info.window_tokens),
            overlap: config.chunk_overlap,
        };
        let events = EventLog::new(store.count_seq()?);
        let core = Arc::new(Core {
            store,
            indexer,
            enrichers: enrichers(&plugins, config.enrichers.as_deref()),
            plugins,
            embedders,
            budget,
            queue_max: config.queue_max,
            events,
            board: Board::new(EVENT_BACKLOG),
            calls: Mutex::default(),
            waits: AtomicBool::new(false),
            complaints: Mutex::new(Seldom::new(worker::COMPLAINTS)),
            upkeep: Mutex::new(()),
        });
        let migrates = core.begin_migrations()?;
        let workers = Arc::new(Workers::start(&core, config.workers));
        if migrates {
            workers.migrate(&core);
        }
        Ok(Self { core, workers })
    }

    /// Looks at each file and takes in those that are fit, in order, in one commit. It is on disk on return; for somebody who
    /// says nothing before [`Self::wait`] has told that a document is final (`awaited`), only by then: that saves an fsync.
    /// Blocks.
    ///
    /// # Errors
    /// Those of the store; then nothing was taken in.
    pub fn submit(
        &self,
        uploads: Vec<Upload>,
        awaited: bool,
    ) -> Result<Vec<Result<Submitted, Refused>>, Error> {
        let now = now_ms();
        let checked: Vec<_> = uploads.into_iter().map(|upload| self.core.admit(upload, now)).collect();
        let refusals: Vec<_> = checked.iter().map(|result| result.as_ref().err().cloned()).collect();
        let fit: Vec<_> = checked.into_iter().flatten().collect();
        let (store, queue_max) = (&self.core.store, self.core.queue_max);
        let submitted =
            if awaited { store.submit_soft(fit, queue_max) } else { store.submit(fit, queue_max) };
        let submitted = submitted?;
        // The version that takes their place is there already.
        for one in submitted.iter().filter(|one| !one.replaces.is_empty()) {
            self.delete_many(&one.document.collection.owner, &one.replaces)?;
        }
        for one in submitted.iter().filter(|one| !one.duplicate) {
            self.core.announce(&one.document, Stage::Queued, None);
        }
        let mut submitted = submitted.into_iter();
        self.workers.wake();
        Ok(refusals
            .into_iter()
            .filter_map(|refusal| match refusal {
                Some(refused) => Some(Err(refused)),
                None => submitted.next().map(Ok),
            })
            .collect())
    }

    /// Waits until the document is final, and on disk as such, or gone (`None`).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn wait(&self, id: DocumentId) -> Result<Option<Document>, Error> {
        let mut events = self.core.events.listen();
        loop {
            match self.core.store.document_any(id)? {
                Some(document) if !document.status.is_final() => {}
                done => return Ok(done),
            }
            // An event or an overflow: look again. A deletion sends none, so look now and then without.
            let next = async { while events.recv().await.is_ok_and(|event| event.document != id) {} };
            let _ = tokio::time::timeout(std::time::Duration::from_secs(1), next).await;
        }
    }

    /// Deletes a document that this user may change; on return no search finds it. Blocks.
    ///
    /// # Errors
    /// Those of the store.
    pub fn delete(&self, user: &UserId, id: DocumentId) -> Result<Option<Purged>, Error> {
        Ok(self.delete_many(user, &[id])?.pop().map(|(_, purged)| purged))
    }

    /// As [`Self::delete`], in one step for many; those that the user may not change are left out.
    ///
    /// # Errors
    /// Those of the store; then nothing was deleted.
    pub fn delete_many(&self, user: &UserId, ids: &[DocumentId]) -> Result<Vec<(DocumentId, Purged)>, Error> {
        let gone = self.core.indexer.delete(user, ids)?;
        for (collection, id, _, seq) in &gone {
            self.core.cancel_call(*id);
            self.core.announce_gone(collection, *id, *seq);
        }
        Ok(gone.into_iter().map(|(_, id, purged, _)| (id, purged)).collect())
    }

    /// Deletes a collection of its owner with its documents; how many these were. Blocks.
    ///
    /// # Errors
    /// Those of the store; some of the documents may be gone then.
    pub fn delete_collection(&self, key: &CollectionKey) -> Result<u64, Error> {
        let Some(collection) = self.core.store.collection(key)? else { return Ok(0) };
        let all =
            DocumentQuery { listed: Listed::One(key.clone()), limit: DELETED_AT_ONCE, ..Default::default() };
        let mut deleted = 0;
        loop {
            let documents = self.core.store.documents(&key.owner, &all)?.items;
            if documents.is_empty() {
                break;
            }
            let ids: Vec<DocumentId> = documents.iter().map(|document| document.id).collect();
            deleted += self.delete_many(&key.owner, &ids)?.len() as u64;
        }
        self.core.store.remove_collection(key)?;
        self.core.indexer.search.drop_collection(collection.id)?;
        Ok(deleted)
    }

    /// Queues a document anew that this user may change. Blocks.
    ///
    /// # Errors
    /// Those of the store.
    pub fn reprocess(&self, user: &UserId, id: DocumentId) -> Result<Option<Document>, Error> {
        let document = self.core.store.reprocess(user, id)?;
        if let Some(document) = &document {
            self.core.announce(document, document.status, None);
        }
        self.workers.wake();
        Ok(document)
    }

    /// Ends the work on a document that this user may change: it fails as `cancelled`. Blocks.
    ///
    /// # Errors
    /// Those of the store; a conflict where it is done already.
    pub fn cancel(&self, user: &UserId, id: DocumentId) -> Result<Option<Document>, Error> {
        let stage = self.core.store.document(user, id)?.map_or(Stage::Queued, |document| document.status);
        let detail = "somebody cancelled it; reprocess takes it up again".to_owned();
        let error = DocumentError { code: CANCELLED.into(), stage, plugin: None, detail };
        let Some((document, seq)) = self.core.store.cancel(user, id, error)? else { return Ok(None) };
        self.core.cancel_call(id);
        self.core.announce(&document, Stage::Failed, Some(seq));
        Ok(Some(document))
    }

    /// Documents of these collections that pass a filter, by what is said of themselves; with `delete` they go, in steps of
    /// some hundreds. `each` is told of every one. Blocks.
    ///
    /// # Errors
    /// Those of the store, and a filter that can't be evaluated.
    pub fn each_matching(
        &self,
        user: &UserId,
        listed: Listed,
        filter: &Filter,
        delete: bool,
        each: &mut dyn FnMut(&Document),
    ) -> Result<(), Error> {
        let mut query =
            DocumentQuery { listed, limit: DELETED_AT_ONCE, descending: true, ..Default::default() };
        loop {
            let page = self.core.store.documents(user, &query)?;
            let mut found = Vec::new();
            for document in &page.items {
                if search::passes(filter, document)? {
                    found.push(document.id);
                    each(document);
                }
            }
            if delete {
                self.delete_many(user, &found)?;
            }
            query.after = page.items.last().map(|document| document.id);
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Every step of every document from now on.
    pub fn events(&self) -> broadcast::Receiver<Arc<DocumentEvent>> {
        self.core.events.listen()
    }

    /// The number of the last event.
    pub fn last_event(&self) -> u64 {
        self.core.events.last()
    }

    /// The events of a user behind a number; `None` where some of them are not kept any more: see [`Self::changes_after`].
    pub fn events_after(&self, user: &UserId, number: u64) -> Option<Vec<Arc<DocumentEvent>>> {
        self.core.events.after(user, number)
    }

    /// What became of the documents of a user since an event, from the store: of each its last change, in order, some of it
    /// perhaps from before; then where the work on the others stands. Blocks.
    ///
    /// # Errors
    /// Those of the store.
    pub fn changes_after(&self, user: &UserId, number: u64) -> Result<Vec<StoredChange>, Error> {
        Ok(self.core.store.changes_after(user, events::journal_before(number))?)
    }

    /// A change of the store as an event; `None` where the document changed since. Blocks.
    ///
    /// # Errors
    /// Those of the store.
    pub fn event_of(&self, user: &UserId, change: &StoredChange) -> Result<Option<DocumentEvent>, Error> {
        let event = |filename, happened, error| DocumentEvent {
            number: events::number_of(change.seq),
            collection: change.collection.clone(),
            document: change.document,
            filename,
            happened,
            error,
            at: now_ms(),
        };
        if change.deleted {
            return Ok(Some(event(None, Happened::Deleted, None)));
        }
        let document = self.core.store.document(user, change.document)?;
        Ok(document
            .map(|document| event(Some(document.filename), Happened::Came(document.status), document.error)))
    }

    /// Every step of every migration to another embedder from now on.
    pub fn migration_events(&self) -> broadcast::Receiver<MigrationEvent> {
        self.core.board.events.subscribe()
    }

    /// The collections that are on their way to another embedder.
    ///
    /// # Errors
    /// Those of the store.
    pub fn migrations(&self) -> Result<Vec<Migration>, Error> {
        self.core.migrations()
    }

    /// Ends the workers after the stage they are in; jobs go on at the next start. Blocks.
    pub fn shutdown(&self) {
        self.workers.stop();
    }
}

fn now_ms() -> TimestampMs {
    jiff::Timestamp::now().as_millisecond()
}

/// The enrichers to run; one that can't be had is left out, loudly: documents matter more than their metadata.
fn enrichers(plugins: &Plugins, chosen: Option<&[PluginRef]>) -> Vec<Arc<dyn Enricher>> {
    let names = match chosen {
        Some(chosen) => chosen.iter().map(|reference| reference.plugin.clone()).collect(),
        None => plugins.default_enrichers(),
    };
    let load = |name: String| match plugins.enricher(&name) {
        Ok(enricher) => Some(enricher),
        Err(error) => {
            tracing::error!(plugin = name, %error, "enricher is not available: documents go without it");
            None
        }
    };
    names.into_iter().filter_map(load).collect()
}
