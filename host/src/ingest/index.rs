//! Store first, then the indexes: the only place where both change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::Error;
use crate::search::{self, Cursors, Search, Space};
use crate::store::{Collection, Committed, Finished, JournalEntry, Purged, Store};
use crate::types::*;

/// Documents that are read back from the store at once.
const REPLAY_BATCH: usize = 256;
/// Changes that a start waits for; an index that missed more follows while the daemon works.
const REPLAY_AT_START: usize = 4096;

pub(super) type Behind = BTreeMap<CollectionId, Vec<DocumentId>>;

/// Keeps the indexes in step with the journal.
pub(super) struct Indexer {
    pub(super) store: Store,
    pub(super) search: Search,
    /// Of the embedder in use, for collections without vectors.
    main: Space,
    /// Held while the store commits, and until `behind` is held as well: so the indexes see the journal in its order,
    /// and while they take one batch in the store can commit the next.
    storing: Mutex<()>,
    /// Held while indexes change. The collections whose indexes fell behind, with the documents that wait for them.
    behind: Mutex<Behind>,
}

/// What a commit brought.
pub(super) struct Shown {
    /// Documents that searches find, with the entry of the journal.
    pub ready: BTreeMap<DocumentId, u64>,
    /// Documents that they replaced.
    pub replaced: Vec<(CollectionKey, DocumentId, u64)>,
}

impl Indexer {
    pub(super) fn new(store: Store, search: Search, fingerprint: String, dimension: usize) -> Self {
        Self {
            store,
            search,
            main: Space { fingerprint, dimension },
            storing: Mutex::default(),
            behind: Mutex::default(),
        }
    }

    /// Opens every collection's indexes and brings them up to the journal, if they did not miss much.
    pub(super) fn catch_up(&self) -> Result<(), Error> {
        let mut behind = self.behind.lock();
        for collection in self.store.collections(None)? {
            let is_there = match self.open(&collection) {
                Err(Error::Search(error)) if !matches!(error, search::Error::Full) => {
                    tracing::error!(collection = %collection.key.name, %error, "the indexes can't be used");
                    self.search.drop_collection(collection.id)?;
                    false
                }
                opened => opened?,
            };
            if !is_there {
                tracing::warn!(
                    collection = %collection.key.name,
                    "the indexes are built anew in the background; until then searches find a part"
                );
                behind.insert(collection.id, Vec::new());
            }
        }
        Ok(())
    }

    /// Opens the indexes of a collection; whether they are complete. They are not where they missed much.
    fn open(&self, collection: &Collection) -> Result<bool, Error> {
        self.search.ensure_open(collection.id, &self.space(collection))?;
        let after = self.cursors(collection)?.least();
        if self.store.journal_part(collection.id, after, REPLAY_AT_START)?.len() >= REPLAY_AT_START {
            return Ok(false);
        }
        while self.follow(collection)? > 0 {}
        Ok(true)
    }

    /// Of the vectors that searches of a collection use: while it changes to another embedder, those of the former.
    fn space(&self, collection: &Collection) -> Space {
        space(collection).unwrap_or_else(|| self.main.clone())
    }

    fn cursors(&self, collection: &Collection) -> Result<Cursors, Error> {
        Ok(self.search.open_collection(collection.id, Some(&self.space(collection)))?)
    }

    /// Shows the indexes some of what they missed; how much that was.
    fn follow(&self, collection: &Collection) -> Result<usize, Error> {
        let id = collection.id;
        let cursors = self.cursors(collection)?;
        let entries = self.store.journal_part(id, cursors.least(), REPLAY_BATCH)?;
        let (vectors_only, both): (Vec<_>, Vec<_>) =
            entries.iter().partition(|entry| entry.seq <= cursors.keyword);
        if let Some(last) = vectors_only.last() {
            let changes = vectors_only.iter().map(|entry| self.vector_change(entry));
            self.search.apply_vectors(id, &changes.collect::<Result<Vec<_>, Error>>()?, last.seq)?;
        }
        if let Some(last) = both.last() {
            let changes = both.iter().map(|entry| self.change(entry));
            self.search.apply(id, &changes.collect::<Result<Vec<_>, Error>>()?, last.seq)?;
        }
        Ok(entries.len())
    }

    fn vector_change(&self, entry: &JournalEntry) -> Result<VectorChange, Error> {
        let document = entry.document;
        let vectors = if entry.deleted { None } else { self.store.vectors(document)? };
        Ok(vectors.map_or(VectorChange::Delete(document), |(first_row, vectors)| VectorChange::Put {
            document,
            first_row,
            vectors,
        }))
    }

    pub(super) fn change(&self, entry: &JournalEntry) -> Result<Change, Error> {
        let document = if entry.deleted { None } else { self.store.index_document(entry.document)? };
        Ok(document.map_or(Change::Delete(entry.document), Change::Put))
    }

    /// Commits documents and shows them to searches.
    pub(super) fn commit(&self, finished: &[Finished]) -> Result<Shown, Error> {
        let storing = self.storing.lock();
        let embedder = (self.main.fingerprint.as_str(), self.main.dimension);
        let committed = self.store.commit(finished, Some(embedder))?;
        let by_id: BTreeMap<_, _> = finished.iter().map(|done| (done.document.id, done)).collect();
        let mut collections: BTreeMap<CollectionId, Vec<(&Committed, &Finished)>> = BTreeMap::new();
        for one in &committed {
            let Some(done) = by_id.get(&one.entry.document) else { continue };
            collections.entry(one.entry.collection).or_default().push((one, done));
        }
        let gone: BTreeSet<DocumentId> =
            committed.iter().flat_map(|one| &one.replaced).map(|entry| entry.document).collect();
        let mut behind = self.behind.lock();
        drop(storing);
        let mut ready = Vec::new();
        for (id, done) in collections {
            let lasting = || done.iter().filter(|(one, _)| !gone.contains(&one.entry.document));
            let documents = lasting().map(|(one, _)| one.entry.document);
            let space = self.space_of(&done)?;
            let mut changes: Vec<Change> = lasting().map(|(one, done)| self.put(one, done, &space)).collect();
            // What is replaced goes in the same step.
            let replaced = || done.iter().flat_map(|(one, _)| &one.replaced);
            changes.extend(replaced().map(|entry| Change::Delete(entry.document)));
            let entries = done.iter().map(|(one, _)| &one.entry).chain(replaced());
            let seq = entries.map(|entry| entry.seq).max().unwrap_or(0);
            if self.apply(&mut behind, (id, &space), &changes, seq) {
                ready.extend(documents);
            } else {
                behind.entry(id).or_default().extend(documents);
            }
        }
        drop(behind);
        self.store.mark_ready(&ready)?;
        let seqs = committed.iter().map(|one| (one.entry.document, one.entry.seq));
        let seqs: BTreeMap<_, _> = seqs.collect();
        let ready = ready.into_iter().filter_map(|id| Some((id, *seqs.get(&id)?))).collect();
        let collection_of = |one: &Committed| Some(&by_id.get(&one.entry.document)?.document.collection);
        let replaced = committed.iter().flat_map(|one| {
            one.replaced
                .iter()
                .filter_map(move |entry| Some((collection_of(one)?.clone(), entry.document, entry.seq)))
        });
        Ok(Shown { ready, replaced: replaced.collect() })
    }

    /// Store and indexes, both standing still.
    pub(super) fn exclusive(&self) -> (MutexGuard<'_, ()>, MutexGuard<'_, Behind>) {
        let storing = self.storing.lock();
        (storing, self.behind.lock())
    }

    /// Whether the indexes took the changes in. If not, the store has them, and [`Self::repair`] tries again.
    fn apply(
        &self,
        behind: &mut Behind,
        (id, space): (CollectionId, &Space),
        changes: &[Change],
        seq: u64,
    ) -> bool {
        // A collection that is behind must not skip over what it missed.
        if behind.contains_key(&id) {
            return false;
        }
        let opened = self.search.ensure_open(id, space);
        let applied = opened.and_then(|()| self.search.apply(id, changes, seq));
        if let Err(error) = &applied {
            tracing::error!(collection = %id, %error, "the index did not take a change in; it will be tried again");
            behind.insert(id, Vec::new());
        }
        applied.is_ok()
    }

    /// Removes documents from the store, then from the indexes; what went, in the order asked for, with its journal entry.
    pub(super) fn delete(
        &self,
        user: &UserId,
        ids: &[DocumentId],
    ) -> Result<Vec<(CollectionKey, DocumentId, Purged, u64)>, Error> {
        let storing = self.storing.lock();
        let gone = self.store.delete(user, ids)?;
        let mut behind = self.behind.lock();
        drop(storing);
        let mut changes: BTreeMap<CollectionId, (Vec<Change>, u64)> = BTreeMap::new();
        for (_, id, _, entry) in &gone {
            let (deletions, seq) = changes.entry(entry.collection).or_default();
            deletions.push(Change::Delete(*id));
            *seq = entry.seq.max(*seq);
        }
        for (collection, (deletions, seq)) in changes {
            self.apply(&mut behind, (collection, &self.main), &deletions, seq);
        }
        Ok(gone.into_iter().map(|(key, id, purged, entry)| (key, id, purged, entry.seq)).collect())
    }

    /// Ends the jobs of documents that a crash left at the last stage: the catching up showed them to searches, or the
    /// repair will.
    pub(super) fn finish(&self, ids: &[DocumentId]) -> Result<(), Error> {
        let (_storing, mut behind) = self.exclusive();
        let mut ready = Vec::new();
        for id in ids {
            let collection = self.store.collection_of(*id)?;
            match collection.and_then(|collection| behind.get_mut(&collection)) {
                Some(waiting) => waiting.push(*id),
                None => ready.push(*id),
            }
        }
        Ok(self.store.mark_ready(&ready)?)
    }

    /// Collections whose indexes do not have all yet.
    pub(super) fn behind(&self) -> Vec<CollectionId> {
        self.behind.lock().keys().copied().collect()
    }

    /// Shows the indexes of collections that fell behind what they missed; returns the documents that became ready. Others
    /// are committed meanwhile: only the last changes are followed under the lock.
    pub(super) fn repair(&self, stopped: &dyn Fn() -> bool) -> Result<Vec<DocumentId>, Error> {
        let waiting = self.behind();
        let mut ready = Vec::new();
        if waiting.is_empty() {
            return Ok(ready);
        }
        let collections = self.store.collections(None)?;
        for collection in collections.iter().filter(|collection| waiting.contains(&collection.id)) {
            while self.follow(collection)? >= REPLAY_BATCH {
                if stopped() {
                    return Ok(ready);
                }
            }
            let (_storing, mut behind) = self.exclusive();
            while self.follow(collection)? > 0 {}
            ready.extend(behind.remove(&collection.id).unwrap_or_default());
            tracing::info!(collection = %collection.key.name, "the indexes are complete again");
        }
        self.behind.lock().retain(|id, _| collections.iter().any(|collection| collection.id == *id));
        self.store.mark_ready(&ready)?;
        Ok(ready)
    }

    /// The space of the collection that some documents of one commit belong to.
    fn space_of(&self, done: &[(&Committed, &Finished)]) -> Result<Space, Error> {
        let key = done.first().map(|(_, done)| &done.document.collection);
        let collection = key.map(|key| self.store.collection(key)).transpose()?.flatten();
        Ok(collection.map_or_else(|| self.main.clone(), |collection| self.space(&collection)))
    }

    fn put(&self, committed: &Committed, done: &Finished, space: &Space) -> Change {
        let vectors = done.vectors_by(&space.fingerprint, &self.main.fingerprint);
        Change::Put(IndexDocument {
            document: Arc::new(done.document.clone()),
            chunks: done.chunks.clone(),
            first_row: committed.first_row,
            is_first: committed.is_first,
            vectors: vectors.unwrap_or_default().to_vec(),
        })
    }
}

/// Of the vectors that a collection has; `None` while it has none.
pub(super) fn space(collection: &Collection) -> Option<Space> {
    let Collection { embedder, dimension, .. } = collection;
    embedder.clone().zip(*dimension).map(|(fingerprint, dimension)| Space { fingerprint, dimension })
}
