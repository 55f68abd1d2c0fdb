use serde::{Deserialize, Serialize};

use super::{Error, Result, user};
use crate::types::*;

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct UserRecord {
    pub created_at: TimestampMs,
}

/// A key without the key.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct KeyRecord {
    pub user: String,
    pub role: String,
    #[serde(default)]
    pub label: Option<String>,
    pub created_at: TimestampMs,
    /// SHA-256 of the whole key. It is random, so that no slower hash is called for.
    pub hash: [u8; 32],
}

impl KeyRecord {
    pub(in crate::store) fn key(self, id: KeyId) -> Result<ApiKey> {
        let role = UserRole::parse(&self.role);
        Ok(ApiKey {
            id,
            user: user(&self.user)?,
            role: role.ok_or_else(|| Error::Corrupt(format!("no role {:?}", self.role)))?,
            label: self.label,
            created_at: self.created_at,
        })
    }
}
