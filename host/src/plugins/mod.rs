//! The host of plugins: loads components, fences their calls, hands them out by role.
//!
//! Invariant: nothing outside this module knows of wasmtime or libloading.

mod roles;

pub use roles::*;

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::PluginsConfig;
use crate::types::{JsonMap, PluginError, PluginId, Role};

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
    /// Refused or broken: the reason, for people, with what to do.
    Failed(String),
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
    /// From the manifest.
    pub role: Role,
    /// From the manifest.
    pub description: String,
    /// WIT version, such as `0.1.0`.
    pub wit: String,
    /// Bytes of the component.
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
    /// Since start.
    pub calls: u64,
    /// Since start.
    pub traps: u64,
}

/// All installed plugins. Cheap to clone.
#[derive(Clone)]
pub struct Plugins;

/// Why the plugin host could not start at all. A single bad plugin is no such reason: see [`PluginState::Failed`].
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error(
        "no plugin directory found; looked in {0:?}: build the plugins with ./scripts/build-plugins.sh or set plugins.dir"
    )]
    NoPluginDir(Vec<PathBuf>),
    #[error("the WebAssembly engine did not start: {0}")]
    Engine(String),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

impl Plugins {
    /// Loads every plugin of the directories.
    pub fn load(_places: &Places, _config: &PluginsConfig) -> Result<Self, Error> {
        todo!()
    }

    /// All installed plugins, by role and name.
    pub fn list(&self) -> Vec<PluginInfo> {
        todo!()
    }

    /// The parser for a file type; `None` if none handles it.
    pub fn parser_for(&self, _file_type: &str) -> Option<Arc<dyn Parser>> {
        todo!()
    }

    /// All enrichers that need no grant, by name: what `ingest.enrichers: auto` means.
    pub fn default_enrichers(&self) -> Vec<String> {
        todo!()
    }

    /// An enricher by name.
    pub fn enricher(&self, _name: &str) -> Result<Arc<dyn Enricher>, PluginError> {
        todo!()
    }

    /// An embedder by name with its configuration; asks it for its info.
    pub fn embedder(&self, _name: &str, _config: &JsonMap) -> Result<Arc<dyn Embedder>, PluginError> {
        todo!()
    }

    /// A reranker by name.
    pub fn reranker(&self, _name: &str, _config: &JsonMap) -> Result<Arc<dyn Reranker>, PluginError> {
        todo!()
    }

    /// A generator by name with its configuration; asks it for its info.
    pub fn generator(&self, _name: &str, _config: &JsonMap) -> Result<Arc<dyn Generator>, PluginError> {
        todo!()
    }
}
