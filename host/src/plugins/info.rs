use std::collections::BTreeMap;
use std::path::PathBuf;

use super::egress::Traffic;
use crate::types::{JsonMap, PluginId, Role};

/// Where the host finds things.
#[derive(Clone, Debug)]
pub struct Places {
    /// Directories with `<name>/{plugin.toml, plugin.wasm}`, first wins.
    pub plugin_dirs: Vec<PathBuf>,
    /// Directories with model files, first wins: `<dir>/<file>`.
    pub model_dirs: Vec<PathBuf>,
    /// For ahead-of-time compiled components and the key that authenticates them.
    pub cache_dir: PathBuf,
}

/// Whether a plugin can be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PluginState {
    /// Loaded.
    Ready,
    /// In order, but it asks for something that the operator did not grant: what would grant it.
    Ungranted(String),
    /// Refused or broken: the reason, for people, with what to do.
    Failed(String),
}

impl PluginState {
    /// Why it can't be used, and what to do.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Ready => None,
            Self::Ungranted(reason) | Self::Failed(reason) => Some(reason),
        }
    }
}

impl From<String> for PluginState {
    /// What is told as a mere reason is a failure.
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// What runs a plugin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PluginKind {
    /// A fenced WebAssembly component.
    Wasm,
    /// A shared library inside the daemon, without any fence.
    Native,
}

impl PluginKind {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            PluginKind::Wasm => "wasm",
            PluginKind::Native => "native",
        }
    }
}

/// A model file that a plugin declares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelFile {
    /// The name the plugin opens it by.
    pub name: String,
    /// Path below a model directory.
    pub path: String,
    /// Hex SHA-256 that it must have.
    pub sha256: String,
    /// Where it was found with that hash; `None` if absent or different.
    pub found: Option<PathBuf>,
    /// Why it can't be used, with the command that brings it.
    pub problem: Option<String>,
}

/// What is known of an installed plugin.
#[derive(Clone, PartialEq, Debug)]
pub struct PluginInfo {
    /// Name, version, hash. The hash is empty where there is no component.
    pub id: PluginId,
    /// What runs it.
    pub kind: PluginKind,
    /// From the manifest.
    pub role: Role,
    /// From the manifest.
    pub description: String,
    /// WIT version, such as `0.1.0`; version of the C interface, such as `1`, of native plugins.
    pub wit: String,
    /// Bytes of the component or library.
    pub size_bytes: u64,
    /// Directory it was loaded from.
    pub dir: PathBuf,
    /// File types, for parsers.
    pub file_types: Vec<String>,
    /// Interfaces that the component imports.
    pub imports: Vec<String>,
    /// Capabilities that the manifest asks for.
    pub asked: Vec<String>,
    /// Those that the config grants.
    pub granted: Vec<String>,
    /// Fences, by name: `memory_max_bytes`, `deadline_ms`, `output_max_bytes`.
    pub limits: JsonMap,
    /// Declared model files.
    pub models: Vec<ModelFile>,
    /// Usable or not.
    pub state: PluginState,
    /// What the operator should know of a plugin that works: an update that was refused, a quarantine.
    pub notice: Option<String>,
    /// Since start.
    pub calls: u64,
    /// Since start.
    pub traps: u64,
    /// What the host had to stop since start, by code: `limit_memory`, `trap` and so on.
    pub breaches: BTreeMap<String, u64>,
    /// Lines for the log that were too many, since start.
    pub log_lines_dropped: u64,
    /// Time spent in calls since start, in microseconds.
    pub busy_us: u64,
    /// Largest linear memory of one instance since start, in bytes.
    pub memory_peak_bytes: u64,
    /// What it sent and received since start, by `host:port`.
    pub egress: BTreeMap<String, Traffic>,
    /// Requests since start that were not granted.
    pub egress_refused: u64,
}
