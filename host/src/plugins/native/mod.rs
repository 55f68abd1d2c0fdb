//! Plugins as shared libraries inside the daemon, behind the C interface of `sdk/native/smartrag_native.h`.
//!
//! They have no fence. So each is named in the config by its absolute path and SHA-256, its file must be out of other
//! users' reach, and what was hashed is what is loaded. What a call returns is checked as a guest's is.
//!
//! Invariant: `ffi.rs` is the only file here with `unsafe` in it.

mod embedder;
mod failure;
mod ffi;
mod file;
mod generator;
mod request;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::fault::fault;
use super::info::{PluginInfo, PluginKind, PluginState};
use super::roles::{Embedder, Generator};
use super::stats::Stats;
use crate::config::NativeConfig;
use crate::types::{FaultKind, JsonMap, PluginError, PluginId, Role};
use embedder::NativeEmbedder;
use ffi::{Instance, Loaded, Opened, RoleTable, Tables};
use generator::NativeGenerator;

/// Libraries of this process by SHA-256: none is loaded twice, and none ever goes.
static LOADED: Mutex<BTreeMap<String, Loaded>> = Mutex::new(BTreeMap::new());

/// The native plugins that the config names.
pub struct Natives(BTreeMap<String, Native>);

/// One of them.
struct Native {
    info: PluginInfo,
    /// Absent if it failed.
    tables: Option<Tables>,
    stats: Arc<Stats>,
}

impl Natives {
    /// Loads all of them; `taken` says where a WebAssembly plugin of a name is installed. Never fails as a whole:
    /// what is wrong stands in the list.
    pub fn load<'a>(
        config: &BTreeMap<String, NativeConfig>,
        taken: impl Fn(&str) -> Option<&'a Path>,
    ) -> Self {
        let load = |(name, config): (&String, &NativeConfig)| {
            let native = Native::load(name, config, taken(name));
            match &native.info.state {
                PluginState::Ready => tracing::info!(
                    plugin = name,
                    path = %config.path.display(),
                    "native plugin loaded: it runs without isolation"
                ),
                PluginState::Ungranted(reason) | PluginState::Failed(reason) => {
                    tracing::error!(plugin = name, reason, "native plugin did not load");
                }
            }
            (name.clone(), native)
        };
        Self(config.iter().map(load).collect())
    }

    /// What is known of them now.
    pub fn list(&self) -> impl Iterator<Item = PluginInfo> {
        self.0.values().map(|native| PluginInfo {
            calls: native.stats.calls(),
            busy_us: native.stats.busy_us(),
            ..native.info.clone()
        })
    }

    /// Names of a role's plugins.
    pub fn names(&self, role: Role) -> impl Iterator<Item = &str> {
        self.0.values().filter(move |native| native.info.role == role).map(|native| &*native.info.id.name)
    }

    /// An embedder with its configuration, a JSON object; `None` where no native plugin has this name.
    pub fn embedder(&self, name: &str, config: &str) -> Option<Result<Arc<dyn Embedder>, PluginError>> {
        let native = self.0.get(name)?;
        Some(native.instance(Role::Embedder, config).and_then(|(instance, table)| match table {
            RoleTable::Embedder(table) => {
                Ok(Arc::new(NativeEmbedder::new(native.info.id.clone(), instance, table)?) as Arc<_>)
            }
            RoleTable::Generator(_) => Err(native.not_of_role(Role::Embedder)),
        }))
    }

    /// A generator with its configuration, a JSON object; `None` where no native plugin has this name.
    pub fn generator(&self, name: &str, config: &str) -> Option<Result<Arc<dyn Generator>, PluginError>> {
        let native = self.0.get(name)?;
        Some(native.instance(Role::Generator, config).and_then(|(instance, table)| match table {
            RoleTable::Generator(table) => {
                Ok(Arc::new(NativeGenerator::new(native.info.id.clone(), instance, table)?) as Arc<_>)
            }
            RoleTable::Embedder(_) => Err(native.not_of_role(Role::Generator)),
        }))
    }
}

impl Native {
    fn load(name: &str, config: &NativeConfig, taken: Option<&Path>) -> Self {
        let mut native = Self { info: described(name, config), tables: None, stats: Arc::default() };
        match native.fill(config, taken) {
            Ok(tables) => {
                native.tables = Some(tables);
                native.info.state = PluginState::Ready;
            }
            Err(reason) => native.info.state = PluginState::Failed(reason),
        }
        native
    }

    fn fill(&mut self, config: &NativeConfig, taken: Option<&Path>) -> Result<Tables, String> {
        if let Some(dir) = taken {
            let name = &self.info.id.name;
            return Err(format!(
                "a WebAssembly plugin of the same name is installed in {}: give plugins.native.{name} another name",
                dir.display()
            ));
        }
        let sealed = file::read(&config.path, &config.sha256)?;
        self.info.size_bytes = sealed.size_bytes;
        let opened = open(&config.sha256, sealed.file)?;
        let role = match opened.tables.role {
            RoleTable::Embedder(_) => Role::Embedder,
            RoleTable::Generator(_) => Role::Generator,
        };
        if role != config.role {
            let name = &self.info.id.name;
            return Err(format!("the library's role is {role}: write it to plugins.native.{name}.role"));
        }
        self.info.id.version = opened.version;
        self.info.description = opened.description;
        Ok(opened.tables)
    }

    fn instance(&self, role: Role, config: &str) -> Result<(Arc<Instance>, RoleTable), PluginError> {
        let name = &self.info.id.name;
        if self.info.role != role {
            return Err(self.not_of_role(role));
        }
        let tables = self.tables.as_ref().ok_or_else(|| {
            let reason = match &self.info.state {
                PluginState::Ungranted(reason) | PluginState::Failed(reason) => reason,
                PluginState::Ready => "it is not loaded",
            };
            fault(name, FaultKind::Unavailable, format!("the plugin did not load: {reason}"))
        })?;
        let instance = Instance::create(tables, config, name, self.stats.clone());
        Ok((instance.map_err(|failure| failure.of(name))?, tables.role))
    }

    fn not_of_role(&self, role: Role) -> PluginError {
        let message = format!("the plugin is installed, but its role is {}, not {role}", self.info.role);
        fault(&self.info.id.name, FaultKind::Other("unknown_plugin".into()), message)
    }
}

fn open(sha256: &str, file: std::fs::File) -> Result<Opened, String> {
    let mut loaded = LOADED.lock();
    let key = sha256.to_ascii_lowercase();
    let library = match loaded.entry(key) {
        std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
        std::collections::btree_map::Entry::Vacant(place) => place.insert(Loaded::new(file)?),
    };
    library.read()
}

/// With as much as the config tells.
fn described(name: &str, config: &NativeConfig) -> PluginInfo {
    PluginInfo {
        id: PluginId {
            name: name.into(),
            version: String::new(),
            sha256: config.sha256.to_ascii_lowercase(),
        },
        kind: PluginKind::Native,
        role: config.role,
        description: String::new(),
        wit: smartrag_native::ABI_VERSION.to_string(),
        size_bytes: 0,
        dir: config.path.parent().unwrap_or(Path::new("/")).to_owned(),
        file_types: Vec::new(),
        imports: Vec::new(),
        asked: Vec::new(),
        granted: Vec::new(),
        limits: JsonMap::new(),
        models: Vec::new(),
        notice: None,
        state: PluginState::Failed("it is not loaded".into()),
        calls: 0,
        traps: 0,
        breaches: Default::default(),
        log_lines_dropped: 0,
        busy_us: 0,
        memory_peak_bytes: 0,
        egress: Default::default(),
        egress_refused: 0,
    }
}

#[cfg(test)]
mod tests;
