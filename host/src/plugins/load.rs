//! From a directory with `plugin.toml` and `plugin.wasm` to a plugin that can be called, or the reason why not.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use wasmtime::component::{Component, InstancePre, Linker};

use super::bindings::v0_1_0 as bindings;
use super::describe::{self, Descriptor};
use super::egress::{self, Egress, Network, Secrets};
use super::grants::{Capability, Decision, Grants, Request};
use super::info::{PluginInfo, PluginKind, PluginState};
use super::manifest::{Manifest, WIT_VERSION};
use super::models::{Models, Verifier, sha256};
use super::stats::Stats;
use super::wasm::aot::{AotCache, Origin};
use super::wasm::embedder::EmbedderWorld;
use super::wasm::engine::Engine;
use super::wasm::enricher::EnricherWorld;
use super::wasm::generator::GeneratorWorld;
use super::wasm::guest::Common;
use super::wasm::host::HostState;
use super::wasm::imports::{self, Importer};
use super::wasm::limits::Limits;
use super::wasm::parser::ParserWorld;
use super::wasm::reranker::RerankerWorld;
use super::wasm::wasi;
use crate::config::{GrantConfig, PluginsConfig};
use crate::types::{ContentHash, PluginId, Role};

pub const MANIFEST_FILE: &str = "plugin.toml";
pub const COMPONENT_FILE: &str = "plugin.wasm";
const COMPONENT_BYTES_MAX: u64 = 256 << 20;

/// What loading needs beside the plugin's directory.
pub struct Loader {
    pub engine: Arc<Engine>,
    pub linker: Linker<HostState>,
    pub cache: AotCache,
    pub verifier: Arc<Verifier>,
    pub model_dirs: Arc<[PathBuf]>,
    pub network: Arc<Network>,
    /// Its grants are exchanged while the daemon runs.
    pub config: ArcSwap<PluginsConfig>,
}

/// An installed plugin.
pub struct Entry {
    /// As found; counters and model files are filled in when asked for.
    pub info: PluginInfo,
    /// The highest wins where several parsers read a type.
    pub priority: i64,
    /// What all its instances share; absent if it failed.
    pub ready: Option<(Common, Worlds)>,
    /// The text of its manifest.
    manifest: String,
    /// What the operator grants it.
    grant: Option<GrantConfig>,
    /// What it said of itself.
    pub descriptor: Option<Descriptor>,
    stats: Arc<Stats>,
    models: Option<Arc<Models>>,
}

/// The component, by its role.
pub enum Worlds {
    Parser(Arc<ParserWorld>),
    Enricher(Arc<EnricherWorld>),
    Embedder(Arc<EmbedderWorld>),
    Reranker(Arc<RerankerWorld>),
    Generator(Arc<GeneratorWorld>),
}

impl Entry {
    /// What is known of it now.
    pub fn info(&self) -> PluginInfo {
        let egress = self.ready.as_ref().and_then(|(common, _)| common.egress.as_deref());
        PluginInfo {
            egress: egress.map(|egress| egress.meter().by_origin()).unwrap_or_default(),
            egress_refused: egress.map_or(0, |egress| egress.meter().refused()),
            calls: self.stats.calls(),
            traps: self.stats.traps(),
            breaches: self.stats.breaches(),
            log_lines_dropped: self.stats.log_lines_dropped(),
            busy_us: self.stats.busy_us(),
            memory_peak_bytes: self.stats.memory_peak(),
            models: self.models.as_ref().map(|models| models.status()).unwrap_or_default(),
            ..self.info.clone()
        }
    }

    /// Whether the other was loaded from the same files.
    pub fn is_same(&self, other: &Entry) -> bool {
        self.manifest == other.manifest
            && self.grant == other.grant
            && self.info.id == other.info.id
            && self.info.dir == other.info.dir
            && self.info.state == other.info.state
    }

    /// Why it can't be used.
    pub fn problem(&self) -> Option<&str> {
        self.info.state.problem()
    }

    /// With as much as a manifest that can't be used still tells.
    fn unreadable(dir: &Path, name: &str, role: Role, reason: String) -> Self {
        let info = PluginInfo {
            id: PluginId { name: name.into(), version: String::new(), sha256: String::new() },
            kind: PluginKind::Wasm,
            role,
            description: String::new(),
            wit: String::new(),
            size_bytes: 0,
            dir: dir.to_owned(),
            file_types: Vec::new(),
            imports: Vec::new(),
            asked: Vec::new(),
            granted: Vec::new(),
            limits: Default::default(),
            models: Vec::new(),
            state: PluginState::Failed(reason),
            calls: 0,
            traps: 0,
            breaches: Default::default(),
            log_lines_dropped: 0,
            busy_us: 0,
            memory_peak_bytes: 0,
            egress: Default::default(),
            egress_refused: 0,
            notice: None,
        };
        Self {
            info,
            priority: 0,
            ready: None,
            manifest: String::new(),
            grant: None,
            descriptor: None,
            stats: Arc::default(),
            models: None,
        }
    }
}

impl Loader {
    /// Never fails as a whole: what is wrong stands in the entry.
    pub fn load(&self, dir: &Path, name: &str) -> Entry {
        let text = match fs::read_to_string(dir.join(MANIFEST_FILE)) {
            Ok(text) => text,
            Err(error) => {
                let reason = format!("{MANIFEST_FILE} can't be read: {error}");
                return Entry::unreadable(dir, name, Role::Parser, reason);
            }
        };
        let manifest = Manifest::parse(&text).and_then(|manifest| match manifest.name == name {
            true => Ok(manifest),
            false => Err(format!("name = {:?}, but the directory is called {name:?}", manifest.name)),
        });
        let entry = match manifest {
            Ok(manifest) => self.load_component(dir, manifest),
            Err(what) => {
                let role = Manifest::role_of(&text).unwrap_or(Role::Parser);
                Entry::unreadable(dir, name, role, format!("{MANIFEST_FILE}: {what}"))
            }
        };
        Entry { manifest: text, grant: self.config.load().grants.get(name).cloned(), ..entry }
    }

    fn load_component(&self, dir: &Path, manifest: Manifest) -> Entry {
        let mut entry = self.described(dir, &manifest);
        if let Err(state) = self.fill(&mut entry, &manifest) {
            entry.info.state = state;
        }
        entry
    }

    fn described(&self, dir: &Path, manifest: &Manifest) -> Entry {
        let Manifest { name, version, role, wit, description, file_types, .. } = manifest.clone();
        let mut entry = Entry::unreadable(dir, &name, role, String::new());
        entry.priority = manifest.priority;
        entry.models = Some(Arc::new(Models::new(
            manifest.models.clone(),
            self.model_dirs.clone(),
            self.verifier.clone(),
        )));
        let info = &mut entry.info;
        info.id.version = version;
        info.description = description;
        info.wit = wit;
        info.file_types = file_types;
        info.asked = self.grants(manifest, "").asked();
        info.limits = self.limits(manifest).shown();
        entry
    }

    fn grants(&self, manifest: &Manifest, sha256: &str) -> Grants {
        let asked = manifest.asked.iter().map(|(capability, _)| *capability).collect();
        Grants::new(asked, self.config.load().grants.get(&manifest.name), sha256)
    }

    fn egress(&self, manifest: &Manifest, grants: Grants) -> Option<Arc<Egress>> {
        if grants.check(&Request::Import(Capability::Http)) != Decision::Allowed {
            return None;
        }
        let config = self.config.load();
        let granted = config.grants.get(&manifest.name);
        let secrets = granted.map(|grant| grant.secrets.clone()).unwrap_or_default();
        let secrets = Secrets::new(&manifest.name, secrets);
        let limits = egress::Limits::default();
        Some(Arc::new(Egress::new(&manifest.name, grants, secrets, limits, self.network.clone())))
    }

    fn limits(&self, manifest: &Manifest) -> Limits {
        let config = self.config.load();
        Limits::new(manifest.role, manifest.wasi, &manifest.limits, config.grants.get(&manifest.name))
    }

    fn fill(&self, entry: &mut Entry, manifest: &Manifest) -> Result<(), PluginState> {
        let (bytes, hash) = read_component_file(&entry.info.dir.join(COMPONENT_FILE))?;
        entry.info.size_bytes = bytes.len() as u64;
        entry.info.id.sha256 = hash.to_string();
        let grants = self.grants(manifest, &entry.info.id.sha256);
        entry.info.granted = grants.granted();
        if grants.check(&Request::Load) == Decision::OtherComponent {
            return Err(format!(
                "`plugins.grants.{}.sha256` in the config is that of another component: write \"{hash}\" there if you \
                 trust this one",
                manifest.name
            )
            .into());
        }
        let (component, origin) =
            self.cache.load(self.engine.wasm(), &manifest.name, &hash.0, &bytes).map_err(|error| {
                format!(
                    "{COMPONENT_FILE} is not a valid component, or can't be compiled: {error}; build it anew"
                )
            })?;
        tracing::debug!(plugin = manifest.name, cached = origin == Origin::Cached, "component loaded");
        entry.info.imports = imports::of(self.engine.wasm(), &component);
        let Manifest { name, role, wasi, .. } = manifest;
        Importer { name, role: *role, wasi: *wasi, grants: &grants }.check(&entry.info.imports)?;
        let worlds = self.worlds(manifest, &component)?;
        let common = Common {
            id: entry.info.id.clone(),
            limits: self.limits(manifest),
            models: entry.models.clone().ok_or_else(|| "no model files".to_owned())?,
            egress: self.egress(manifest, grants),
            wasi: manifest.wasi,
            stats: entry.stats.clone(),
            engine: self.engine.clone(),
        };
        let config = self.config.load();
        let settings = config.settings.get(&manifest.name);
        entry.descriptor = Some(describe::at_load(&worlds, &common, manifest.role, settings)?);
        entry.ready = Some((common, worlds));
        entry.info.state = PluginState::Ready;
        Ok(())
    }

    fn worlds(&self, manifest: &Manifest, component: &Component) -> Result<Worlds, String> {
        let role = manifest.role;
        let unfit = |error: wasmtime::Error| {
            format!(
                "{COMPONENT_FILE} does not fit world `{role}-plugin`: {error:#}; build it against wit/{WIT_VERSION}"
            )
        };
        let pre = self.instantiate_pre(component, manifest.wasi).map_err(unfit)?;
        Ok(match role {
            Role::Parser => {
                Worlds::Parser(Arc::new(bindings::parser::ParserPluginPre::new(pre).map_err(unfit)?))
            }
            Role::Enricher => {
                Worlds::Enricher(Arc::new(bindings::enricher::EnricherPluginPre::new(pre).map_err(unfit)?))
            }
            Role::Embedder => {
                Worlds::Embedder(Arc::new(bindings::embedder::EmbedderPluginPre::new(pre).map_err(unfit)?))
            }
            Role::Reranker => {
                Worlds::Reranker(Arc::new(bindings::reranker::RerankerPluginPre::new(pre).map_err(unfit)?))
            }
            Role::Generator => {
                Worlds::Generator(Arc::new(bindings::generator::GeneratorPluginPre::new(pre).map_err(unfit)?))
            }
        })
    }

    /// WASI is there for those who asked for it, and nobody else pays for it.
    fn instantiate_pre(&self, component: &Component, wasi: bool) -> wasmtime::Result<InstancePre<HostState>> {
        if !wasi {
            return self.linker.instantiate_pre(component);
        }
        let mut linker = self.linker.clone();
        wasi::link(&mut linker)?;
        linker.instantiate_pre(component)
    }
}

/// The component's bytes and their SHA-256.
pub fn read_component_file(path: &Path) -> Result<(Vec<u8>, ContentHash), String> {
    let unreadable = |error: std::io::Error| {
        format!("{} can't be read: {error}; build it with ./scripts/build-plugins.sh", path.display())
    };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > COMPONENT_BYTES_MAX {
        return Err(format!("{} has {size} bytes, the limit is {COMPONENT_BYTES_MAX}", path.display()));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let hash = sha256(bytes.as_slice()).map_err(unreadable)?;
    Ok((bytes, hash))
}
