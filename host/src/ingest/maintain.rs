//! Upkeep while everything runs: indexes built anew beside the present ones, room given back.

use std::collections::HashMap;

use super::index::{Indexer, space};
use super::{Error, Ingest};
use crate::search::{Rebuild, Search, Space};
use crate::store::{Collection, OptimizeStep, Optimized, Store};
use crate::types::*;

/// Documents that are read from the store at once.
const BATCH: usize = 64;

/// Whose vectors an index is built from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Vectors {
    Present,
    /// And with the exchange they become the present ones.
    Next,
}

/// Removes indexes that missed deletions which the journal does not have any more: after a loss of power an index may be
/// older than it was. The catching up builds them anew.
pub(super) fn drop_outdated(store: &Store, search: &Search) -> Result<(), Error> {
    for collection in store.collections(None)? {
        let cursor = search.open_collection(collection.id, space(&collection).as_ref())?.least();
        if cursor > 0 && cursor < collection.purged_seq {
            tracing::warn!(collection = %collection.key.name, "the index is too old to follow: it is built anew");
            search.drop_collection(collection.id)?;
        }
    }
    Ok(())
}

impl Indexer {
    /// Builds the indexes of a collection beside the present ones, which searches use until the new ones have caught
    /// up, and then exchanges them. `false`, and nothing changed, where `go_on` said so or vectors are missing.
    pub(super) fn rebuild(
        &self,
        collection: &Collection,
        vectors: Vectors,
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool, Error> {
        let next = || {
            let next = collection.next.as_ref()?;
            Some(Space { fingerprint: next.fingerprint.clone(), dimension: next.dimension })
        };
        let space = if vectors == Vectors::Next { next() } else { space(collection) };
        let rebuild = self.search.begin_rebuild(collection.id, space.as_ref())?;
        let Some(cursor) = self.feed(&rebuild, collection.id, 0, vectors, go_on)? else { return Ok(false) };
        // What came meanwhile is little; documents and deletions wait for it.
        let (_storing, mut behind) = self.exclusive();
        if self.feed(&rebuild, collection.id, cursor, vectors, &|| true)?.is_none() {
            return Ok(false);
        }
        if vectors == Vectors::Next && !self.store.switch_generation(collection.id)? {
            return Ok(false);
        }
        if let Err(error) = rebuild.finish() {
            // The store has gone ahead: the index must not stay as it is.
            self.search.drop_collection(collection.id)?;
            behind.entry(collection.id).or_default();
            return Err(error.into());
        }
        let waiting = behind.remove(&collection.id).unwrap_or_default();
        self.store.mark_ready(&waiting)?;
        Ok(true)
    }

    fn rebuild_all(
        &self,
        only: Option<&CollectionKey>,
        go_on: &dyn Fn() -> bool,
        progress: &mut dyn FnMut(&Collection),
    ) -> Result<Vec<Collection>, Error> {
        let mut done = Vec::new();
        for collection in self.store.collections(only.map(|key| &key.owner))? {
            if only.is_some_and(|key| *key != collection.key) {
                continue;
            }
            if !self.rebuild(&collection, Vectors::Present, go_on)? {
                break;
            }
            tracing::info!(collection = %collection.key.name, chunks = collection.chunks, "indexes built anew");
            progress(&collection);
            done.push(collection);
        }
        Ok(done)
    }

    /// Brings the journal behind `after` into new indexes; up to where, or `None` if they are given up.
    fn feed(
        &self,
        rebuild: &Rebuild,
        id: CollectionId,
        after: u64,
        vectors: Vectors,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<u64>, Error> {
        let entries = self.store.journal(id, after)?;
        let mut cursor = after;
        for batch in entries.chunks(BATCH) {
            if !go_on() {
                return Ok(None);
            }
            let mut changes = Vec::with_capacity(batch.len());
            for entry in batch {
                let change = self.change(entry)?;
                match (vectors, change) {
                    (Vectors::Next, Change::Put(mut document)) => {
                        document.vectors = self.store.next_vectors(entry.document)?.unwrap_or_default();
                        changes.push(Change::Put(document));
                    }
                    (_, change) => changes.push(change),
                }
            }
            cursor = batch.last().map_or(cursor, |entry| entry.seq);
            rebuild.apply(&changes, cursor)?;
        }
        Ok(Some(cursor))
    }
}

/// Gives back what store and indexes do not need any more. Uploads and deletions may wait for a moment, searches do not.
/// Blocks. Not while indexes are built anew: they must see all deletions.
///
/// # Errors
/// Those of the store; then some of it may be done.
pub fn optimize(
    store: &Store,
    search: &Search,
    progress: &mut dyn FnMut(OptimizeStep),
) -> Result<Optimized, Error> {
    let mut passed = HashMap::new();
    for collection in store.collections(None)? {
        search.open_collection(collection.id, space(&collection).as_ref())?;
    }
    // What is not on disk is read from the journal again after a crash: so the indexes come first.
    search.optimize()?;
    for collection in store.collections(None)? {
        let cursors = search.open_collection(collection.id, space(&collection).as_ref())?;
        passed.insert(collection.id, cursors.least());
    }
    let done = store.optimize(&passed, progress)?;
    let Optimized { bytes_before, bytes_after, paused_ms, .. } = done;
    tracing::info!(bytes_before, bytes_after, paused_ms, "optimized");
    Ok(done)
}

/// Builds the indexes of a collection, or of all, anew from the store. `progress` is told each that stands. Blocks.
///
/// # Errors
/// Those of store and search; the indexes that were not exchanged stay as they were.
pub fn reindex(
    store: &Store,
    search: &Search,
    only: Option<&CollectionKey>,
    progress: &mut dyn FnMut(&Collection),
) -> Result<Vec<Collection>, Error> {
    // Nothing is committed through it.
    let indexer = Indexer::new(store.clone(), search.clone(), String::new(), 0);
    indexer.rebuild_all(only, &|| true, progress)
}

impl Ingest {
    /// As [`optimize`], while everything runs.
    ///
    /// # Errors
    /// Those of the store; then some of it may be done.
    pub fn optimize(&self, progress: &mut dyn FnMut(OptimizeStep)) -> Result<Optimized, Error> {
        let _alone = self.core.upkeep.lock();
        optimize(&self.core.store, &self.core.indexer.search, progress)
    }

    /// As [`reindex`], while everything runs: searches use the present indexes until the new ones stand.
    ///
    /// # Errors
    /// Those of store and search; the indexes that were not exchanged stay as they were.
    pub fn reindex(
        &self,
        only: Option<&CollectionKey>,
        progress: &mut dyn FnMut(&Collection),
    ) -> Result<Vec<Collection>, Error> {
        let _alone = self.core.upkeep.lock();
        self.core.indexer.rebuild_all(only, &|| !self.workers.stopped(), progress)
    }
}
