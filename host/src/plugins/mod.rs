//! The host of plugins: loads components, fences their calls, hands them out by role.
//!
//! Invariant: nothing outside this module knows of wasmtime or libloading.

pub mod bench;
mod bindings;
pub mod build;
mod carried;
mod declared;
mod describe;
mod egress;
mod embedders;
mod fault;
mod grants;
mod health;
mod in_use;
mod info;
mod inspect;
mod language;
mod live;
mod load;
mod make;
mod manifest;
mod models;
mod native;
mod registry;
mod reload;
mod roles;
mod scaffold;
mod schema;
mod stats;
mod units;
mod vault;
mod vectors;
mod wasm;

pub use declared::{DeclaredModel, declared_models, declared_names, installed};
pub use describe::Descriptor;
pub use egress::{Traffic, not_public};
pub use embedders::Embedders;
pub use grants::{Capability, Decision, Grants, Request};
pub use info::{ModelFile, Places, PluginInfo, PluginKind, PluginState};
pub use inspect::{Inspection, inspect};
pub use language::Language;
pub use manifest::{Manifest, ModelDeclaration, WIT_VERSION};
pub use models::{OTHER_HASH, sha256};
pub use reload::Reload;
pub use roles::*;
pub use scaffold::{ScaffoldError, scaffold};
pub use schema::{problems as schema_problems, unchecked as unchecked_keywords};
pub use wasm::compile::{CompileLimits, SUBCOMMAND as COMPILE_SUBCOMMAND, compile_component};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::PluginsConfig;
use crate::types::{JsonMap, PluginError};
use registry::Registry;

/// All installed plugins. Cheap to clone.
#[derive(Clone)]
pub struct Plugins(Arc<Registry>);

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
    pub fn load(places: &Places, config: &PluginsConfig) -> Result<Self, Error> {
        Registry::load(places, config).map(Self)
    }

    /// Loads the plugin of one directory and no other, under the name that its manifest gives it.
    pub fn load_one(dir: &Path, places: &Places, config: &PluginsConfig) -> Result<Self, Error> {
        Registry::load_one(dir, places, config).map(Self)
    }

    /// All installed plugins, by role and name.
    pub fn list(&self) -> Vec<PluginInfo> {
        self.0.list()
    }

    /// Takes up what changed in the plugin directories, while everything runs on. A new build is tried out first; one
    /// that fails is refused, and the old one stays. Also ends quarantines. Blocks.
    ///
    /// # Errors
    /// No plugin directory, or one that can't be read.
    pub fn reload(&self) -> Result<Reload, Error> {
        self.0.reload(true)
    }

    /// Takes up other grants, and reloads what they are for. `generators`, with their settings, are those that will be
    /// asked for; places of others are let go.
    ///
    /// # Errors
    /// As for [`Self::reload`].
    pub fn reconfigure(
        &self,
        config: &PluginsConfig,
        generators: &[(&str, &JsonMap)],
    ) -> Result<Reload, Error> {
        self.0.reconfigure(config, generators)
    }

    /// Whether a generator could be made with this configuration, as far as can be told without making it.
    ///
    /// # Errors
    /// An unknown plugin; settings that do not fit it.
    pub fn check_generator(&self, name: &str, config: &JsonMap) -> Result<(), PluginError> {
        self.0.check_generator(name, config)
    }

    /// Reloads whenever files in the plugin directories change, until the last handle goes.
    pub fn watch(&self) -> std::io::Result<()> {
        reload::watch(&self.0)
    }

    /// What a plugin says of itself, asked anew.
    pub fn describe(&self, name: &str) -> Result<Descriptor, PluginError> {
        self.0.describe(name)
    }

    /// The parser for a file type; `None` if none handles it.
    pub fn parser_for(&self, file_type: &str) -> Option<Arc<dyn Parser>> {
        self.0.parser_for(file_type)
    }

    /// All enrichers that need no grant, by name: what `ingest.enrichers: auto` means.
    pub fn default_enrichers(&self) -> Vec<String> {
        self.0.default_enrichers()
    }

    /// An enricher by name.
    pub fn enricher(&self, name: &str) -> Result<Arc<dyn Enricher>, PluginError> {
        self.0.enricher(name)
    }

    /// An embedder by name with its configuration; asks it for its info.
    pub fn embedder(&self, name: &str, config: &JsonMap) -> Result<Arc<dyn Embedder>, PluginError> {
        self.0.embedder(name, config)
    }

    /// A reranker by name with its configuration.
    pub fn reranker(&self, name: &str, config: &JsonMap) -> Result<Arc<dyn Reranker>, PluginError> {
        self.0.reranker(name, config)
    }

    /// A generator by name with its configuration; asks it for its info.
    pub fn generator(&self, name: &str, config: &JsonMap) -> Result<Arc<dyn Generator>, PluginError> {
        self.0.generator(name, config)
    }
}

#[cfg(test)]
mod tests;
