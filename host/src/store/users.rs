//! Users: those that were created, and those that exist through what they own.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::records::{CollectionRecord, UserRecord, pack, unpack, user};
use super::tables::*;
use super::{Error, Result, Slice, Store, chats, grants, idempotency, keys};
use crate::types::*;

/// Stands for everybody where users are named.
const EVERYBODY: &str = "*";

/// Creates the user where he does not exist.
pub(super) fn ensure(txn: &WriteTransaction, user: &UserId, now: TimestampMs) -> Result<()> {
    if user.as_str() == EVERYBODY {
        return Err(Error::Conflict("`*` stands for everybody: choose another name".into()));
    }
    let mut table = txn.open_table(USERS)?;
    if table.get(user.as_str())?.is_none() {
        table.insert(user.as_str(), pack(&UserRecord { created_at: now })?.as_slice())?;
    }
    Ok(())
}

fn nobody(id: UserId) -> User {
    User { id, created_at: None, keys: 0, sessions: 0, conversations: 0, collections: 0, documents: 0 }
}

/// Everybody, by name.
fn all(txn: &ReadTransaction) -> Result<BTreeMap<String, User>> {
    let mut users: BTreeMap<String, User> = BTreeMap::new();
    let mut with = |name: &str, count: &dyn Fn(&mut User)| -> Result<()> {
        if !users.contains_key(name) {
            users.insert(name.to_owned(), nobody(user(name)?));
        }
        users.get_mut(name).into_iter().for_each(count);
        Ok(())
    };
    for row in txn.open_table(USERS)?.iter()? {
        let (name, value) = row?;
        let record: UserRecord = unpack(value.value())?;
        with(name.value(), &|user| user.created_at = Some(record.created_at))?;
    }
    for row in txn.open_table(KEYS_BY_OWNER)?.iter()? {
        with(row?.0.value().0, &|user| user.keys += 1)?;
    }
    for row in txn.open_table(SESSIONS_BY_OWNER)?.iter()? {
        with(row?.0.value().0, &|user| user.sessions += 1)?;
    }
    for row in txn.open_table(CONVERSATIONS_BY_OWNER)?.iter()? {
        with(row?.0.value().0, &|user| user.conversations += 1)?;
    }
    for name in askers(txn)? {
        with(&name, &|_| ())?;
    }
    for row in txn.open_table(COLLECTIONS)?.iter()? {
        let (key, value) = row?;
        let record: CollectionRecord = unpack(value.value())?;
        with(key.value().0, &|user| {
            user.collections += 1;
            user.documents += record.documents;
        })?;
    }
    Ok(users)
}

/// Whose queries are logged, without a look at each.
fn askers(txn: &ReadTransaction) -> Result<Vec<String>> {
    let table = txn.open_table(QUERIES_BY_USER)?;
    let (mut found, mut last) = (Vec::new(), String::new());
    loop {
        // Behind all that this one can have.
        let behind = (Bound::Excluded((last.as_str(), u128::MAX)), Bound::Unbounded);
        let Some(row) = table.range::<(&str, u128)>(behind)?.next() else { return Ok(found) };
        last = row?.0.value().0.to_owned();
        found.push(last.clone());
    }
}

impl Store {
    /// Everybody, by name, behind `after`.
    pub fn users(&self, after: Option<&UserId>, limit: usize) -> Result<Slice<User>> {
        let users = self.engine().read(all)?.into_values();
        let behind = users.filter(|user| after.is_none_or(|after| user.id > *after));
        Ok(Slice::of(behind, limit))
    }

    /// Somebody; `None` where he was not created and owns nothing.
    pub fn user(&self, id: &UserId) -> Result<Option<User>> {
        Ok(self.engine().read(all)?.remove(id.as_str()))
    }

    /// Creates a user; `Conflict` if there is one of this name.
    pub fn create_user(&self, id: &UserId, now: TimestampMs) -> Result<User> {
        self.engine().write(|txn| {
            if txn.open_table(USERS)?.get(id.as_str())?.is_some() {
                return Err(Error::Conflict(format!("there is a user {:?} already", id.as_str())));
            }
            ensure(txn, id, now)
        })?;
        self.user(id)?.ok_or(Error::NotFound)
    }

    /// Removes a user with his keys, sessions, conversations and grants in one step, then with what he asked; collections and their documents
    /// are for the caller to delete before. Turns and queries that were begun before are not kept when they end.
    /// Whether there was such a user.
    pub fn delete_user(&self, id: &UserId) -> Result<bool> {
        let known = self.user(id)?.is_some();
        self.begin_farewell(id);
        let removed = self.engine().write(|txn| {
            txn.open_table(USERS)?.remove(id.as_str())?;
            keys::remove_of_user(txn, id)?;
            grants::remove_of_user(txn, id)?;
            idempotency::remove_of_user(txn, id)?;
            chats::delete_of_user(txn, id)
        });
        // Whoever showed a key until then was let in before.
        self.end_farewell(id);
        removed?;
        self.forget_queries_of(id)?;
        Ok(known)
    }
}
