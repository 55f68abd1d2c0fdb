use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;

/// A backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BackupRecord {
    /// Its directory's name: the time of its snapshot.
    pub name: String,
    /// Its directory, on the daemon's machine.
    pub path: String,
    /// When its snapshot was taken.
    pub created_at: Timestamp,
    /// Making it took so long.
    pub took_ms: u64,
    /// All of its files; those that are shared with the store or with other backups count in each.
    pub bytes: u64,
    /// In it.
    pub documents: u64,
    /// In it.
    pub chunks: u64,
    /// In it.
    pub sessions: u64,
    /// In it.
    pub conversations: u64,
    /// Version of the program that made it.
    pub smartrag: String,
    /// When `smartrag backup verify` last found it in order.
    #[schema(required = true)]
    pub verified_at: Option<Timestamp>,
    /// Why it can't be used. Figures are 0 then.
    #[schema(required = true)]
    pub problem: Option<String>,
}
