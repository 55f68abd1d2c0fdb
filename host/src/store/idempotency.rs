use std::time::Instant;

use redb::WriteTransaction;

use super::records::{IdempotencyRecord, pack, unpack};
use super::tables::{IDEMPOTENCY, IDEMPOTENCY_BY_TIME};
use super::{Result, Store};
use crate::types::*;

const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// What was answered to a request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Of the request.
    pub fingerprint: String,
    /// Its documents in order, and whether they were there already.
    pub documents: Vec<(DocumentId, bool)>,
}

/// Forgets what is older than a day.
fn forget_old(txn: &WriteTransaction, now: TimestampMs) -> Result<()> {
    let mut by_time = txn.open_table(IDEMPOTENCY_BY_TIME)?;
    let mut keys = txn.open_table(IDEMPOTENCY)?;
    let until = (now.saturating_sub(KEPT_MS), "", "");
    let first = (i64::MIN, "", "");
    for row in by_time.extract_from_if(first..until, |_, _| true)? {
        let (key, _) = row?;
        let (_, owner, name) = key.value();
        keys.remove((owner, name))?;
    }
    Ok(())
}

/// Forgets all keys of an owner.
pub(super) fn remove_of_user(txn: &WriteTransaction, owner: &UserId) -> Result<()> {
    let mut keys = txn.open_table(IDEMPOTENCY)?;
    let mut by_time = txn.open_table(IDEMPOTENCY_BY_TIME)?;
    let rows = keys.extract_from_if((owner.as_str(), "").., |(name, _), _| name == owner.as_str())?;
    for row in rows {
        let (key, record) = row?;
        let record: IdempotencyRecord = unpack(record.value())?;
        by_time.remove((record.at, owner.as_str(), key.value().1))?;
    }
    Ok(())
}

impl Store {
    /// What an idempotency key of this owner stands for.
    pub fn idempotency(&self, owner: &UserId, key: &str) -> Result<Option<Answered>> {
        self.engine().read(|txn| {
            let table = txn.open_table(IDEMPOTENCY)?;
            let Some(row) = table.get((owner.as_str(), key))? else { return Ok(None) };
            let record: IdempotencyRecord = unpack(row.value())?;
            let were_there = record.duplicates.into_iter().chain(std::iter::repeat(true));
            let documents = record.documents.into_iter().map(DocumentId).zip(were_there).collect();
            Ok(Some(Answered { fingerprint: record.fingerprint, documents }))
        })
    }

    /// Remembers a key for 24 hours; `NotFound` where its user was deleted since.
    pub fn set_idempotency(
        &self,
        owner: &UserId,
        key: &str,
        answered: Answered,
        now: TimestampMs,
        since: Instant,
    ) -> Result<()> {
        let (documents, duplicates) = answered.documents.into_iter().map(|(id, was)| (id.0, was)).unzip();
        let record = IdempotencyRecord { fingerprint: answered.fingerprint, documents, duplicates, at: now };
        self.engine().write(|txn| {
            self.check_not_gone(owner, since)?;
            forget_old(txn, now)?;
            let packed = pack(&record)?;
            let mut keys = txn.open_table(IDEMPOTENCY)?;
            let former = keys.insert((owner.as_str(), key), packed.as_slice())?;
            let former = former.map(|row| unpack::<IdempotencyRecord>(row.value())).transpose()?;
            let mut by_time = txn.open_table(IDEMPOTENCY_BY_TIME)?;
            if let Some(former) = former {
                by_time.remove((former.at, owner.as_str(), key))?;
            }
            by_time.insert((now, owner.as_str(), key), ())?;
            Ok(())
        })
    }
}
