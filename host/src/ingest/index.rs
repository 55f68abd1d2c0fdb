//! Store first, then the indexes: the only place where both change.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Error;
use crate::search::Search;
use crate::store::{Collection, Finished, JournalEntry, Purged, Store};
use crate::types::*;

/// Documents that are read back from the store at once.
const REPLAY_BATCH: usize = 256;

pub(super) type Behind = BTreeMap<CollectionId, Vec<DocumentId>>;

/// Keeps the indexes in step with the journal.
pub(super) struct Indexer {
    pub(super) store: Store,
    pub(super) search: Search,
    fingerprint: String,
    dimension: usize,
    /// Held from the store's commit to the indexes' answer, so that they see the journal in its order. Holds the
    /// collections whose indexes fell behind, with the documents that wait for them.
    pub(super) order: Mutex<Behind>,
}

impl Indexer {
    pub(super) fn new(store: Store, search: Search, fingerprint: String, dimension: usize) -> Self {
        Self { store, search, fingerprint, dimension, order: Mutex::default() }
    }

    /// Brings every collection's indexes up to the journal.
    pub(super) fn catch_up(&self) -> Result<(), Error> {
        for collection in self.store.collections(None)? {
            self.replay(&collection)?;
        }
        Ok(())
    }

    fn replay(&self, collection: &Collection) -> Result<(), Error> {
        let id = collection.id;
        let cursor = self.search.open_collection(id, collection.dimension)?;
        let entries = self.store.journal(id, cursor)?;
        let new: std::collections::HashSet<_> = entries.iter().map(|entry| entry.document).collect();
        let known: Vec<_> =
            self.store.indexed_documents(id)?.into_iter().filter(|id| !new.contains(id)).collect();
        for batch in known.chunks(REPLAY_BATCH) {
            let vectors =
                batch.iter().filter_map(|id| self.store.vectors(*id).transpose().map(|v| Ok((*id, v?))));
            let vectors: Vec<_> = vectors.collect::<Result<_, Error>>()?;
            self.search.load_vectors(id, collection.dimension.unwrap_or(self.dimension), &vectors)?;
        }
        if !entries.is_empty() {
            tracing::info!(collection = %collection.key.name, changes = entries.len(), "indexes follow the journal");
        }
        for batch in entries.chunks(REPLAY_BATCH) {
            let changes = batch.iter().map(|entry| self.change(entry)).collect::<Result<Vec<_>, Error>>()?;
            let seq = batch.last().map_or(cursor, |entry| entry.seq);
            self.search.apply(id, &changes, seq)?;
        }
        Ok(())
    }

    pub(super) fn change(&self, entry: &JournalEntry) -> Result<Change, Error> {
        let document = if entry.deleted { None } else { self.store.index_document(entry.document)? };
        Ok(document.map_or(Change::Delete(entry.document), Change::Put))
    }

    /// Commits documents and shows them to searches; returns those that became ready.
    pub(super) fn commit(&self, finished: &[Finished]) -> Result<Vec<DocumentId>, Error> {
        let mut behind = self.order.lock();
        let entries = self.store.commit(finished, Some((&self.fingerprint, self.dimension)))?;
        let by_id: BTreeMap<_, _> = finished.iter().map(|done| (done.document.id, done)).collect();
        let mut collections: BTreeMap<CollectionId, (u64, Vec<Change>)> = BTreeMap::new();
        for entry in &entries {
            let Some(done) = by_id.get(&entry.document) else { continue };
            // While a collection changes to another embedder, its index has the vectors of the present one.
            let present = self.store.collection(&done.document.collection)?.and_then(|found| found.embedder);
            let vectors = present.and_then(|present| done.vectors_by(&present, &self.fingerprint));
            let (seq, changes) = collections.entry(entry.collection).or_default();
            *seq = entry.seq;
            changes.push(Change::Put(IndexDocument {
                document: Arc::new(done.document.clone()),
                chunks: done.chunks.clone(),
                vectors: vectors.unwrap_or_default().to_vec(),
            }));
        }
        let mut ready = Vec::new();
        for (id, (seq, changes)) in collections {
            let documents = entries.iter().filter(|entry| entry.collection == id).map(|entry| entry.document);
            if self.apply(&mut behind, id, &changes, seq) {
                ready.extend(documents);
            } else {
                behind.entry(id).or_default().extend(documents);
            }
        }
        self.store.mark_ready(&ready)?;
        Ok(ready)
    }

    /// Whether the indexes took the changes in. If not, the store has them, and [`Self::repair`] tries again.
    fn apply(&self, behind: &mut Behind, id: CollectionId, changes: &[Change], seq: u64) -> bool {
        // A collection that is behind must not skip over what it missed.
        if behind.contains_key(&id) {
            return false;
        }
        let applied = self.search.apply(id, changes, seq);
        if let Err(error) = &applied {
            tracing::error!(collection = %id, %error, "the index did not take a change in; it will be tried again");
            behind.insert(id, Vec::new());
        }
        applied.is_ok()
    }

    /// Removes a document from the store, then from the indexes.
    pub(super) fn delete(&self, owner: &UserId, id: DocumentId) -> Result<Option<Purged>, Error> {
        let mut behind = self.order.lock();
        let Some((purged, entry)) = self.store.delete(owner, id)? else { return Ok(None) };
        self.apply(&mut behind, entry.collection, &[Change::Delete(id)], entry.seq);
        Ok(Some(purged))
    }

    /// Ends the jobs of documents that a crash left at the last stage: the catching up showed them to searches.
    pub(super) fn finish(&self, ids: &[DocumentId]) -> Result<(), Error> {
        let _order = self.order.lock();
        Ok(self.store.mark_ready(ids)?)
    }

    /// Replays the journal for the collections that fell behind; returns the documents that became ready.
    pub(super) fn repair(&self) -> Result<Vec<DocumentId>, Error> {
        let mut behind = self.order.lock();
        if behind.is_empty() {
            return Ok(Vec::new());
        }
        let mut ready = Vec::new();
        for collection in self.store.collections(None)? {
            if behind.contains_key(&collection.id) {
                self.replay(&collection)?;
                ready.extend(behind.remove(&collection.id).unwrap_or_default());
                tracing::info!(collection = %collection.key.name, "the index is complete again");
            }
        }
        self.store.mark_ready(&ready)?;
        Ok(ready)
    }
}
