//! All installed plugins, by name and by what they do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use wasmtime::component::Linker;

use super::Error;
use super::describe::{Descriptor, describe};
use super::fault::fault;
use super::info::{Places, PluginInfo};
use super::load::{COMPONENT_FILE, Entry, Loader, MANIFEST_FILE, Worlds};
use super::manifest::{Manifest, did_you_mean};
use super::models::Verifier;
use super::roles::{Embedder, Enricher, Generator, ParseOptions, Parser, Reranker, Source};
use super::vault::Vault;
use super::wasm::aot::AotCache;
use super::wasm::embedder::WasmEmbedder;
use super::wasm::engine::Engine;
use super::wasm::enricher::WasmEnricher;
use super::wasm::generator::WasmGenerator;
use super::wasm::guest::{Common, Guest, World};
use super::wasm::host;
use super::wasm::parser::WasmParser;
use super::wasm::pool::Pool;
use super::wasm::reranker::WasmReranker;
use crate::config::PluginsConfig;
use crate::types::{FaultKind, JsonMap, Parsed, PluginError, PluginId, Role};

/// Answers stream for as long as a reader listens: more of them run at once than other calls.
const GENERATIONS_MAX: usize = 16;

/// All installed plugins.
pub struct Registry {
    entries: BTreeMap<String, Entry>,
    parsers: BTreeMap<String, Arc<dyn Parser>>,
    settings: BTreeMap<String, JsonMap>,
    instances_max: usize,
}

impl Registry {
    /// Loads every plugin of the directories, several at once.
    pub fn load(places: &Places, config: &PluginsConfig) -> Result<Self, Error> {
        Self::load_found(&find(&places.plugin_dirs)?, places, config)
    }

    /// Loads the plugin of one directory, under the name of its manifest.
    pub fn load_one(dir: &Path, places: &Places, config: &PluginsConfig) -> Result<Self, Error> {
        let manifest = std::fs::read_to_string(dir.join(MANIFEST_FILE)).unwrap_or_default();
        let name = Manifest::parse(&manifest).map(|manifest| manifest.name).ok();
        let of_dir = || dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found = BTreeMap::from([(name.unwrap_or_else(of_dir), dir.to_owned())]);
        Self::load_found(&found, places, config)
    }

    fn load_found(
        found: &BTreeMap<String, PathBuf>,
        places: &Places,
        config: &PluginsConfig,
    ) -> Result<Self, Error> {
        let engine = Engine::start().map_err(|error| Error::Engine(format!("{error:#}")))?;
        let mut linker = Linker::new(engine.wasm());
        host::link(&mut linker).map_err(|error| Error::Engine(format!("{error:#}")))?;
        let vault = open_vault(&places.cache_dir.join("plugins"));
        let loader = Loader {
            engine,
            linker,
            cache: AotCache::new(vault.clone()),
            verifier: Arc::new(Verifier::new(vault)),
            model_dirs: places.model_dirs.as_slice().into(),
            config,
        };
        let entries = load_all(&loader, found);
        entries.values().filter_map(|entry| Some((entry, entry.problem()?))).for_each(|(entry, reason)| {
            tracing::error!(plugin = entry.info.id.name, reason, "plugin did not load");
        });
        let parsers = parsers(&entries, config);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { entries, parsers, settings: config.settings.clone(), instances_max: cores.min(4) + 1 })
    }

    /// All plugins, by role and name.
    pub fn list(&self) -> Vec<PluginInfo> {
        let mut list: Vec<PluginInfo> = self.entries.values().map(Entry::info).collect();
        list.sort_by_key(|info| info.role);
        list
    }

    /// The parser for a file type.
    pub fn parser_for(&self, file_type: &str) -> Option<Arc<dyn Parser>> {
        self.parsers.get(file_type).cloned()
    }

    /// Names of ready enrichers that ask for nothing.
    pub fn default_enrichers(&self) -> Vec<String> {
        let usable = |entry: &&Entry| {
            entry.info.role == Role::Enricher && entry.ready.is_some() && entry.info.asked.is_empty()
        };
        self.entries.values().filter(usable).map(|entry| entry.info.id.name.clone()).collect()
    }

    /// An enricher by name.
    pub fn enricher(&self, name: &str) -> Result<Arc<dyn Enricher>, PluginError> {
        match self.ready(Role::Enricher, name)? {
            (common, Worlds::Enricher(world)) => {
                let config = self.configured(name, &JsonMap::new())?;
                Ok(Arc::new(WasmEnricher::new(self.pool(common, world, &config, self.instances_max))))
            }
            _ => Err(not_of_role(Role::Enricher, name)),
        }
    }

    /// An embedder by name with its configuration.
    pub fn embedder(&self, name: &str, config: &JsonMap) -> Result<Arc<dyn Embedder>, PluginError> {
        match self.ready(Role::Embedder, name)? {
            (common, Worlds::Embedder(world)) => {
                let config = self.configured(name, config)?;
                Ok(Arc::new(WasmEmbedder::new(self.pool(common, world, &config, self.instances_max))?))
            }
            _ => Err(not_of_role(Role::Embedder, name)),
        }
    }

    /// A reranker by name with its configuration.
    pub fn reranker(&self, name: &str, config: &JsonMap) -> Result<Arc<dyn Reranker>, PluginError> {
        match self.ready(Role::Reranker, name)? {
            (common, Worlds::Reranker(world)) => {
                let config = self.configured(name, config)?;
                Ok(Arc::new(WasmReranker::new(self.pool(common, world, &config, self.instances_max))))
            }
            _ => Err(not_of_role(Role::Reranker, name)),
        }
    }

    /// A generator by name with its configuration.
    pub fn generator(&self, name: &str, config: &JsonMap) -> Result<Arc<dyn Generator>, PluginError> {
        match self.ready(Role::Generator, name)? {
            (common, Worlds::Generator(world)) => {
                let config = self.configured(name, config)?;
                Ok(Arc::new(WasmGenerator::new(self.pool(common, world, &config, GENERATIONS_MAX))?))
            }
            _ => Err(not_of_role(Role::Generator, name)),
        }
    }

    fn pool<W: World>(&self, common: &Common, world: &Arc<W>, config: &str, max: usize) -> Arc<Pool<W>> {
        Pool::new(Guest::new(world.clone(), common.clone(), config), max)
    }

    /// The plugin's settings, overlaid by those of its place in the config, as JSON.
    fn configured(&self, name: &str, config: &JsonMap) -> Result<String, PluginError> {
        let merged = merged(self.settings.get(name), config);
        let descriptor = self.entries.get(name).and_then(|entry| entry.descriptor.as_ref());
        descriptor
            .map_or(Ok(()), |descriptor| descriptor.check_config(&merged))
            .map_err(|what| fault(name, FaultKind::InvalidConfig, format!("its configuration: {what}")))?;
        Ok(serde_json::Value::Object(merged).to_string())
    }

    /// What a plugin says of itself, asked anew.
    pub fn describe(&self, name: &str) -> Result<Descriptor, PluginError> {
        let entry = self.entries.get(name).map(|entry| entry.info.role);
        let (common, worlds) = self.ready(entry.unwrap_or(Role::Parser), name)?;
        describe(worlds, common)
    }

    fn ready(&self, role: Role, name: &str) -> Result<&(Common, Worlds), PluginError> {
        let entry = self.entries.get(name).ok_or_else(|| self.unknown(role, name))?;
        if entry.info.role != role {
            return Err(not_of_role(role, name));
        }
        entry.ready.as_ref().ok_or_else(|| {
            let reason = entry.problem().unwrap_or("it is not loaded");
            fault(name, FaultKind::Unavailable, format!("the plugin did not load: {reason}"))
        })
    }

    fn unknown(&self, role: Role, name: &str) -> PluginError {
        let of_role = self.entries.values().filter(|entry| entry.info.role == role);
        let names: Vec<&str> = of_role.map(|entry| entry.info.id.name.as_str()).collect();
        let message = format!(
            "no {role} of that name is installed{}; installed are: {}",
            did_you_mean(name, &names),
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
        fault(name, FaultKind::Other("unknown_plugin".into()), message)
    }
}

fn not_of_role(role: Role, name: &str) -> PluginError {
    let message = format!("the plugin is installed, but its role is not {role}");
    fault(name, FaultKind::Other("unknown_plugin".into()), message)
}

fn merged(settings: Option<&JsonMap>, config: &JsonMap) -> JsonMap {
    let mut merged = settings.cloned().unwrap_or_default();
    merged.extend(config.clone());
    merged
}

/// Names and directories, first wins.
fn find(dirs: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>, Error> {
    let present: Vec<&PathBuf> = dirs.iter().filter(|dir| dir.is_dir()).collect();
    if present.is_empty() {
        return Err(Error::NoPluginDir(dirs.to_vec()));
    }
    let mut found = BTreeMap::new();
    for dir in present {
        let unreadable = |source| Error::Io { path: dir.clone(), source };
        for entry in std::fs::read_dir(dir).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if let Some(name) = plugin_name(&path) {
                found.entry(name).or_insert(path);
            }
        }
    }
    Ok(found)
}

/// The name of a directory that holds a plugin, or half of one.
fn plugin_name(path: &Path) -> Option<String> {
    let plugin = [MANIFEST_FILE, COMPONENT_FILE].iter().any(|file| path.join(file).is_file());
    plugin.then(|| path.file_name()?.to_str().map(str::to_owned)).flatten()
}

/// Without a usable cache directory all works, but starts slowly.
fn open_vault(dir: &Path) -> Option<Vault> {
    Vault::open(dir)
        .inspect_err(|error| tracing::warn!(dir = %dir.display(), %error, "no cache for compiled plugins"))
        .ok()
}

fn load_all(loader: &Loader<'_>, found: &BTreeMap<String, PathBuf>) -> BTreeMap<String, Entry> {
    let jobs: Vec<(&String, &PathBuf)> = found.iter().collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    let next = AtomicUsize::new(0);
    let entries = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((name, dir)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let entry = loader.load(dir, name);
                    entries.lock().insert((*name).clone(), entry);
                }
            });
        }
    });
    entries.into_inner()
}

/// For each file type the parser with the highest priority, then the first by name; one that did not load only where
/// nothing else reads the type.
fn parsers(entries: &BTreeMap<String, Entry>, config: &PluginsConfig) -> BTreeMap<String, Arc<dyn Parser>> {
    let mut candidates: Vec<&Entry> =
        entries.values().filter(|entry| entry.info.role == Role::Parser).collect();
    candidates.sort_by_key(|entry| (entry.ready.is_none(), std::cmp::Reverse(entry.priority)));
    let mut parsers = BTreeMap::new();
    for entry in candidates {
        let parser = parser(entry, config.settings.get(&entry.info.id.name));
        for file_type in &entry.info.file_types {
            parsers.entry(file_type.clone()).or_insert_with(|| parser.clone());
        }
    }
    parsers
}

fn parser(entry: &Entry, settings: Option<&JsonMap>) -> Arc<dyn Parser> {
    match &entry.ready {
        Some((common, Worlds::Parser(world))) => {
            let config = serde_json::Value::Object(merged(settings, &JsonMap::new())).to_string();
            Arc::new(WasmParser::new(Guest::new(world.clone(), common.clone(), &config)))
        }
        _ => Arc::new(Absent {
            id: entry.info.id.clone(),
            reason: entry.problem().unwrap_or("it is not loaded").to_owned(),
        }),
    }
}

/// Stands for a parser that did not load, so that its documents fail with the true reason.
struct Absent {
    id: PluginId,
    reason: String,
}

impl Parser for Absent {
    fn id(&self) -> &PluginId {
        &self.id
    }

    fn parse(&self, _: &Source, _: &ParseOptions) -> Result<Parsed, PluginError> {
        let message = format!("the parser did not load: {}", self.reason);
        Err(fault(&self.id.name, FaultKind::Unavailable, message))
    }
}
