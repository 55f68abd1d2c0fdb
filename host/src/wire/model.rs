use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::MigrationRecord;

/// A backend, the embedder, or the reranker if the config names one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelRecord {
    /// Its name in the config; that of its role for embedder and reranker.
    pub name: String,
    /// `generator`, `embedder` or `reranker`.
    pub role: String,
    /// The plugin behind it.
    pub plugin: String,
    /// The model, where the plugin tells.
    #[schema(required = true)]
    pub model: Option<String>,
    /// Whether it is used where a request names none.
    pub default: bool,
    /// Whether it can be used.
    pub ready: bool,
    /// Why not, and what to do.
    #[schema(required = true)]
    pub problem: Option<String>,
    /// Of the embedder: collections that do not have its vectors yet. Administrators see it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub migrations: Vec<MigrationRecord>,
}

/// A plugin or a file that the product needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Requirement {
    /// `plugin` or `model_file`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The plugin that needs it; for a plugin its own name.
    pub plugin: String,
    /// Hex; for a model file the hash that it must have.
    pub sha256: String,
    /// Whether it is there, with that hash, and usable.
    pub present: bool,
    /// Why not, with the command that brings it.
    #[schema(required = true)]
    pub problem: Option<String>,
}

/// Something that the product does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfflineFeature {
    /// Such as `keyword_search`.
    pub name: String,
    /// Whether it works without a network.
    pub offline: bool,
    /// What it rests on, or what it lacks.
    pub detail: String,
}

/// Whether everything needed is there, and what works without a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether every required item is there.
    pub ready: bool,
    /// Plugins with a grant to leave the machine.
    pub networked_plugins: Vec<String>,
    /// Each plugin and each model file.
    pub items: Vec<Requirement>,
    /// What works without a network.
    pub features: Vec<OfflineFeature>,
}
