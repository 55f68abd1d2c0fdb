//! From bytes to a document that searches find: sniff, parse, chunk, enrich, embed, index.
//!
//! Invariants: every stage is committed before the next begins; `Ready` is said only once a search finds the
//! document; `text[span] == chunk` always.

mod chunk;
mod door;
mod index;
mod maintain;
mod migrate;
mod sniff;
mod stages;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::config::{IngestConfig, PluginRef};
use crate::plugins::{Cancel, Embedders, Enricher, Plugins};
use crate::search::{self, Search};
use crate::store::{self, DocumentQuery, Listed, Purged, StagedBlob, Store, Submitted};
use crate::types::*;

use chunk::Budget;
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
}

/// A step of a document on its way.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct DocumentEvent {
    pub owner: UserId,
    pub document: DocumentId,
    pub stage: Stage,
    /// 0 to 1.
    pub progress: f32,
}

/// What can go wrong outside of a single document.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
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
    events: broadcast::Sender<DocumentEvent>,
    board: Board,
    /// Parsers that are at work, to be stopped.
    calls: Mutex<HashMap<DocumentId, Cancel>>,
    /// Whether documents wait for the embedder's server.
    waits: AtomicBool,
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

    fn announce(&self, document: &Document, stage: Stage) {
        let event = DocumentEvent {
            owner: document.collection.owner.clone(),
            document: document.id,
            stage,
            progress: stage.progress(),
        };
        // Nobody listening is no fault.
        let _ = self.events.send(event);
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
        let core = Arc::new(Core {
            store,
            indexer,
            enrichers: enrichers(&plugins, config.enrichers.as_deref()),
            plugins,
            embedders,
            budget,
            queue_max: config.queue_max,
            events: broadcast::Sender::new(EVENT_BACKLOG),
            board: Board::new(EVENT_BACKLOG),
            calls: Mutex::default(),
            waits: AtomicBool::new(false),
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
        let now = jiff::Timestamp::now().as_millisecond();
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
        let mut events = self.core.events.subscribe();
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
        self.core.indexer.delete(user, ids)
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
        let Some(document) = self.core.store.cancel(user, id, error)? else { return Ok(None) };
        self.core.cancel_call(id);
        self.core.announce(&document, Stage::Failed);
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
    pub fn events(&self) -> broadcast::Receiver<DocumentEvent> {
        self.core.events.subscribe()
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
