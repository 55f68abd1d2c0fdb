use std::time::Instant;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::records::{CollectionRecord, collection_key, pack, unpack};
use super::tables::*;
use super::{Collection, Error, Result, Store, grants};
use crate::types::*;

/// The record of a collection, if there is one.
pub(super) fn record(txn: &impl Snapshot, key: &CollectionKey) -> Result<Option<CollectionRecord>> {
    let table = txn.table(COLLECTIONS)?;
    let row = table.get((key.owner.as_str(), key.name.as_str()))?;
    row.map(|row| unpack(row.value())).transpose()
}

/// The records of all collections.
pub(super) fn records(txn: &impl Snapshot) -> Result<Vec<CollectionRecord>> {
    txn.table(COLLECTIONS)?.iter()?.map(|row| unpack(row?.1.value())).collect()
}

/// Writes the record of a collection.
pub(super) fn put(txn: &WriteTransaction, key: &CollectionKey, record: &CollectionRecord) -> Result<()> {
    let mut table = txn.open_table(COLLECTIONS)?;
    table.insert((key.owner.as_str(), key.name.as_str()), pack(record)?.as_slice())?;
    Ok(())
}

/// The number of a collection, which begins to exist with its first document.
pub(super) fn ensure(txn: &WriteTransaction, key: &CollectionKey) -> Result<u32> {
    if let Some(record) = record(txn, key)? {
        return Ok(record.id);
    }
    let next = count(&mut txn.open_table(META)?, "collection")?;
    let id = u32::try_from(next).map_err(|_| Error::Database("no collection numbers left".into()))?;
    txn.open_table(COLLECTION_KEYS)?.insert(id, (key.owner.as_str(), key.name.as_str()))?;
    put(txn, key, &CollectionRecord::new(id))?;
    Ok(id)
}

/// Whose collection a number stands for, and its name.
pub(super) fn key_of(txn: &impl Snapshot, id: u32) -> Result<CollectionKey> {
    match txn.table(COLLECTION_KEYS)?.get(id)? {
        Some(row) => {
            let (owner, name) = row.value();
            collection_key(owner, name)
        }
        None => Err(Error::Corrupt(format!("collection {id} has no key"))),
    }
}

/// All collections of an owner, or of everybody, in order of owner and name.
pub(super) fn list(txn: &ReadTransaction, owner: Option<&UserId>) -> Result<Vec<Collection>> {
    let table = txn.open_table(COLLECTIONS)?;
    let from = owner.map_or("", UserId::as_str);
    let mut collections = Vec::new();
    for row in table.range((from, "")..)? {
        let (key, value) = row?;
        let (of, name) = key.value();
        if owner.is_some_and(|owner| owner.as_str() != of) {
            break;
        }
        let record: CollectionRecord = unpack(value.value())?;
        collections.push(record.collection(collection_key(of, name)?));
    }
    Ok(collections)
}

impl Store {
    /// Creates a collection; `Conflict` if its owner has one of this name, `NotFound` where he was deleted since.
    pub fn create_collection(&self, key: &CollectionKey, since: Instant) -> Result<Collection> {
        let record = self.engine().write(|txn| {
            self.check_not_gone(&key.owner, since)?;
            if record(txn, key)?.is_some() {
                let name = key.name.as_str();
                return Err(Error::Conflict(format!("there is a collection {name:?} already")));
            }
            ensure(txn, key)?;
            record(txn, key)
        })?;
        Ok(record.ok_or(Error::NotFound)?.collection(key.clone()))
    }

    /// Removes a collection without documents, with its journal and its grants; `Conflict` where it has some. Its number is
    /// never used again.
    pub fn remove_collection(&self, key: &CollectionKey) -> Result<()> {
        self.engine().write(|txn| {
            let Some(CollectionRecord { id, .. }) = record(txn, key)? else { return Ok(()) };
            if txn.open_table(DOCUMENTS)?.range((id, 0)..=(id, u128::MAX))?.next().is_some() {
                return Err(Error::Conflict("documents came in meanwhile: delete them, too".into()));
            }
            txn.open_table(COLLECTIONS)?.remove((key.owner.as_str(), key.name.as_str()))?;
            txn.open_table(COLLECTION_KEYS)?.remove(id)?;
            txn.open_table(JOURNAL)?.retain_in((id, 0)..=(id, u64::MAX), |_, _| false)?;
            txn.open_table(LAST_CHANGE)?.retain_in((id, 0)..=(id, u128::MAX), |_, _| false)?;
            grants::remove_of_collection(txn, id)
        })
    }

    /// A collection by its key.
    pub fn collection(&self, key: &CollectionKey) -> Result<Option<Collection>> {
        let record = self.engine().read(|txn| record(txn, key))?;
        Ok(record.map(|record| record.collection(key.clone())))
    }

    /// All collections of an owner, or of everybody.
    pub fn collections(&self, owner: Option<&UserId>) -> Result<Vec<Collection>> {
        self.engine().read(|txn| list(txn, owner))
    }
}
