use std::time::Instant;

use redb::{ReadableTable, WriteTransaction};

use super::records::{ConversationRecord, MessageRecord, pack, unpack};
use super::tables::*;
use super::{Error, Result, Slice, Store, sessions};
use crate::types::*;

fn find(txn: &impl Snapshot, id: u128) -> Result<Option<ConversationRecord>> {
    let table = txn.table(CONVERSATIONS)?;
    let row = table.get(id)?;
    row.map(|row| unpack(row.value())).transpose()
}

/// A conversation of this owner.
fn find_owned(txn: &impl Snapshot, owner: &UserId, id: u128) -> Result<Option<ConversationRecord>> {
    Ok(find(txn, id)?.filter(|record| record.user == owner.as_str()))
}

fn put(txn: &WriteTransaction, id: u128, record: &ConversationRecord) -> Result<()> {
    txn.open_table(CONVERSATIONS)?.insert(id, pack(record)?.as_slice())?;
    txn.open_table(CONVERSATIONS_BY_OWNER)?.insert((record.user.as_str(), id), ())?;
    if let Some(session) = &record.session {
        txn.open_table(CONVERSATIONS_BY_SESSION)?.insert((session.as_str(), id), ())?;
    }
    Ok(())
}

fn delete(txn: &WriteTransaction, id: u128, record: &ConversationRecord) -> Result<()> {
    txn.open_table(CONVERSATIONS)?.remove(id)?;
    txn.open_table(CONVERSATIONS_BY_OWNER)?.remove((record.user.as_str(), id))?;
    if let Some(session) = &record.session {
        txn.open_table(CONVERSATIONS_BY_SESSION)?.remove((session.as_str(), id))?;
    }
    Ok(txn.open_table(MESSAGES)?.retain_in((id, 0)..=(id, u64::MAX), |_, _| false)?)
}

/// Deletes all conversations of a session.
pub(super) fn delete_of_session(txn: &WriteTransaction, session: &SessionId) -> Result<()> {
    let session = session.as_str();
    let ids = {
        let table = txn.open_table(CONVERSATIONS_BY_SESSION)?;
        let rows = table.range((session, 0)..=(session, u128::MAX))?;
        rows.map(|row| Ok(row?.0.value().1)).collect::<Result<Vec<_>>>()?
    };
    for id in ids {
        if let Some(record) = find(txn, id)? {
            delete(txn, id, &record)?;
        }
    }
    Ok(())
}

/// Deletes all sessions and conversations of a user.
pub(super) fn delete_of_user(txn: &WriteTransaction, user: &UserId) -> Result<()> {
    let user = user.as_str();
    let sessions = {
        let table = txn.open_table(SESSIONS_BY_OWNER)?;
        let rows = table.range((user, i64::MIN, "")..)?.map(|row| {
            let (key, _) = row?;
            let (owner, at, id) = key.value();
            Ok::<_, Error>((owner == user).then(|| (at, id.to_owned())))
        });
        rows.map_while(Result::transpose).collect::<Result<Vec<_>>>()?
    };
    for (at, id) in sessions {
        txn.open_table(SESSIONS)?.remove(id.as_str())?;
        txn.open_table(SESSIONS_BY_OWNER)?.remove((user, at, id.as_str()))?;
    }
    let conversations = {
        let table = txn.open_table(CONVERSATIONS_BY_OWNER)?;
        let rows = table.range((user, 0)..=(user, u128::MAX))?;
        rows.map(|row| Ok(row?.0.value().1)).collect::<Result<Vec<_>>>()?
    };
    for id in conversations {
        if let Some(record) = find(txn, id)? {
            delete(txn, id, &record)?;
        }
    }
    Ok(())
}

fn replace(txn: &WriteTransaction, conversation: &Conversation) -> Result<()> {
    let id = conversation.id.0.as_u128();
    if let Some(session) = &conversation.session {
        sessions::find_owned(txn, &conversation.user, session)?.ok_or(Error::NotFound)?;
    }
    let former = find(txn, id)?;
    if let Some(former) = former {
        if former.user != conversation.user.as_str() {
            return Err(Error::NotFound);
        }
        if let Some(session) = &former.session {
            txn.open_table(CONVERSATIONS_BY_SESSION)?.remove((session.as_str(), id))?;
        }
    }
    put(txn, id, &ConversationRecord::of(conversation))
}

fn append(txn: &WriteTransaction, owner: &UserId, id: u128, messages: &[Message]) -> Result<()> {
    let mut record = find_owned(txn, owner, id)?.ok_or(Error::NotFound)?;
    let last = messages.iter().map(|message| message.created_at).max();
    record.updated_at = record.updated_at.max(last.unwrap_or(record.updated_at));
    put(txn, id, &record)?;
    let mut table = txn.open_table(MESSAGES)?;
    let former = table.range((id, 0)..=(id, u64::MAX))?.next_back().transpose()?;
    let first = former.map_or(0, |(key, _)| key.value().1 + 1);
    for (position, message) in (first..).zip(messages) {
        table.insert((id, position), pack(&MessageRecord::of(message))?.as_slice())?;
    }
    Ok(())
}

impl Store {
    /// Replaces a conversation; `NotFound` where the owner has none such, or where its session is another's.
    pub fn update_conversation(&self, conversation: &Conversation) -> Result<()> {
        self.engine().write(|txn| {
            find_owned(txn, &conversation.user, conversation.id.0.as_u128())?.ok_or(Error::NotFound)?;
            replace(txn, conversation)
        })
    }

    /// Stores a new conversation with its first messages in one durable commit. `NotFound` where its session or its id is
    /// another owner's, or where its user was deleted since its request was let in.
    pub fn begin_conversation(
        &self,
        conversation: &Conversation,
        messages: &[Message],
        since: Instant,
    ) -> Result<()> {
        self.engine().write(|txn| {
            self.check_not_gone(&conversation.user, since)?;
            replace(txn, conversation)?;
            append(txn, &conversation.user, conversation.id.0.as_u128(), messages)
        })
    }

    /// A conversation of this owner.
    pub fn conversation(&self, owner: &UserId, id: ConversationId) -> Result<Option<Conversation>> {
        let record = self.engine().read(|txn| find_owned(txn, owner, id.0.as_u128()))?;
        record.map(|record| record.conversation(id)).transpose()
    }

    /// Conversations of an owner, newest first, behind `after`; only those of a session if one is given.
    pub fn conversations(
        &self,
        owner: &UserId,
        session: Option<&SessionId>,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Slice<Conversation>> {
        self.engine().read(|txn| {
            if let Some(session) = session
                && sessions::find_owned(txn, owner, session)?.is_none()
            {
                return Ok(Slice { items: Vec::new(), more: false });
            }
            let (table, prefix) = match session {
                Some(session) => (CONVERSATIONS_BY_SESSION, session.as_str()),
                None => (CONVERSATIONS_BY_OWNER, owner.as_str()),
            };
            let table = txn.open_table(table)?;
            let end = after.map_or(u128::MAX, |id| id.0.as_u128());
            let found = table.range((prefix, 0)..(prefix, end))?.rev().map(|row| {
                let (key, _) = row?;
                let (_, id) = key.value();
                let record = find_owned(txn, owner, id)?.ok_or(Error::NotFound)?;
                record.conversation(ConversationId::from_bytes(id.to_be_bytes()))
            });
            Slice::take(found, limit)
        })
    }

    /// Deletes a conversation with its messages; `false` where the owner has none such.
    pub fn delete_conversation(&self, owner: &UserId, id: ConversationId) -> Result<bool> {
        let id = id.0.as_u128();
        self.engine().write(|txn| {
            let Some(record) = find_owned(txn, owner, id)? else { return Ok(false) };
            delete(txn, id, &record)?;
            Ok(true)
        })
    }

    /// Appends messages in one durable commit; the conversation's `updated_at` follows the last. `NotFound` where
    /// the owner has no such conversation.
    pub fn append_messages(
        &self,
        owner: &UserId,
        conversation: ConversationId,
        messages: &[Message],
    ) -> Result<()> {
        self.engine().write(|txn| append(txn, owner, conversation.0.as_u128(), messages))
    }

    /// The last `limit` messages, oldest first; `NotFound` where the owner has no such conversation.
    pub fn messages(
        &self,
        owner: &UserId,
        conversation: ConversationId,
        limit: usize,
    ) -> Result<Vec<Message>> {
        let last = self.messages_before(owner, conversation, u64::MAX, limit)?.items;
        Ok(last.into_iter().rev().map(|(_, message)| message).collect())
    }

    /// The last `limit` messages before a position, newest first, each with its position; errors as for
    /// [`Self::messages`].
    pub fn messages_before(
        &self,
        owner: &UserId,
        conversation: ConversationId,
        before: u64,
        limit: usize,
    ) -> Result<Slice<(u64, Message)>> {
        let id = conversation.0.as_u128();
        self.engine().read(|txn| {
            find_owned(txn, owner, id)?.ok_or(Error::NotFound)?;
            let rows = txn.open_table(MESSAGES)?.range((id, 0)..(id, before))?.rev().map(|row| {
                let (key, value) = row?;
                Ok((key.value().1, unpack::<MessageRecord>(value.value())?.message()))
            });
            Slice::take(rows, limit)
        })
    }
}
