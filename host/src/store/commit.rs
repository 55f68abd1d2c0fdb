use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::collections as collection;
use super::generations::{self, Offer};
use super::records::{CollectionRecord, DocumentRecord, collection_key, pack, pack_chunk};
use super::tables::*;
use super::{
    Committed, Error, Finished, JournalEntry, Result, Store, blobs, delete, documents, journal, paths, submit,
};
use crate::types::*;

/// All vectors of a version; of the embedder named first those that `vectors` are.
fn offers<'a>(finished: &'a Finished, embedder: Option<(&'a str, usize)>) -> Result<Vec<Offer<'a>>> {
    let main =
        embedder.map(|(fingerprint, dimension)| Offer { fingerprint, dimension, vectors: &finished.vectors });
    if main.is_none() && !finished.vectors.is_empty() {
        return Err(Error::Conflict(format!(
            "document {}: vectors without an embedder",
            finished.document.id
        )));
    }
    Ok(main.into_iter().chain(finished.also.as_ref().map(Offer::from)).collect())
}

/// What the transaction writes, roughly.
fn bytes(finished: &Finished) -> u64 {
    let chunks: usize = finished.chunks.iter().map(|chunk| chunk.text.len() + 200).sum();
    let floats = finished.vectors.len() + finished.also.as_ref().map_or(0, |also| also.vectors.len());
    (finished.text.len() + chunks + 4 * floats) as u64
}

/// The record after a commit: what the upload fixed stays.
fn merged(stored: DocumentRecord, finished: &Finished, first_row: u32) -> DocumentRecord {
    let document = &finished.document;
    DocumentRecord {
        file_type: document.file_type.clone(),
        metadata: document.metadata.clone(),
        title: document.title.clone(),
        committed: true,
        chunk_count: finished.chunks.len() as u32,
        first_row,
        warnings: document.warnings.clone(),
        error: None,
        provenance: document.provenance.clone(),
        ..stored
    }
}

/// Replaces text and chunks of a document.
fn replace_rows(txn: &WriteTransaction, key: DocumentKey, finished: &Finished, former: u32) -> Result<()> {
    if former > 0 {
        remove_chunks(txn, key)?;
    }
    let mut chunks = txn.open_table(CHUNKS)?;
    for (index, chunk) in finished.chunks.iter().enumerate() {
        chunks.insert((key.0, key.1, index as u32), pack_chunk(chunk)?.as_slice())?;
    }
    txn.open_table(TEXTS)?.insert(key, finished.text.as_str())?;
    Ok(())
}

/// Removes all chunks of a document.
pub(super) fn remove_chunks(txn: &WriteTransaction, (collection, document): DocumentKey) -> Result<()> {
    let range = (collection, document, 0)..=(collection, document, u32::MAX);
    Ok(txn.open_table(CHUNKS)?.retain_in(range, |_, _| false)?)
}

/// Notes that the job of a document only has to be followed by the indexes.
fn job_committed(txn: &WriteTransaction, document: u128) -> Result<()> {
    let mut jobs = txn.open_table(JOB_OF)?;
    let job = jobs.get(document)?.map(|row| row.value().0);
    match job {
        Some(job) => {
            jobs.insert(document, (job, true))?;
            Ok(())
        }
        None => {
            drop(jobs);
            submit::enqueue(txn, document, true)
        }
    }
}

/// Whether the job was ended while its last stage was done.
fn is_cancelled(txn: &WriteTransaction, id: DocumentId, stored: &DocumentRecord) -> Result<bool> {
    let cancelled = stored.error.as_ref().is_some_and(|error| error.code == CANCELLED);
    Ok(cancelled && documents::job(txn, id)?.is_none())
}

/// Removes the versions that a document replaces.
fn replace_versions(txn: &WriteTransaction, place: &documents::Place) -> Result<Vec<JournalEntry>> {
    let (number, _) = place.key;
    let is_ready = |other| Ok(documents::record(txn, (number, other))?.committed);
    let gone = paths::replaced(txn, place.key, is_ready)?;
    gone.into_iter()
        .map(|document| {
            let key = (number, document);
            let place = documents::Place { key, collection: place.collection.clone() };
            Ok(delete::purge_at(txn, &place)?.1)
        })
        .collect()
}

fn commit_one(
    txn: &WriteTransaction,
    finished: &Finished,
    embedder: Option<(&str, usize)>,
) -> Result<Option<Committed>> {
    let Some(place) = documents::locate(txn, finished.document.id)? else { return Ok(None) };
    let stored = documents::record(txn, place.key)?;
    if is_cancelled(txn, finished.document.id, &stored)? {
        return Ok(None);
    }
    let (was_committed, former) = (stored.committed, stored.chunk_count);
    let mut owner = collection::record(txn, &place.collection)?.ok_or(Error::NotFound)?;
    let first_row = take_rows(&mut owner, finished.chunks.len())?;
    let record = merged(stored, finished, first_row);
    documents::put(txn, place.key, &record)?;
    txn.open_table(FAILED)?.remove(place.key.1)?;
    replace_rows(txn, place.key, finished, former)?;
    job_committed(txn, place.key.1)?;
    let entry = journal::append(txn, place.key, false)?;
    let offers = offers(finished, embedder)?;
    generations::commit(txn, place.key, &mut owner, &offers, finished.chunks.len())?;
    owner.documents += u64::from(!was_committed);
    owner.chunks = owner.chunks + finished.chunks.len() as u64 - u64::from(former);
    owner.last_seq = entry.seq;
    collection::put(txn, &place.collection, &owner)?;
    let replaced = replace_versions(txn, &place)?;
    Ok(Some(Committed { entry, first_row, is_first: !was_committed, replaced }))
}

/// Row numbers for the chunks of a document; the first of them.
fn take_rows(collection: &mut CollectionRecord, count: usize) -> Result<u32> {
    let first = collection.next_row;
    let next = u32::try_from(count).ok().and_then(|count| first.checked_add(count));
    collection.next_row = next.ok_or_else(|| {
        Error::Conflict("the collection has used up its 4 billion row numbers: begin with a new one".into())
    })?;
    Ok(first)
}

/// Gives row numbers to what was committed before there were any, in the order of the journal.
pub(super) fn number_rows(txn: &WriteTransaction) -> Result<()> {
    let keys: Vec<CollectionKey> = {
        let table = txn.open_table(COLLECTION_KEYS)?;
        let rows = table.iter()?.map(|row| {
            let (_, value) = row?;
            let (owner, name) = value.value();
            collection_key(owner, name)
        });
        rows.collect::<Result<_>>()?
    };
    keys.iter().try_for_each(|key| number_rows_of(txn, key))
}

fn number_rows_of(txn: &WriteTransaction, key: &CollectionKey) -> Result<()> {
    let mut owner = collection::record(txn, key)?.ok_or(Error::NotFound)?;
    let (journal, mut documents) = (txn.open_table(JOURNAL)?, txn.open_table(DOCUMENTS)?);
    for row in journal.range((owner.id, 0)..=(owner.id, u64::MAX))? {
        let (document, deleted) = row?.1.value();
        if deleted {
            continue;
        }
        let at = (owner.id, document);
        let Some(mut record) = documents.get(at)?.map(|row| documents::parse(row.value())).transpose()?
        else {
            continue;
        };
        record.first_row = take_rows(&mut owner, record.chunk_count as usize)?;
        documents.insert(at, pack(&record)?.as_slice())?;
    }
    collection::put(txn, key, &owner)
}

/// Large files of the versions that these documents may replace.
fn files_at_paths(txn: &ReadTransaction, finished: &[Finished]) -> Result<Vec<ContentHash>> {
    let mut files = Vec::new();
    for Document { id, .. } in finished.iter().map(|done| &done.document).filter(|new| new.path.is_some()) {
        let Some(place) = documents::locate(txn, *id)? else { continue };
        for path in paths::of(txn, place.key.1)? {
            for version in paths::at(txn, place.key.0, &path)? {
                let record = documents::record(txn, (place.key.0, version))?;
                files.extend(blobs::is_file(record.file_size).then_some(ContentHash(record.hash)));
            }
        }
    }
    Ok(files)
}

impl Store {
    /// Commits finished documents in one durable transaction, replaces their former chunks, appends to the
    /// journal. Their status becomes `Indexing`. A document deleted meanwhile is skipped: no entry for it.
    /// `embedder` is the fingerprint and dimension of the vectors. `Conflict` where they are not of the collection's
    /// embedder, neither the present nor the next, or of another dimension.
    pub fn commit(&self, finished: &[Finished], embedder: Option<(&str, usize)>) -> Result<Vec<Committed>> {
        self.files().check_room(finished.iter().map(bytes).sum())?;
        let commit = || {
            self.engine().write(|txn| {
                let entries = finished.iter().map(|finished| commit_one(txn, finished, embedder));
                entries.filter_map(Result::transpose).collect::<Result<Vec<_>>>()
            })
        };
        let files = self.engine().read(|txn| files_at_paths(txn, finished))?;
        let committed = if files.is_empty() { commit()? } else { self.with_files(&files, commit)? };
        let gone = committed.iter().flat_map(|one| one.replaced.iter().map(|entry| entry.document));
        self.forget_jobs(&gone.collect::<Vec<_>>());
        Ok(committed)
    }

    /// The indexes have the documents: `Indexing` becomes `Ready`, their jobs end, artefacts go. Jobs that are not
    /// committed (queued anew meanwhile) stay. Not fsynced: after a crash these jobs are offered again.
    pub fn mark_ready(&self, ids: &[DocumentId]) -> Result<()> {
        let ended: Vec<DocumentId> = self.engine().write_soft(|txn| {
            let (mut jobs, mut job_of) = (txn.open_table(JOBS)?, txn.open_table(JOB_OF)?);
            let mut ended = Vec::with_capacity(ids.len());
            for id in ids {
                let job = job_of.get(number(*id))?.map(|row| row.value());
                if let Some((job, true)) = job {
                    jobs.remove(job)?;
                    job_of.remove(number(*id))?;
                    ended.push(*id);
                }
            }
            Ok(ended)
        })?;
        self.forget_jobs(&ended);
        Ok(())
    }

    /// Ends a job with a reason; the sequence number of that change. Chunks of an earlier version stay. A document deleted
    /// meanwhile is passed over.
    pub fn fail(&self, id: DocumentId, error: DocumentError) -> Result<Option<u64>> {
        let seq = self.engine().write(|txn| {
            let place = documents::locate(txn, id)?;
            place.map(|place| fail_at(txn, place.key, error)).transpose()
        })?;
        self.forget_jobs(&[id]);
        Ok(seq)
    }
}

/// Ends the job of a document with a reason.
pub(super) fn fail_at(txn: &WriteTransaction, key: DocumentKey, error: DocumentError) -> Result<u64> {
    let seq = count(&mut txn.open_table(META)?, "seq")?;
    let mut record = documents::record(txn, key)?;
    (record.error, record.failed_seq) = (Some(error), seq);
    documents::put(txn, key, &record)?;
    txn.open_table(FAILED)?.insert(key.1, ())?;
    end_job(txn, key.1)?;
    Ok(seq)
}

/// Takes a document's job out of the ledger.
pub(super) fn end_job(txn: &WriteTransaction, document: u128) -> Result<()> {
    let job = txn.open_table(JOB_OF)?.remove(document)?.map(|row| row.value().0);
    if let Some(job) = job {
        txn.open_table(JOBS)?.remove(job)?;
    }
    Ok(())
}
