//! What users may do with collections of others.

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::records::user;
use super::tables::{GRANTS, GRANTS_BY_USER, Snapshot};
use super::{Collection, Error, Result, Store, collections};
use crate::types::*;

fn access(level: u8) -> Result<Access> {
    match level {
        1 => Ok(Access::Read),
        2 => Ok(Access::Write),
        other => Err(Error::Corrupt(format!("no grant {other}"))),
    }
}

fn level(access: Access) -> u8 {
    match access {
        Access::Read => 1,
        Access::Write => 2,
    }
}

/// What a user may do with somebody else's collection.
fn granted(txn: &impl Snapshot, number: u32, user: &UserId) -> Result<Option<Access>> {
    txn.table(GRANTS)?.get((number, user.as_str()))?.map(|row| access(row.value())).transpose()
}

/// Whether a user may do this with a collection: it is his, or it was granted.
pub(super) fn allows(
    txn: &impl Snapshot,
    number: u32,
    key: &CollectionKey,
    user: &UserId,
    wanted: Access,
) -> Result<bool> {
    Ok(key.owner == *user || granted(txn, number, user)?.is_some_and(|access| access >= wanted))
}

/// Collections of others that a user may read, in order of number.
pub(super) fn of_user(txn: &ReadTransaction, user: &UserId) -> Result<Vec<(u32, Access)>> {
    let table = txn.open_table(GRANTS_BY_USER)?;
    let rows = table.range((user.as_str(), 0)..=(user.as_str(), u32::MAX))?;
    rows.map(|row| {
        let (key, value) = row?;
        Ok((key.value().1, access(value.value())?))
    })
    .collect()
}

fn remove(txn: &WriteTransaction, number: u32, user: &str) -> Result<bool> {
    txn.open_table(GRANTS_BY_USER)?.remove((user, number))?;
    Ok(txn.open_table(GRANTS)?.remove((number, user))?.is_some())
}

/// Removes what a user was granted.
pub(super) fn remove_of_user(txn: &WriteTransaction, user: &UserId) -> Result<()> {
    let numbers: Vec<u32> = {
        let table = txn.open_table(GRANTS_BY_USER)?;
        let rows = table.range((user.as_str(), 0)..=(user.as_str(), u32::MAX))?;
        rows.map(|row| Ok(row?.0.value().1)).collect::<Result<_>>()?
    };
    numbers.into_iter().try_for_each(|number| remove(txn, number, user.as_str()).map(drop))
}

/// Who may do what with a collection, by name.
fn list(txn: &impl Snapshot, number: u32) -> Result<Vec<(UserId, Access)>> {
    let table = txn.table(GRANTS)?;
    let mut found = Vec::new();
    for row in table.range((number, "")..)? {
        let (key, value) = row?;
        let (of, name) = key.value();
        if of != number {
            break;
        }
        found.push((user(name)?, access(value.value())?));
    }
    Ok(found)
}

/// Removes all grants of a collection.
pub(super) fn remove_of_collection(txn: &WriteTransaction, number: u32) -> Result<()> {
    let users = list(txn, number)?;
    users.iter().try_for_each(|(user, _)| remove(txn, number, user.as_str()).map(drop))
}

impl Store {
    /// Lets a user read or change a collection; `NotFound` where there is no such collection.
    pub fn grant(&self, key: &CollectionKey, user: &UserId, access: Access) -> Result<()> {
        self.engine().write(|txn| {
            let number = collections::record(txn, key)?.ok_or(Error::NotFound)?.id;
            txn.open_table(GRANTS)?.insert((number, user.as_str()), level(access))?;
            txn.open_table(GRANTS_BY_USER)?.insert((user.as_str(), number), level(access))?;
            Ok(())
        })
    }

    /// Takes a grant back; `false` where there was none.
    pub fn revoke_grant(&self, key: &CollectionKey, user: &UserId) -> Result<bool> {
        self.engine().write(|txn| {
            let Some(record) = collections::record(txn, key)? else { return Ok(false) };
            remove(txn, record.id, user.as_str())
        })
    }

    /// Who else may do what with a collection, by name.
    pub fn grants(&self, key: &CollectionKey) -> Result<Vec<(UserId, Access)>> {
        self.engine().read(|txn| match collections::record(txn, key)? {
            Some(record) => list(txn, record.id),
            None => Ok(Vec::new()),
        })
    }

    /// What a user may do with a collection, if it exists and is his or was granted; `None` tells neither.
    pub fn access(&self, user: &UserId, key: &CollectionKey) -> Result<Option<(Collection, Access)>> {
        self.engine().read(|txn| {
            let Some(record) = collections::record(txn, key)? else { return Ok(None) };
            let access =
                if key.owner == *user { Some(Access::Write) } else { granted(txn, record.id, user)? };
            Ok(access.map(|access| (record.collection(key.clone()), access)))
        })
    }

    /// All collections that a user may read: his own in order of name, then those of others.
    pub fn readable(&self, user: &UserId) -> Result<Vec<(Collection, Access)>> {
        self.engine().read(|txn| {
            let own = collections::list(txn, Some(user))?;
            let mut found: Vec<_> = own.into_iter().map(|own| (own, Access::Write)).collect();
            for (number, access) in of_user(txn, user)? {
                let key = collections::key_of(txn, number)?;
                let record = collections::record(txn, &key)?;
                found.extend(record.map(|record| (record.collection(key), access)));
            }
            Ok(found)
        })
    }
}
