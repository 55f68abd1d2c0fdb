use std::collections::HashMap;

use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::records::DocumentRecord;
use super::tables::*;
use super::{Error, NewDocument, Result, Store, Submitted, blobs, collections, documents, paths};
use crate::types::*;

/// Opens a job behind all others.
pub(super) fn enqueue(txn: &WriteTransaction, document: u128, committed: bool) -> Result<()> {
    let job = count(&mut txn.open_table(META)?, "job")?;
    txn.open_table(JOBS)?.insert(job, document)?;
    txn.open_table(JOB_OF)?.insert(document, (job, committed))?;
    Ok(())
}

/// The documents of an owner that wait may be at most so many times what the queue has room for. So one alone gets 4/5
/// of it, two get 4/9 each, and there is always room for the next. (Choudhury and Hahne, "Dynamic queue length
/// thresholds for shared-memory packet switches", 1998.)
const SHARE: usize = 4;

/// The queue as an upload finds it.
struct Queue {
    max: usize,
    /// Documents of each owner that wait; of nobody while there is room enough for all.
    waiting: HashMap<UserId, usize>,
}

impl Queue {
    /// Lets one more in, or says how many of this owner's wait.
    fn enter(&mut self, txn: &WriteTransaction, owner: &UserId) -> Result<()> {
        let Some(waiting) = self.waiting.get_mut(owner) else { return Ok(()) };
        let open = usize::try_from(txn.open_table(JOBS)?.len()?).unwrap_or(usize::MAX);
        if *waiting >= SHARE.saturating_mul(self.max.saturating_sub(open)) {
            return Err(Error::QueueFull(*waiting));
        }
        *waiting += 1;
        Ok(())
    }
}

/// The document of a collection that has these bytes.
fn same_bytes(txn: &WriteTransaction, collection: u32, hash: &ContentHash) -> Result<Option<DocumentId>> {
    Ok(txn.open_table(BY_HASH)?.get((collection, &hash.0))?.map(|row| document_id(row.value())))
}

impl Store {
    /// Takes documents in: blobs, records and jobs in one durable commit. On return they are acknowledged.
    /// All or none: `NotFound` where a user was deleted since, `QueueFull` where the queue has no room for every one that is not there already.
    pub fn submit(&self, documents: Vec<NewDocument>, queue_max: usize) -> Result<Vec<Submitted>> {
        self.take_all(documents, queue_max, true)
    }

    /// As [`Self::submit`], but on disk only with the next durable commit, at the latest with that of their text or
    /// their failure: for those who acknowledge nothing before.
    pub fn submit_soft(&self, documents: Vec<NewDocument>, queue_max: usize) -> Result<Vec<Submitted>> {
        self.take_all(documents, queue_max, false)
    }

    fn take_all(
        &self,
        documents: Vec<NewDocument>,
        queue_max: usize,
        durable: bool,
    ) -> Result<Vec<Submitted>> {
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        self.files().check_room(documents.iter().map(|document| document.blob.inline_bytes()).sum())?;
        let large: Vec<ContentHash> = documents
            .iter()
            .filter(|document| document.blob.is_large())
            .map(|document| document.blob.hash())
            .collect();
        let mut queue = self.queue(&documents, queue_max)?;
        let take = |txn: &WriteTransaction| {
            documents.into_iter().map(|document| self.take_in(txn, document, &mut queue)).collect()
        };
        match (large.is_empty(), durable) {
            (true, false) => self.engine().write_soft(take),
            (true, true) => self.engine().write(take),
            // A file must not come before its record is on disk.
            (false, _) => self.with_files(&large, || self.engine().write(take)),
        }
    }

    fn queue(&self, documents: &[NewDocument], max: usize) -> Result<Queue> {
        let mut waiting = HashMap::new();
        if self.open_jobs()? + documents.len() > max / (SHARE + 1) * SHARE {
            for NewDocument { collection, .. } in documents {
                if !waiting.contains_key(&collection.owner) {
                    waiting.insert(collection.owner.clone(), self.waiting(&collection.owner)?);
                }
            }
        }
        Ok(Queue { max, waiting })
    }

    fn take_in(&self, txn: &WriteTransaction, new: NewDocument, queue: &mut Queue) -> Result<Submitted> {
        self.check_not_gone(&new.collection.owner, new.since)?;
        let collection = collections::ensure(txn, &new.collection)?;
        let hash = new.blob.hash();
        if let Some(id) = same_bytes(txn, collection, &hash)? {
            self.files().put_back(new.blob)?;
            let place = documents::Place { key: (collection, number(id)), collection: new.collection };
            let replaces = moved_to(txn, place.key, new.path.as_deref())?;
            return Ok(Submitted { document: self.load(txn, id, place)?, duplicate: true, replaces });
        }
        queue.enter(txn, &new.collection.owner)?;
        let id = DocumentId::new();
        let record = DocumentRecord {
            filename: new.filename,
            path: new.path.clone(),
            file_type: new.file_type,
            file_size: new.blob.size(),
            hash: hash.0,
            tags: distinct(new.tags),
            metadata: new.metadata,
            upload_time: new.upload_time,
            title: None,
            committed: false,
            chunk_count: 0,
            first_row: 0,
            warnings: Vec::new(),
            error: None,
            failed_seq: 0,
            provenance: Provenance::default(),
        };
        txn.open_table(LOCATORS)?.insert(number(id), collection)?;
        txn.open_table(BY_HASH)?.insert((collection, &hash.0), number(id))?;
        documents::put(txn, (collection, number(id)), &record)?;
        if let Some(path) = &new.path {
            paths::note(txn, (collection, number(id)), path)?;
        }
        blobs::add(txn, self.files(), new.blob)?;
        enqueue(txn, number(id), false)?;
        let document = record.document(id, new.collection, Some(Stage::Queued));
        Ok(Submitted { document, duplicate: false, replaces: Vec::new() })
    }
}

/// The bytes of a document that is there already are what stands at a path now; what came from there before is replaced.
fn moved_to(txn: &WriteTransaction, key: DocumentKey, path: Option<&str>) -> Result<Vec<DocumentId>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    paths::note(txn, key, path)?;
    let mut replaced = Vec::new();
    for other in paths::at(txn, key.0, path)?.into_iter().filter(|other| *other != key.1) {
        if paths::detach(txn, (key.0, other), path)? {
            replaced.push(document_id(other));
        }
    }
    Ok(replaced)
}

/// Without repetitions, in order.
fn distinct(tags: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    tags.into_iter().filter(|tag| seen.insert(tag.clone())).collect()
}
