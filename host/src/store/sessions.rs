use std::time::Instant;

use redb::{ReadableTable, WriteTransaction};

use super::records::{SessionRecord, pack, unpack};
use super::tables::*;
use super::{Error, Result, Slice, Store, chats};
use crate::types::*;

/// A session by id, whoever owns it.
fn find(txn: &impl Snapshot, id: &str) -> Result<Option<SessionRecord>> {
    let table = txn.table(SESSIONS)?;
    let row = table.get(id)?;
    row.map(|row| unpack(row.value())).transpose()
}

/// A session of this owner.
pub(super) fn find_owned(
    txn: &impl Snapshot,
    owner: &UserId,
    id: &SessionId,
) -> Result<Option<SessionRecord>> {
    Ok(find(txn, id.as_str())?.filter(|record| record.user == owner.as_str()))
}

fn put(txn: &WriteTransaction, id: &SessionId, record: &SessionRecord) -> Result<()> {
    txn.open_table(SESSIONS)?.insert(id.as_str(), pack(record)?.as_slice())?;
    Ok(())
}

fn session_id(text: &str) -> Result<SessionId> {
    SessionId::new(text).map_err(|error| Error::Corrupt(error.to_string()))
}

impl Store {
    /// Stores a session; `Conflict` if the id is taken, `NotFound` where its user was deleted since.
    pub fn create_session(&self, session: &Session, since: Instant) -> Result<()> {
        let id = session.id.as_str();
        self.engine().write(|txn| {
            self.check_not_gone(&session.user, since)?;
            if find(txn, id)?.is_some() {
                return Err(Error::Conflict(format!("the session id {id:?} is taken: choose another")));
            }
            put(txn, &session.id, &SessionRecord::of(session))?;
            let key = (session.user.as_str(), session.created_at, id);
            txn.open_table(SESSIONS_BY_OWNER)?.insert(key, ())?;
            Ok(())
        })
    }

    /// A session by id, whoever owns it: decides who the caller is in local mode.
    pub fn session(&self, id: &SessionId) -> Result<Option<Session>> {
        let record = self.engine().read(|txn| find(txn, id.as_str()))?;
        record.map(|record| record.session(id.clone())).transpose()
    }

    /// Sessions of an owner, newest first, behind one that began at that time, which may be gone.
    pub fn sessions(
        &self,
        owner: &UserId,
        after: Option<(TimestampMs, &SessionId)>,
        limit: usize,
    ) -> Result<Slice<Session>> {
        self.engine().read(|txn| {
            let last = after.map_or((i64::MAX, ""), |(began, id)| (began, id.as_str()));
            let table = txn.open_table(SESSIONS_BY_OWNER)?;
            let owner = owner.as_str();
            let rows = table.range((owner, i64::MIN, "")..(owner, last.0, last.1))?.rev();
            let sessions = rows.map(|row| {
                let (key, _) = row?;
                let (_, _, id) = key.value();
                let record = find(txn, id)?.ok_or_else(|| Error::Corrupt(format!("no session {id:?}")))?;
                record.session(session_id(id)?)
            });
            Slice::take(sessions, limit)
        })
    }

    /// Replaces a session of the same owner, but for the time when it began; `NotFound` where he has none such.
    pub fn update_session(&self, session: &Session) -> Result<()> {
        self.engine().write(|txn| {
            let former = find_owned(txn, &session.user, &session.id)?.ok_or(Error::NotFound)?;
            let record = SessionRecord { created_at: former.created_at, ..SessionRecord::of(session) };
            put(txn, &session.id, &record)
        })
    }

    /// Deletes a session with its conversations; `false` where the owner has none such. Documents stay.
    pub fn delete_session(&self, owner: &UserId, id: &SessionId) -> Result<bool> {
        self.engine().write(|txn| {
            let Some(record) = find_owned(txn, owner, id)? else { return Ok(false) };
            txn.open_table(SESSIONS)?.remove(id.as_str())?;
            let key = (owner.as_str(), record.created_at, id.as_str());
            txn.open_table(SESSIONS_BY_OWNER)?.remove(key)?;
            chats::delete_of_session(txn, id)?;
            Ok(true)
        })
    }
}
