//! All installed plugins, by name and by what they do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tempfile::TempDir;
use wasmtime::component::Linker;

use super::Error;
use super::describe::{Descriptor, describe};
use super::egress::Network;
use super::fault::fault;
use super::health::Health;
use super::in_use::InUse;
use super::info::{Places, PluginInfo, PluginState};
use super::live::{Build, Exchange, Live};
use super::load::{COMPONENT_FILE, Entry, Loader, MANIFEST_FILE};
use super::make::{not_of_role, ready};
use super::manifest::{Manifest, did_you_mean};
use super::models::Verifier;
use super::native::Natives;
use super::reload::Reload;
use super::roles::{Embedder, Enricher, Generator, ParseOptions, Parser, Reranker, Source};
use super::vault::Vault;
use super::wasm::aot::AotCache;
use super::wasm::engine::Engine;
use super::wasm::host;
use super::wasm::parser::WasmParser;
use crate::config::PluginsConfig;
use crate::types::{FaultKind, JsonMap, Parsed, PluginError, PluginId, Role};

/// All installed plugins.
pub struct Registry {
    loader: Loader,
    natives: Natives,
    dirs: Vec<PathBuf>,
    pub(super) state: ArcSwap<State>,
    pub(super) in_use: InUse,
    /// One reload at a time.
    pub(super) reloading: Mutex<()>,
    itself: Weak<Registry>,
    _temporary: Option<TempDir>,
}

/// What is installed at one moment.
#[derive(Clone, Default)]
pub struct State {
    /// By name.
    pub entries: BTreeMap<String, Arc<Entry>>,
    /// The build before, where one was exchanged.
    pub former: BTreeMap<String, Arc<Entry>>,
    /// Builds that were rolled back.
    pub crashed: BTreeMap<String, Arc<Entry>>,
    /// What the operator should know of a plugin that works.
    pub notices: BTreeMap<String, String>,
    /// By file type.
    pub parsers: BTreeMap<String, Arc<dyn Parser>>,
}

impl State {
    /// Takes a plugin over from the state before, with what is known of it.
    pub fn keep(&mut self, name: &str, entry: &Arc<Entry>, before: &State) {
        let of =
            |map: &BTreeMap<String, Arc<Entry>>| map.get(name).map(|entry| (name.to_owned(), entry.clone()));
        self.entries.insert(name.to_owned(), entry.clone());
        self.crashed.extend(of(&before.crashed));
        self.notices.extend(before.notices.get(name).map(|notice| (name.to_owned(), notice.clone())));
    }
}

impl Registry {
    /// Loads every plugin of the directories, several at once.
    pub fn load(places: &Places, config: &PluginsConfig) -> Result<Arc<Self>, Error> {
        // Before anything is made: the cache may lie below a directory that is missed.
        let found = find(&places.plugin_dirs)?;
        Self::load_found(&found, places.plugin_dirs.clone(), places, config)
    }

    /// Loads the plugin of one directory, under the name of its manifest.
    pub fn load_one(dir: &Path, places: &Places, config: &PluginsConfig) -> Result<Arc<Self>, Error> {
        let manifest = std::fs::read_to_string(dir.join(MANIFEST_FILE)).unwrap_or_default();
        let name = Manifest::parse(&manifest).map(|manifest| manifest.name).ok();
        let of_dir = || dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found = BTreeMap::from([(name.unwrap_or_else(of_dir), dir.to_owned())]);
        Self::load_found(&found, Vec::new(), places, config)
    }

    fn load_found(
        found: &BTreeMap<String, PathBuf>,
        dirs: Vec<PathBuf>,
        places: &Places,
        config: &PluginsConfig,
    ) -> Result<Arc<Self>, Error> {
        let engine = Engine::start().map_err(|error| Error::Engine(format!("{error:#}")))?;
        let mut linker = Linker::new(engine.wasm());
        host::link(&mut linker).map_err(|error| Error::Engine(format!("{error:#}")))?;
        let (vault, temporary) = open_vault(&places.cache_dir.join("plugins"))?;
        let loader = Loader {
            engine,
            linker,
            cache: AotCache::new(vault.clone(), config.compile),
            verifier: Arc::new(Verifier::new(Some(vault))),
            model_dirs: places.model_dirs.as_slice().into(),
            network: Arc::new(Network::new()),
            config: ArcSwap::from_pointee(config.clone()),
        };
        let entries = load_all(&loader, found);
        let natives = Natives::load(&config.native, |name| Some(&*entries.get(name)?.info.dir));
        let registry = Arc::new_cyclic(|itself| Self {
            loader,
            natives,
            dirs,
            state: ArcSwap::default(),
            in_use: InUse::default(),
            reloading: Mutex::default(),
            itself: itself.clone(),
            _temporary: temporary,
        });
        for (name, entry) in &entries {
            match &entry.info.state {
                PluginState::Ready => {}
                PluginState::Ungranted(reason) => {
                    tracing::debug!(plugin = name, reason, "plugin is not used")
                }
                PluginState::Failed(reason) => tracing::error!(plugin = name, reason, "plugin did not load"),
            }
        }
        registry.publish(State { entries, ..State::default() });
        Ok(registry)
    }

    /// Loads what stands in the directories now.
    pub(super) fn found(&self) -> Result<BTreeMap<String, Arc<Entry>>, Error> {
        Ok(load_all(&self.loader, &self.files()?))
    }

    /// Names and directories of what is there.
    pub(super) fn files(&self) -> Result<BTreeMap<String, PathBuf>, Error> {
        find(&self.dirs)
    }

    /// Makes a state the present one. For each file type the parser with the highest priority reads, then the first by
    /// name; one that did not load only where nothing else reads the type.
    pub(super) fn publish(&self, mut state: State) {
        state.parsers.clear();
        let mut candidates: Vec<_> =
            state.entries.values().filter(|entry| entry.info.role == Role::Parser).cloned().collect();
        candidates.sort_by_key(|entry| (entry.ready.is_none(), std::cmp::Reverse(entry.priority)));
        for entry in candidates {
            let parser = self.parser(&entry);
            for file_type in &entry.info.file_types {
                state.parsers.entry(file_type.clone()).or_insert_with(|| parser.clone());
            }
        }
        self.state.store(Arc::new(state));
    }

    fn parser(&self, entry: &Entry) -> Arc<dyn Parser> {
        let live = match entry.problem() {
            None => self.live::<WasmParser>(entry, &JsonMap::new()).map_err(|error| error.message),
            Some(problem) => Err(problem.to_owned()),
        };
        match live {
            Ok(parser) => parser,
            Err(reason) => Arc::new(Absent { id: entry.info.id.clone(), reason }),
        }
    }

    fn live<P: Build>(&self, entry: &Entry, config: &JsonMap) -> Result<Arc<Live<P>>, PluginError>
    where
        Live<P>: Exchange,
    {
        let (name, itself) = (entry.info.id.name.clone(), self.itself.clone());
        let settings = configured(self.loader.config.load().settings.get(&name), config, entry)?;
        self.in_use.get(&name, &settings, || {
            let plugin = name.clone();
            let roll_back =
                Box::new(move || itself.upgrade().is_some_and(|registry| registry.roll_back(&plugin)));
            Live::new(entry, settings.clone(), Arc::new(Health::new(&name, entry.info.role, roll_back)))
        })
    }

    /// All plugins, by role and name.
    pub fn list(&self) -> Vec<PluginInfo> {
        let state = self.state.load();
        let with_notice = |(name, entry): (&String, &Arc<Entry>)| {
            let quarantine = self
                .in_use
                .paused(name)
                .map(|left| format!("quarantined for {} s: it keeps crashing", left.as_secs() + 1));
            PluginInfo { notice: quarantine.or_else(|| state.notices.get(name).cloned()), ..entry.info() }
        };
        let mut list: Vec<PluginInfo> = state.entries.iter().map(with_notice).collect();
        list.extend(self.natives.list());
        list.sort_by(|a, b| (a.role, &a.id.name).cmp(&(b.role, &b.id.name)));
        list
    }

    /// The parser for a file type.
    pub fn parser_for(&self, file_type: &str) -> Option<Arc<dyn Parser>> {
        self.state.load().parsers.get(file_type).cloned()
    }

    /// Names of ready enrichers that ask for nothing.
    pub fn default_enrichers(&self) -> Vec<String> {
        let usable = |entry: &&Arc<Entry>| {
            entry.info.role == Role::Enricher && entry.ready.is_some() && entry.info.asked.is_empty()
        };
        let state = self.state.load();
        state.entries.values().filter(usable).map(|entry| entry.info.id.name.clone()).collect()
    }

    /// An enricher by name.
    pub fn enricher(&self, name: &str) -> Result<Arc<dyn Enricher>, PluginError> {
        Ok(self.live(&*self.of_role(Role::Enricher, name)?, &JsonMap::new())?)
    }

    /// An embedder by name with its configuration.
    pub fn embedder(&self, name: &str, config: &JsonMap) -> Result<Arc<dyn Embedder>, PluginError> {
        if let Some(native) = self.natives.embedder(name, &self.merged(name, config)) {
            return native;
        }
        Ok(self.live(&*self.of_role(Role::Embedder, name)?, config)?)
    }

    /// A reranker by name with its configuration.
    pub fn reranker(&self, name: &str, config: &JsonMap) -> Result<Arc<dyn Reranker>, PluginError> {
        Ok(self.live(&*self.of_role(Role::Reranker, name)?, config)?)
    }

    /// A generator by name with its configuration.
    pub fn generator(&self, name: &str, config: &JsonMap) -> Result<Arc<dyn Generator>, PluginError> {
        if let Some(native) = self.natives.generator(name, &self.merged(name, config)) {
            return native;
        }
        Ok(self.live(&*self.of_role(Role::Generator, name)?, config)?)
    }

    /// Whether a generator could be made with this configuration, as far as can be told without making it.
    pub fn check_generator(&self, name: &str, config: &JsonMap) -> Result<(), PluginError> {
        if self.natives.names(Role::Generator).any(|native| native == name) {
            return Ok(());
        }
        let entry = self.of_role(Role::Generator, name)?;
        configured(self.loader.config.load().settings.get(name), config, &entry).map(drop)
    }

    /// See [`super::Plugins::reconfigure`].
    pub fn reconfigure(
        &self,
        config: &PluginsConfig,
        generators: &[(&str, &JsonMap)],
    ) -> Result<Reload, Error> {
        // Places that are not used any more would have to be tried out with grants that are not for them.
        for (name, entry) in &self.state.load().entries {
            let used = generators.iter().filter(|(plugin, _)| plugin == name);
            let used: Vec<String> = used.map(|(_, config)| self.merged(name, config)).collect();
            if entry.info.role == Role::Generator {
                self.in_use.keep(name, &used);
            }
        }
        let before = self.loader.config.load_full();
        let config = PluginsConfig { grants: config.grants.clone(), ..PluginsConfig::clone(&before) };
        self.loader.config.store(Arc::new(config));
        self.reload(true)
    }

    /// What a plugin says of itself, asked anew.
    pub fn describe(&self, name: &str) -> Result<Descriptor, PluginError> {
        let state = self.state.load();
        let entry = state.entries.get(name).ok_or_else(|| self.unknown(&state, Role::Parser, name))?;
        let (common, worlds) = ready(entry)?;
        describe(worlds, common)
    }

    /// The plugin's settings, overlaid by those of its place in the config, as JSON.
    fn merged(&self, name: &str, config: &JsonMap) -> String {
        serde_json::Value::Object(merged(self.loader.config.load().settings.get(name), config)).to_string()
    }

    fn unknown(&self, state: &State, role: Role, name: &str) -> PluginError {
        let of_role = state.entries.values().filter(|entry| entry.info.role == role);
        let of_role = of_role.map(|entry| entry.info.id.name.as_str());
        let names: Vec<&str> = of_role.chain(self.natives.names(role)).collect();
        let message = format!(
            "no {role} of that name is installed{}; installed are: {}",
            did_you_mean(name, &names),
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
        fault(name, FaultKind::Other("unknown_plugin".into()), message)
    }

    fn of_role(&self, role: Role, name: &str) -> Result<Arc<Entry>, PluginError> {
        let state = self.state.load();
        let entry = state.entries.get(name).ok_or_else(|| self.unknown(&state, role, name))?;
        if entry.info.role == role { Ok(entry.clone()) } else { Err(not_of_role(role, name)) }
    }
}

fn merged(settings: Option<&JsonMap>, config: &JsonMap) -> JsonMap {
    let mut merged = settings.cloned().unwrap_or_default();
    merged.extend(config.clone());
    merged
}

/// The whole configuration, checked against the plugin's schema.
fn configured(settings: Option<&JsonMap>, config: &JsonMap, entry: &Entry) -> Result<String, PluginError> {
    let merged = merged(settings, config);
    let check = |descriptor: &Descriptor| descriptor.check_config(&merged);
    entry.descriptor.as_ref().map_or(Ok(()), check).map_err(|what| {
        fault(&entry.info.id.name, FaultKind::InvalidConfig, format!("its configuration: {what}"))
    })?;
    Ok(serde_json::Value::Object(merged).to_string())
}

/// Names and directories, first wins.
pub(super) fn find(dirs: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>, Error> {
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

/// Without a usable cache directory all works, but starts slowly: what is compiled lasts as long as the process.
fn open_vault(dir: &Path) -> Result<(Vault, Option<TempDir>), Error> {
    match Vault::open(dir) {
        Ok(vault) => return Ok((vault, None)),
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "no cache for compiled plugins");
        }
    }
    let unusable = |source| Error::Io { path: std::env::temp_dir(), source };
    let temporary = tempfile::tempdir().map_err(unusable)?;
    let vault = Vault::open(temporary.path()).map_err(unusable)?;
    Ok((vault, Some(temporary)))
}

fn load_all(loader: &Loader, found: &BTreeMap<String, PathBuf>) -> BTreeMap<String, Arc<Entry>> {
    let jobs: Vec<(&String, &PathBuf)> = found.iter().collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    let next = AtomicUsize::new(0);
    let entries = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((name, dir)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let entry = Arc::new(loader.load(dir, name));
                    entries.lock().insert((*name).clone(), entry);
                }
            });
        }
    });
    entries.into_inner()
}

/// Stands for a parser that did not load, so that its documents fail with the true reason.
struct Absent {
    id: PluginId,
    reason: String,
}

impl Parser for Absent {
    fn id(&self) -> PluginId {
        self.id.clone()
    }

    fn parse(&self, _: &Source, _: &ParseOptions) -> Result<Parsed, PluginError> {
        let message = format!("the parser did not load: {}", self.reason);
        Err(fault(&self.id.name, FaultKind::Unavailable, message))
    }
}
