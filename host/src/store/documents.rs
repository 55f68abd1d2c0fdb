use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::iter::Peekable;
use std::sync::Arc;

use memchr::memmem;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, WriteTransaction};

use super::records::{DocumentRecord, pack, unpack, unpack_chunk};
use super::tables::*;
use super::{
    BlobHandle, Collection, DocumentQuery, Error, Listed, Result, Slice, Store, blobs, collections, grants,
    paths,
};
use crate::types::*;

/// Where the rows of a document are.
pub(super) struct Place {
    pub key: DocumentKey,
    pub collection: CollectionKey,
}

/// Finds a document of whoever.
pub(super) fn locate(txn: &impl Snapshot, id: DocumentId) -> Result<Option<Place>> {
    let number = number(id);
    let collection = txn.table(LOCATORS)?.get(number)?.map(|row| row.value());
    let Some(collection) = collection else { return Ok(None) };
    let key = collections::key_of(txn, collection)?;
    Ok(Some(Place { key: (collection, number), collection: key }))
}

/// Finds a document with which this user may do this; any other does not exist for him.
pub(super) fn locate_for(
    txn: &impl Snapshot,
    user: &UserId,
    id: DocumentId,
    wanted: Access,
) -> Result<Option<Place>> {
    let Some(place) = locate(txn, id)? else { return Ok(None) };
    let allowed = grants::allows(txn, place.key.0, &place.collection, user, wanted)?;
    Ok(allowed.then_some(place))
}

/// Reads a record.
pub(super) fn parse(bytes: &[u8]) -> Result<DocumentRecord> {
    unpack(bytes)
}

/// The record of a document that was located in the same snapshot.
pub(super) fn record(txn: &impl Snapshot, key: DocumentKey) -> Result<DocumentRecord> {
    in_table(&txn.table(DOCUMENTS)?, key)
}

fn in_table(table: &impl ReadableTable<DocumentKey, Packed>, key: DocumentKey) -> Result<DocumentRecord> {
    match table.get(key)? {
        Some(row) => parse(row.value()),
        None => Err(Error::Corrupt(format!("document {} has no record", document_id(key.1)))),
    }
}

/// Writes the record of a document.
pub(super) fn put(txn: &WriteTransaction, key: DocumentKey, record: &DocumentRecord) -> Result<()> {
    txn.open_table(DOCUMENTS)?.insert(key, pack(record)?.as_slice())?;
    Ok(())
}

/// The open job of a document and whether it is committed.
pub(super) fn job(txn: &impl Snapshot, id: DocumentId) -> Result<Option<(u64, bool)>> {
    Ok(txn.table(JOB_OF)?.get(number(id))?.map(|row| row.value()))
}

/// Chunks of a document from a position on.
pub(super) fn chunks(
    txn: &ReadTransaction,
    (collection, document): DocumentKey,
    from: u32,
) -> Result<impl Iterator<Item = Result<Chunk>> + use<>> {
    let last = (collection, document, u32::MAX);
    let rows = txn.open_table(CHUNKS)?.range((collection, document, from)..=last)?;
    Ok(rows.map(|row| unpack_chunk(row?.1.value())))
}

/// The collections that a list is about; a single one that does not exist for the user is empty.
fn listed(txn: &ReadTransaction, user: &UserId, listed: &Listed) -> Result<Vec<(u32, CollectionKey)>> {
    let own = || collections::list(txn, Some(user)).map(Vec::into_iter);
    let pair = |collection: Collection| (collection.id.0, collection.key);
    match listed {
        Listed::Own => Ok(own()?.map(pair).collect()),
        Listed::Readable => {
            let mut all: Vec<_> = own()?.map(pair).collect();
            for (number, _) in grants::of_user(txn, user)? {
                all.push((number, collections::key_of(txn, number)?));
            }
            Ok(all)
        }
        Listed::One(key) => match collections::record(txn, key)? {
            Some(record) if grants::allows(txn, record.id, key, user, Access::Read)? => {
                Ok(vec![(record.id, key.clone())])
            }
            _ => Ok(Vec::new()),
        },
    }
}

type Row = Result<(DocumentId, DocumentRecord)>;
type Rows = Box<dyn Iterator<Item = Row>>;

/// Sorts out most documents that a query does not want by a look at their packed records: to unpack one costs ten times
/// as much. What passes may be unwanted.
struct Sieve {
    /// What a wanted record has in it: MessagePack keeps texts as they are.
    needles: Vec<memmem::Finder<'static>>,
    /// Where a wanted document has a job.
    jobs: Option<ReadOnlyTable<u128, (u64, bool)>>,
}

impl Sieve {
    fn new(txn: &ReadTransaction, query: &DocumentQuery) -> Result<Self> {
        let texts = [&query.file_type, &query.tag, &query.filename];
        let mut texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
        let mut jobs = None;
        match query.status {
            // The key of a part that only a failed document has.
            Some(Stage::Failed) => texts.push("error"),
            Some(stage) if !stage.is_final() => jobs = Some(txn.open_table(JOB_OF)?),
            _ => {}
        }
        let needles = texts.into_iter().map(|text| memmem::Finder::new(text).into_owned()).collect();
        Ok(Self { needles, jobs })
    }

    fn passes(&self, (_, document): DocumentKey, record: &[u8]) -> Result<bool> {
        if self.needles.iter().any(|needle| needle.find(record).is_none()) {
            return Ok(false);
        }
        self.jobs.as_ref().map_or(Ok(true), |jobs| Ok(jobs.get(document)?.is_some()))
    }
}

/// Documents of one collection in the order of the query, without most of those it does not want.
fn walk(txn: &ReadTransaction, collection: u32, query: &DocumentQuery) -> Result<Rows> {
    if let Some(path) = &query.path {
        return at_path(txn, collection, path, query);
    }
    let table = txn.open_table(DOCUMENTS)?;
    let (first, last) = ((collection, 0), (collection, u128::MAX));
    let after = query.after.map(number);
    let rows = match (after, query.descending) {
        (None, _) => table.range(first..=last),
        (Some(after), true) => table.range(first..(collection, after)),
        (Some(u128::MAX), false) => return Ok(Box::new(std::iter::empty())),
        (Some(after), false) => table.range((collection, after + 1)..=last),
    }?;
    let sieve = Sieve::new(txn, query)?;
    let read = move |row: std::result::Result<
        (redb::AccessGuard<'_, DocumentKey>, redb::AccessGuard<'_, Packed>),
        _,
    >| {
        let (key, value) = row?;
        let (key, value) = (key.value(), value.value());
        let passes = sieve.passes(key, value)?;
        passes.then(|| Ok((document_id(key.1), parse(value)?))).transpose()
    };
    let read = move |row| read(row).transpose();
    Ok(if query.descending { Box::new(rows.rev().filter_map(read)) } else { Box::new(rows.filter_map(read)) })
}

/// Those that came from a path, also where it is not the first that they came from.
fn at_path(txn: &ReadTransaction, collection: u32, path: &str, query: &DocumentQuery) -> Result<Rows> {
    let table = txn.open_table(DOCUMENTS)?;
    let mut found = paths::at(txn, collection, path)?;
    if query.descending {
        found.reverse();
    }
    let is_behind =
        |after: u128, number: u128| if query.descending { number < after } else { number > after };
    let after = query.after.map(number);
    found.retain(|number| after.is_none_or(|after| is_behind(after, *number)));
    let read = move |number| Ok((document_id(number), in_table(&table, (collection, number))?));
    Ok(Box::new(found.into_iter().map(read)))
}

/// Joins the sorted documents of several collections into one sorted list.
struct Merge {
    sides: Vec<(CollectionKey, Peekable<Rows>)>,
    descending: bool,
}

impl Iterator for Merge {
    type Item = Result<(DocumentId, CollectionKey, DocumentRecord)>;

    fn next(&mut self) -> Option<Self::Item> {
        // An error comes first, then the id that is next in order.
        let rank = |row: &Row| {
            row.as_ref().ok().map(|(id, _)| if self.descending { !number(*id) } else { number(*id) })
        };
        let heads = self.sides.iter_mut().enumerate();
        let heads = heads.filter_map(|(index, (_, side))| Some((rank(side.peek()?), index)));
        let (_, index) = heads.min()?;
        let (key, side) = &mut self.sides[index];
        Some(side.next()?.map(|(id, record)| (id, key.clone(), record)))
    }
}

impl Store {
    /// The stage of an open job; `None` if there is none.
    pub(super) fn open_stage(&self, id: DocumentId, job: Option<(u64, bool)>) -> Option<Stage> {
        match job? {
            (_, true) => Some(Stage::Indexing),
            (_, false) => Some(self.begun_stage(id).unwrap_or(Stage::Queued)),
        }
    }

    /// A located document as it stands in the snapshot.
    pub(super) fn load(&self, txn: &impl Snapshot, id: DocumentId, place: Place) -> Result<Document> {
        let open = self.open_stage(id, job(txn, id)?);
        Ok(record(txn, place.key)?.document(id, place.collection, open))
    }

    /// A document that this user may read.
    pub fn document(&self, user: &UserId, id: DocumentId) -> Result<Option<Document>> {
        let loaded = self.engine().read(|txn| Loader::new(txn)?.load(self, user, id))?;
        Ok(loaded.map(|(_, document)| document))
    }

    /// Any document: for the daemon's own work, never for a request.
    pub fn document_any(&self, id: DocumentId) -> Result<Option<Document>> {
        self.engine().read(|txn| locate(txn, id)?.map(|place| self.load(txn, id, place)).transpose())
    }

    /// Documents that this user may read.
    pub fn documents(&self, user: &UserId, query: &DocumentQuery) -> Result<Slice<Document>> {
        self.engine().read(|txn| {
            let mut sides = Vec::new();
            for (number, key) in listed(txn, user, &query.listed)? {
                sides.push((key, walk(txn, number, query)?.peekable()));
            }
            let jobs = txn.open_table(JOB_OF)?;
            let documents = Merge { sides, descending: query.descending }.map(|item| {
                let (id, collection, record) = item?;
                let job = jobs.get(number(id))?.map(|row| row.value());
                let foreign = collection.owner != *user;
                Ok(Document { foreign, ..record.document(id, collection, self.open_stage(id, job)) })
            });
            let matching = documents.filter(|document: &Result<Document>| {
                document.as_ref().map_or(true, |document| query.matches(document))
            });
            Slice::take(matching, query.limit)
        })
    }

    /// The original bytes.
    pub fn content(&self, user: &UserId, id: DocumentId) -> Result<Option<BlobHandle>> {
        self.engine().read(|txn| {
            let Some(place) = locate_for(txn, user, id, Access::Read)? else { return Ok(None) };
            let hash = ContentHash(record(txn, place.key)?.hash);
            blobs::read(txn, self.files(), id, &hash).map(Some)
        })
    }

    /// The normalised text; `None` until the document is ready.
    pub fn text(&self, user: &UserId, id: DocumentId) -> Result<Option<String>> {
        self.engine().read(|txn| {
            let Some(place) = locate_for(txn, user, id, Access::Read)? else { return Ok(None) };
            let text = txn.open_table(TEXTS)?.get(place.key)?.map(|row| row.value().to_owned());
            Ok(text)
        })
    }

    /// Chunks `from..from + limit`; `NotFound` where the user may read no such document.
    pub fn chunks(&self, user: &UserId, id: DocumentId, from: u32, limit: usize) -> Result<Slice<Chunk>> {
        self.engine().read(|txn| {
            let place = locate_for(txn, user, id, Access::Read)?.ok_or(Error::NotFound)?;
            Slice::take(chunks(txn, place.key, from)?, limit)
        })
    }

    /// Chunks by id, each with its document, in the order asked for; those that are gone or not for this user are
    /// left out. One read transaction.
    pub fn chunks_by_id(&self, user: &UserId, ids: &[ChunkId]) -> Result<Vec<(Arc<Document>, Chunk)>> {
        self.engine().read(|txn| {
            let rows = txn.open_table(CHUNKS)?;
            let mut loader = Loader::new(txn)?;
            let mut documents: HashMap<DocumentId, Option<(DocumentKey, Arc<Document>)>> = HashMap::new();
            let mut found = Vec::with_capacity(ids.len());
            for ChunkId { document: id, index } in ids {
                if !documents.contains_key(id) {
                    let loaded = loader.load(self, user, *id)?;
                    documents.insert(*id, loaded.map(|(key, document)| (key, Arc::new(document))));
                }
                let Some(Some(((collection, number), document))) = documents.get(id) else { continue };
                if let Some(row) = rows.get((*collection, *number, *index))? {
                    found.push((document.clone(), unpack_chunk(row.value())?));
                }
            }
            Ok(found)
        })
    }
}

/// Loads many documents: to open a table costs as much as to find a row in it.
struct Loader<'a> {
    txn: &'a ReadTransaction,
    locators: ReadOnlyTable<u128, u32>,
    documents: ReadOnlyTable<DocumentKey, Packed>,
    jobs: ReadOnlyTable<u128, (u64, bool)>,
    /// By number: whose it is, and whether the user may read it.
    collections: HashMap<u32, (CollectionKey, bool)>,
}

impl<'a> Loader<'a> {
    fn new(txn: &'a ReadTransaction) -> Result<Self> {
        Ok(Self {
            txn,
            locators: txn.open_table(LOCATORS)?,
            documents: txn.open_table(DOCUMENTS)?,
            jobs: txn.open_table(JOB_OF)?,
            collections: HashMap::new(),
        })
    }

    /// A document that this user may read; any other does not exist for him.
    fn load(
        &mut self,
        store: &Store,
        user: &UserId,
        id: DocumentId,
    ) -> Result<Option<(DocumentKey, Document)>> {
        let Some(number) = self.locators.get(number(id))?.map(|row| row.value()) else { return Ok(None) };
        let (collection, readable) = match self.collections.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let key = collections::key_of(self.txn, number)?;
                let readable = grants::allows(self.txn, number, &key, user, Access::Read)?;
                new.insert((key, readable))
            }
        };
        if !*readable {
            return Ok(None);
        }
        let key = (number, self::number(id));
        let job = self.jobs.get(key.1)?.map(|row| row.value());
        let record = in_table(&self.documents, key)?;
        let document = record.document(id, collection.clone(), store.open_stage(id, job));
        Ok(Some((key, Document { foreign: collection.owner != *user, ..document })))
    }
}
