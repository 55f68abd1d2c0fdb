use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ModelRecord, PluginReload};

/// What an optimization did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OptimizeReport {
    /// What database and stored files took on the device.
    pub bytes_before: u64,
    /// What they take now.
    pub bytes_after: u64,
    /// Notes about deletions that every index has followed.
    pub journal_lines: u64,
    /// Rows that nothing pointed to.
    pub rows: u64,
    /// Files that nothing pointed to.
    pub files: u64,
    /// Whether the database was rewritten; it is not where that would give little back.
    pub compacted: bool,
    /// How long uploads and deletions had to wait.
    pub paused_ms: u64,
    /// All of it.
    pub took_ms: u64,
}

/// A collection whose indexes were built anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reindexed {
    /// Whose it is.
    pub owner: String,
    /// Its name.
    pub collection: String,
    /// In it.
    pub documents: u64,
    /// In it.
    pub chunks: u64,
}

/// Which indexes were built anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReindexReport {
    /// In order of owner and name.
    pub collections: Vec<Reindexed>,
    /// All of it.
    pub took_ms: u64,
}

/// A collection on its way to another embedder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigrationRecord {
    /// Whose collection it is.
    pub owner: String,
    /// Its name.
    pub collection: String,
    /// Fingerprint of the vectors that searches use.
    pub from: String,
    /// Fingerprint of those that are being made.
    pub to: String,
    /// Documents that have them.
    pub done: u64,
    /// All documents.
    pub total: u64,
    /// Why it does not go on, or what searches lack until it ends.
    #[schema(required = true)]
    pub problem: Option<String>,
}

/// What became of a changed configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigReload {
    /// The backends that are used now.
    pub backends: Vec<ModelRecord>,
    /// By plugin.
    pub plugins: PluginReload,
    /// Sections that changed and are taken up at the next start only.
    pub needs_restart: Vec<String>,
}
