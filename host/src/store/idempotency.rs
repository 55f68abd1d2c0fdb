use redb::WriteTransaction;

use super::records::{IdempotencyRecord, pack, unpack};
use super::tables::{IDEMPOTENCY, IDEMPOTENCY_BY_TIME};
use super::{Result, Store};
use crate::types::*;

const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

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

impl Store {
    /// What an idempotency key of this owner stands for: the fingerprint of the request and its documents.
    pub fn idempotency(&self, owner: &UserId, key: &str) -> Result<Option<(String, Vec<DocumentId>)>> {
        self.engine().read(|txn| {
            let table = txn.open_table(IDEMPOTENCY)?;
            let Some(row) = table.get((owner.as_str(), key))? else { return Ok(None) };
            let record: IdempotencyRecord = unpack(row.value())?;
            let ids = record.documents.into_iter().map(DocumentId).collect();
            Ok(Some((record.fingerprint, ids)))
        })
    }

    /// Remembers a key for 24 hours.
    pub fn set_idempotency(
        &self,
        owner: &UserId,
        key: &str,
        fingerprint: &str,
        ids: &[DocumentId],
        now: TimestampMs,
    ) -> Result<()> {
        let documents = ids.iter().map(|id| id.0).collect();
        let record = IdempotencyRecord { fingerprint: fingerprint.to_owned(), documents, at: now };
        self.engine().write(|txn| {
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
