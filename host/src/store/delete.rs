use redb::{ReadableTableMetadata, WriteTransaction};

use super::records::DocumentRecord;
use super::tables::*;
use super::{
    Error, JournalEntry, Purged, Result, Store, blobs, collections, commit, documents, generations, journal,
    paths, submit,
};
use crate::types::*;

/// Removes text and chunks of a document; how many chunks went.
fn remove_derived(txn: &WriteTransaction, key: DocumentKey) -> Result<u64> {
    let mut chunks = txn.open_table(CHUNKS)?;
    let before = chunks.len()?;
    chunks.retain_in((key.0, key.1, 0)..=(key.0, key.1, u32::MAX), |_, _| false)?;
    let gone = before - chunks.len()?;
    txn.open_table(TEXTS)?.remove(key)?;
    Ok(gone)
}

fn remove_rows(txn: &WriteTransaction, key: DocumentKey, record: &DocumentRecord) -> Result<()> {
    txn.open_table(DOCUMENTS)?.remove(key)?;
    txn.open_table(LOCATORS)?.remove(key.1)?;
    txn.open_table(BY_HASH)?.remove((key.0, &record.hash))?;
    txn.open_table(FAILED)?.remove(key.1)?;
    paths::forget(txn, key)?;
    commit::end_job(txn, key.1)
}

/// Counts a committed document out of its collection and removes its vectors; whether it had some.
fn uncount(
    txn: &WriteTransaction,
    place: &documents::Place,
    document: &DocumentRecord,
    seq: u64,
) -> Result<bool> {
    let mut record = collections::record(txn, &place.collection)?.ok_or(Error::NotFound)?;
    let had_vectors = generations::forget(txn, place.key, &mut record)?;
    record.documents -= u64::from(document.committed);
    record.chunks -= u64::from(document.chunk_count);
    record.last_seq = seq;
    collections::put(txn, &place.collection, &record)?;
    Ok(had_vectors)
}

impl Store {
    /// Removes documents and all that was derived from them: one durable commit with a journal entry for each.
    /// Returns the entries so that the indexes can follow, in the order asked for; those that the user may not change, and
    /// those that are gone, are left out.
    pub fn delete(
        &self,
        user: &UserId,
        ids: &[DocumentId],
    ) -> Result<Vec<(CollectionKey, DocumentId, Purged, JournalEntry)>> {
        let large = self.engine().read(|txn| {
            let mut large = Vec::new();
            for id in ids {
                let Some(place) = documents::locate_for(txn, user, *id, Access::Write)? else { continue };
                let record = documents::record(txn, place.key)?;
                large.extend(blobs::is_file(record.file_size).then_some(ContentHash(record.hash)));
            }
            Ok(large)
        })?;
        let purge = || {
            self.engine().write(|txn| {
                let gone = ids.iter().map(|id| purge(txn, user, *id));
                gone.filter_map(Result::transpose).collect::<Result<Vec<_>>>()
            })
        };
        let gone = if large.is_empty() { purge()? } else { self.with_files(&large, purge)? };
        self.forget_jobs(ids);
        Ok(gone)
    }

    /// Queues a document anew; its present chunks stay searchable until the new ones replace them. A document that
    /// waits or is worked on already stays where it is in the queue.
    pub fn reprocess(&self, user: &UserId, id: DocumentId) -> Result<Option<Document>> {
        let queued = self.engine().write(|txn| {
            if documents::locate_for(txn, user, id, Access::Write)?.is_none() {
                return Ok(None);
            }
            if let Some((_, false)) = documents::job(txn, id)? {
                return Ok(Some(false));
            }
            commit::end_job(txn, number(id))?;
            txn.open_table(FAILED)?.remove(number(id))?;
            submit::enqueue(txn, number(id), false)?;
            Ok(Some(true))
        })?;
        match queued {
            None => return Ok(None),
            Some(true) => self.forget_jobs(&[id]),
            Some(false) => {}
        }
        self.document(user, id)
    }
}

impl Store {
    /// Ends the job of a document that this user may change, as a failure; its chunks of an earlier version stay. `Conflict`
    /// where there is nothing to end any more.
    /// With the sequence number of that change.
    pub fn cancel(
        &self,
        user: &UserId,
        id: DocumentId,
        error: DocumentError,
    ) -> Result<Option<(Document, u64)>> {
        let seq = self.engine().write(|txn| {
            let Some(place) = documents::locate_for(txn, user, id, Access::Write)? else { return Ok(None) };
            match documents::job(txn, id)? {
                Some((_, false)) => {}
                _ => return Err(Error::Conflict("the document is not worked on: it is done already".into())),
            }
            commit::fail_at(txn, place.key, error).map(Some)
        })?;
        let Some(seq) = seq else { return Ok(None) };
        self.forget_jobs(&[id]);
        Ok(self.document(user, id)?.map(|document| (document, seq)))
    }
}

fn purge(
    txn: &WriteTransaction,
    user: &UserId,
    id: DocumentId,
) -> Result<Option<(CollectionKey, DocumentId, Purged, JournalEntry)>> {
    let Some(place) = documents::locate_for(txn, user, id, Access::Write)? else { return Ok(None) };
    let (purged, entry) = purge_at(txn, &place)?;
    Ok(Some((place.collection, id, purged, entry)))
}

/// Removes a document that was located in the same transaction.
pub(super) fn purge_at(txn: &WriteTransaction, place: &documents::Place) -> Result<(Purged, JournalEntry)> {
    let record = documents::record(txn, place.key)?;
    let gone = remove_derived(txn, place.key)?;
    remove_rows(txn, place.key, &record)?;
    let blob = blobs::release(txn, &ContentHash(record.hash))?;
    let entry = journal::append(txn, place.key, true)?;
    let vectors = if uncount(txn, place, &record, entry.seq)? { gone } else { 0 };
    let chunks = u64::from(record.chunk_count);
    let bytes = if blob { record.file_size } else { 0 };
    Ok((Purged { chunks, vectors, blob, bytes }, entry))
}
