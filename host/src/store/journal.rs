//! The journal: of each document its last change, deletions too, in one order over all collections.

use std::sync::Arc;

use redb::{ReadableTable, WriteTransaction};

use super::tables::*;
use super::{Collection, JournalEntry, Result, Store, StoredChange, collections, documents, generations};
use crate::types::*;

/// Appends the last change of a document; the one before goes.
pub(super) fn append(
    txn: &WriteTransaction,
    (collection, document): DocumentKey,
    deleted: bool,
) -> Result<JournalEntry> {
    let seq = count(&mut txn.open_table(META)?, "seq")?;
    let mut journal = txn.open_table(JOURNAL)?;
    let former = txn.open_table(LAST_CHANGE)?.insert((collection, document), seq)?.map(|row| row.value());
    if let Some(former) = former {
        journal.remove((collection, former))?;
    }
    journal.insert((collection, seq), (document, deleted))?;
    Ok(JournalEntry { seq, collection: CollectionId(collection), document: document_id(document), deleted })
}

/// The vectors of a document, if they are of the dimension that its collection has now.
fn vectors(txn: &impl Snapshot, place: &documents::Place, chunks: usize) -> Result<Option<Vec<f32>>> {
    let Some(record) = collections::record(txn, &place.collection)? else { return Ok(None) };
    let floats = generations::get(txn, place.key, record.generation)?;
    Ok(floats.filter(|floats| record.dimension.is_some_and(|dimension| floats.len() == chunks * dimension)))
}

impl Store {
    /// The journal of a collection behind `after`, oldest first; each document once, with its last change.
    pub fn journal(&self, collection: CollectionId, after: u64) -> Result<Vec<JournalEntry>> {
        self.journal_part(collection, after, usize::MAX)
    }

    /// As [`Self::journal`], but so many entries at most.
    pub fn journal_part(
        &self,
        collection: CollectionId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<JournalEntry>> {
        let CollectionId(number) = collection;
        self.engine().read(|txn| {
            let journal = txn.open_table(JOURNAL)?;
            let Some(from) = after.checked_add(1) else { return Ok(Vec::new()) };
            let rows = journal.range((number, from)..=(number, u64::MAX))?;
            rows.take(limit)
                .map(|row| {
                    let (key, value) = row?;
                    let ((_, seq), (document, deleted)) = (key.value(), value.value());
                    Ok(JournalEntry { seq, collection, document: document_id(document), deleted })
                })
                .collect()
        })
    }

    /// The number of the last change of all; 0 before the first.
    pub fn last_seq(&self) -> Result<u64> {
        self.engine().read(|txn| Ok(txn.open_table(META)?.get("seq")?.map_or(0, |row| row.value())))
    }

    /// A number above all that changes have by now, and below those to come.
    pub fn count_seq(&self) -> Result<u64> {
        self.engine().write(|txn| count(&mut txn.open_table(META)?, "seq"))
    }

    /// The last change of each document of an owner behind `after`, in order: ready, deleted, or failed; then those that are
    /// worked on, with the number of the last change of all.
    pub fn changes_after(&self, owner: &UserId, after: u64) -> Result<Vec<StoredChange>> {
        self.engine().read(|txn| {
            let mut changes = Vec::new();
            let own = collections::list(txn, Some(owner))?;
            let journal = txn.open_table(JOURNAL)?;
            for Collection { id: CollectionId(number), key, .. } in &own {
                for row in journal.range((*number, after.saturating_add(1))..=(*number, u64::MAX))? {
                    let (at, value) = row?;
                    let ((_, seq), (document, deleted)) = (at.value(), value.value());
                    let (collection, document) = (key.clone(), document_id(document));
                    changes.push(StoredChange { seq, collection, document, deleted });
                }
            }
            let last = txn.open_table(META)?.get("seq")?.map_or(0, |row| row.value());
            let mut add = |document: u128, seq: &dyn Fn(DocumentKey) -> Result<u64>| -> Result<()> {
                let id = document_id(document);
                let Some(place) = documents::locate(txn, id)? else { return Ok(()) };
                let seq = if place.collection.owner == *owner { seq(place.key)? } else { 0 };
                if seq > after {
                    let (collection, document) = (place.collection, id);
                    changes.push(StoredChange { seq, collection, document, deleted: false });
                }
                Ok(())
            };
            for row in txn.open_table(FAILED)?.iter()? {
                add(row?.0.value(), &|key| Ok(documents::record(txn, key)?.failed_seq))?;
            }
            for row in txn.open_table(JOBS)?.iter()? {
                add(row?.1.value(), &|_| Ok(last))?;
            }
            changes.sort_by_key(|change| change.seq);
            Ok(changes)
        })
    }

    /// What an index needs of a document; `None` if it is gone or has never been ready.
    pub fn index_document(&self, id: DocumentId) -> Result<Option<IndexDocument>> {
        self.engine().read(|txn| {
            let Some(place) = documents::locate(txn, id)? else { return Ok(None) };
            let record = documents::record(txn, place.key)?;
            if !record.committed {
                return Ok(None);
            }
            let chunks = documents::chunks(txn, place.key, 0)?.collect::<Result<Vec<_>>>()?;
            let first_row = record.first_row;
            let vectors = vectors(txn, &place, chunks.len())?.unwrap_or_default();
            let open = self.open_stage(id, documents::job(txn, id)?);
            let document = Arc::new(record.document(id, place.collection, open));
            Ok(Some(IndexDocument { document, chunks, first_row, is_first: false, vectors }))
        })
    }

    /// The collection of a document, of whoever.
    pub fn collection_of(&self, id: DocumentId) -> Result<Option<CollectionId>> {
        let place = self.engine().read(|txn| documents::locate(txn, id))?;
        Ok(place.map(|place| CollectionId(place.key.0)))
    }

    /// The number of the first row of a document, and its vectors, row-major.
    pub fn vectors(&self, id: DocumentId) -> Result<Option<(u32, Vec<f32>)>> {
        self.engine().read(|txn| {
            let Some(place) = documents::locate(txn, id)? else { return Ok(None) };
            let record = documents::record(txn, place.key)?;
            let vectors = vectors(txn, &place, record.chunk_count as usize)?;
            Ok(vectors.map(|vectors| (record.first_row, vectors)))
        })
    }
}
