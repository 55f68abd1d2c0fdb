use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::types::JsonMap;

/// What a plugin wants to reach and what it may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capabilities {
    /// By its manifest.
    pub asked: Vec<String>,
    /// By the config.
    pub granted: Vec<String>,
}

/// A model file that a plugin declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginModelFile {
    /// The name the plugin opens it by.
    pub name: String,
    /// Hex SHA-256 that it must have.
    pub sha256: String,
    /// Whether it is there with that hash.
    pub present: bool,
    /// Why not, with the command that brings it.
    #[schema(required = true)]
    pub problem: Option<String>,
}

/// What a plugin sent to one origin and got back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginTraffic {
    /// `host:port`.
    pub origin: String,
    /// Requests that were answered.
    pub requests: u64,
    /// Bytes of their bodies.
    pub sent_bytes: u64,
    /// Bytes of the answers' bodies.
    pub received_bytes: u64,
}

/// An installed plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginRecord {
    /// From its manifest.
    pub name: String,
    /// From its manifest.
    pub version: String,
    /// `parser`, `enricher`, `embedder`, `reranker` or `generator`.
    pub role: String,
    /// From its manifest.
    pub description: String,
    /// `wasm` or `native`.
    pub kind: String,
    /// Version of the interface: of the WIT such as `0.1.0`, or of the C interface such as `1`.
    pub wit: String,
    /// Hex, of the component or library.
    pub sha256: String,
    /// Of the component or library.
    pub size_bytes: u64,
    /// File types, for parsers.
    pub file_types: Vec<String>,
    /// Interfaces that the component imports.
    pub imports: Vec<String>,
    /// What it asks for and what it was granted.
    pub capabilities: Capabilities,
    /// Fences by name: `memory_max_bytes`, `deadline_ms`, `output_max_bytes`.
    #[schema(value_type = Object)]
    pub limits: JsonMap,
    /// Declared model files.
    pub models: Vec<PluginModelFile>,
    /// `ready` or `failed`.
    pub state: String,
    /// Why it failed, and what to do.
    #[schema(required = true)]
    pub problem: Option<String>,
    /// What to know of a plugin that works: an update that was refused, a quarantine.
    #[serde(default)]
    #[schema(required = true)]
    pub notice: Option<String>,
    /// Since it was loaded, for all users together: this and what follows is for administrators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub calls: Option<u64>,
    /// Since it was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub traps: Option<u64>,
    /// What the host had to stop since it was loaded, by code: `limit_memory`, `limit_time`, `limit_output`,
    /// `limit_stack`, `limit_handles`, `limit_log`, `limit_instances`, `limit_calls`, `trap`, `internal` for what broke
    /// the contract of its role, `cancelled` for what went on after its caller had left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub breaches: Option<BTreeMap<String, u64>>,
    /// Lines for the log that were too many, since it was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub log_lines_dropped: Option<u64>,
    /// Time spent in calls since it was loaded, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub busy_us: Option<u64>,
    /// Largest memory of one instance since it was loaded, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub memory_peak_bytes: Option<u64>,
    /// What it sent and received since it was loaded, by origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub egress: Option<Vec<PluginTraffic>>,
    /// Requests since it was loaded that were not granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub egress_refused: Option<u64>,
}

/// What a reload did, by plugin name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginReload {
    /// New or changed, and in use now.
    pub loaded: Vec<String>,
    /// As before.
    pub unchanged: Vec<String>,
    /// Gone.
    pub removed: Vec<String>,
    /// Not taken up, and why; what ran before runs on.
    pub refused: BTreeMap<String, String>,
}
