//! Keys: shown once, kept as hashes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redb::{ReadableTable, WriteTransaction};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::records::{KeyRecord, pack, unpack};
use super::tables::{KEYS, KEYS_BY_OWNER, Snapshot};
use super::{Error, Result, Slice, Store, users};
use crate::types::*;

/// What every key begins with, so that people and scanners for secrets know it when they see it.
const PREFIX: &str = "sr_";
const SECRET_BYTES: usize = 32;

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let failed = |error| Error::Database(format!("the system gives no random numbers: {error}"));
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// `sr_ID_SECRET`.
fn new_key() -> Result<(KeyId, String)> {
    let id = KeyId::from_bytes(random()?);
    let secret = URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?);
    let key = format!("{PREFIX}{id}_{secret}");
    Ok((id, key))
}

fn id_of(key: &str) -> Option<KeyId> {
    KeyId::parse(key.strip_prefix(PREFIX)?.get(..2 * KeyId::BYTES)?)
}

/// Whether a text looks like a key of ours.
pub fn is_key(text: &str) -> bool {
    id_of(text).is_some()
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn record(txn: &impl Snapshot, id: &KeyId) -> Result<Option<KeyRecord>> {
    txn.table(KEYS)?.get(id.as_str())?.map(|row| unpack(row.value())).transpose()
}

/// Removes a key; whether it was there.
fn remove(txn: &WriteTransaction, id: &KeyId) -> Result<bool> {
    let Some(record) = record(txn, id)? else { return Ok(false) };
    txn.open_table(KEYS)?.remove(id.as_str())?;
    txn.open_table(KEYS_BY_OWNER)?.remove((record.user.as_str(), id.as_str()))?;
    Ok(true)
}

/// The ids of a user's keys, in order.
pub(super) fn ids_of_user(txn: &impl Snapshot, user: &UserId) -> Result<Vec<KeyId>> {
    let table = txn.table(KEYS_BY_OWNER)?;
    let mut ids = Vec::new();
    for row in table.range((user.as_str(), "")..)? {
        let (key, _) = row?;
        let (owner, id) = key.value();
        if owner != user.as_str() {
            break;
        }
        ids.push(KeyId::parse(id).ok_or_else(|| Error::Corrupt(format!("no key id: {id:?}")))?);
    }
    Ok(ids)
}

/// Removes all keys of a user.
pub(super) fn remove_of_user(txn: &WriteTransaction, user: &UserId) -> Result<()> {
    ids_of_user(txn, user)?.iter().try_for_each(|id| remove(txn, id).map(drop))
}

impl Store {
    /// Makes a key, and its user where he does not exist. The text is the key itself: it is kept nowhere.
    pub fn create_key(
        &self,
        user: &UserId,
        role: UserRole,
        label: Option<&str>,
        now: TimestampMs,
    ) -> Result<(ApiKey, String)> {
        let (id, key) = new_key()?;
        let record = KeyRecord {
            user: user.to_string(),
            role: role.as_str().into(),
            label: label.map(Into::into),
            created_at: now,
            hash: hash(&key),
        };
        self.engine().write(|txn| {
            users::ensure(txn, user, now)?;
            txn.open_table(KEYS)?.insert(id.as_str(), pack(&record)?.as_slice())?;
            txn.open_table(KEYS_BY_OWNER)?.insert((user.as_str(), id.as_str()), ())?;
            Ok(())
        })?;
        Ok((record.key(id)?, key))
    }

    /// The key that this text is, if it is one that was not revoked.
    pub fn authenticate(&self, key: &str) -> Result<Option<ApiKey>> {
        let Some(id) = id_of(key) else { return Ok(None) };
        let record = self.engine().read(|txn| record(txn, &id))?;
        let known = record.filter(|record| bool::from(record.hash.ct_eq(&hash(key))));
        known.map(|record| record.key(id)).transpose()
    }

    /// A key by id; `None` once it is revoked.
    pub fn key(&self, id: &KeyId) -> Result<Option<ApiKey>> {
        let record = self.engine().read(|txn| record(txn, id))?;
        record.map(|record| record.key(id.clone())).transpose()
    }

    /// Keys of a user, or of everybody, in order of id behind `after`.
    pub fn keys(&self, user: Option<&UserId>, after: Option<&KeyId>, limit: usize) -> Result<Slice<ApiKey>> {
        self.engine().read(|txn| {
            let table = txn.open_table(KEYS)?;
            let rows = table.range(after.map_or("", KeyId::as_str)..)?.map(|row| {
                let (id, value) = row?;
                let id = KeyId::parse(id.value()).ok_or_else(|| Error::Corrupt("no key id".into()))?;
                unpack::<KeyRecord>(value.value())?.key(id)
            });
            let wanted = |key: &Result<ApiKey>| {
                key.as_ref()
                    .map_or(true, |key| Some(&key.id) != after && user.is_none_or(|user| *user == key.user))
            };
            Slice::take(rows.filter(wanted), limit)
        })
    }

    /// Revokes a key; `false` where there is none such. On return it opens nothing.
    pub fn revoke_key(&self, id: &KeyId) -> Result<bool> {
        self.engine().write(|txn| remove(txn, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_carry_their_ids() {
        let (id, key) = new_key().unwrap();
        assert_eq!(id_of(&key), Some(id));
        assert_eq!(key.len(), 3 + 12 + 1 + 43);
        for bad in ["", "sr_", "sr_00", "sk-000102abcdef", "sr_000102abcde\u{e9}_x"] {
            assert_eq!(id_of(bad), None, "{bad}");
        }
    }
}
