//! Raw YAML, environment and flags in; one checked [`Config`] out. Nothing later re-checks it.

mod check;
mod load;
mod names;
mod native;
mod places;
mod problem;
mod raw;
mod shape;
mod show;
#[cfg(test)]
mod tests;
mod tree;
mod units;

pub use load::{Loaded, Options, file_in_use, load, load_with, usual_prompts};
pub use names::{Known, idle_names, unknown_plugins, uses};
pub use places::{Places, places, socket};
pub use problem::{Error, Origin, Problem};
pub use show::{schema, show};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::types::{Fusion, JsonMap, Role};

/// The backend that always exists: it needs neither model nor network.
const DEFAULT_BACKEND: &str = "extractive";
/// The setting of plugins that says where their server is.
const SERVER: &str = "base_url";

/// The checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Listening and bodies.
    pub api: ApiConfig,
    /// Who may call.
    pub auth: AuthConfig,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// What answers.
    pub backends: BackendsConfig,
    /// What models get to read.
    pub prompts: PromptsConfig,
    /// What makes vectors.
    pub embedder: PluginRef,
    /// How documents become chunks.
    pub ingest: IngestConfig,
    /// How searches run.
    pub search: SearchConfig,
    /// Plugins and what they may do.
    pub plugins: PluginsConfig,
    /// Where model files are.
    pub models: ModelsConfig,
    /// What is remembered of queries.
    pub analytics: AnalyticsConfig,
    /// Backups.
    pub backup: BackupConfig,
    /// The log.
    pub log: LogConfig,
}

impl Config {
    /// Sections in which another configuration differs that is not taken up while the daemon runs. Backends, grants and the
    /// level of the log are.
    pub fn needs_restart(&self, other: &Config) -> Vec<&'static str> {
        let plugins = |config: &Config| PluginsConfig { grants: BTreeMap::new(), ..config.plugins.clone() };
        let log = |config: &Config| LogConfig { level: String::new(), ..config.log.clone() };
        let sections = [
            ("api", self.api != other.api),
            ("auth", self.auth != other.auth),
            ("data_dir", self.data_dir != other.data_dir),
            ("embedder", self.embedder != other.embedder),
            ("ingest", self.ingest != other.ingest),
            ("search", self.search != other.search),
            ("plugins", plugins(self) != plugins(other)),
            ("models", self.models != other.models),
            ("analytics", self.analytics != other.analytics),
            ("backup", self.backup != other.backup),
            ("log", log(self) != log(other)),
        ];
        sections.into_iter().filter(|(_, differs)| *differs).map(|(section, _)| section).collect()
    }
}

/// Listening and bodies.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiConfig {
    /// REST and WebSocket. Default 127.0.0.1:8765.
    pub bind: SocketAddr,
    /// The web page. Default 127.0.0.1:8501.
    pub ui_bind: SocketAddr,
    /// The Ollama dialect; off by default.
    pub ollama_port: Option<u16>,
    /// Largest file. Default 256 MiB.
    pub upload_bytes_max: u64,
    /// Largest JSON body. Default 1 MiB (a document's text has the upload limit).
    pub body_bytes_max: u64,
    /// `Host` names accepted beside the loopback ones.
    pub allowed_hosts: Vec<String>,
    /// `Origin`s accepted beside the page's own.
    pub allowed_origins: Vec<String>,
    /// `/metrics` without a key in keys mode.
    pub open_metrics: bool,
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AuthMode {
    /// Loopback only, no keys.
    #[default]
    Local,
    /// Every request needs a key.
    Keys,
}

/// Who may call.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthConfig {
    /// See [`AuthMode`].
    pub mode: AuthMode,
    /// Of one key, or of one user where there are none; 0, the default, is without a limit.
    pub requests_per_minute: u32,
    /// Requests of one key or user that may be under way at once. Default 256.
    pub concurrent_max: usize,
}

/// A plugin by name with its own configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginRef {
    /// Its name.
    pub plugin: String,
    /// Everything else that stood beside it: the plugin's configuration object.
    pub settings: JsonMap,
}

impl PluginRef {
    /// Whether it names a server.
    pub fn has_server(&self) -> bool {
        self.settings.contains_key(SERVER)
    }
}

/// A named backend.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendConfig {
    /// The generator and its configuration (`model`, `base_url`, …).
    pub plugin: PluginRef,
    /// The backend that answers when this one can't.
    pub fallback: Option<String>,
}

impl BackendConfig {
    /// Whether it names a server.
    pub fn has_server(&self) -> bool {
        self.plugin.has_server()
    }
}

/// What answers.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendsConfig {
    /// A name in `named`.
    pub default: String,
    /// By name.
    pub named: BTreeMap<String, BackendConfig>,
}

/// What models get to read.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PromptsConfig {
    /// Templates in place of the shipped ones; `None` if there are none.
    pub dir: Option<PathBuf>,
}

/// How documents become chunks.
#[derive(Clone, Debug, PartialEq)]
pub struct IngestConfig {
    /// Documents worked on at once. Default: number of cores, at most 4.
    pub workers: usize,
    /// Chunk size in tokens of the embedder. Default 256.
    pub chunk_tokens: u32,
    /// Tokens that a cut block shares with its predecessor, in whole sentences. Default 32.
    pub chunk_overlap: u32,
    /// `None` is `auto`: every enricher that needs no grant.
    pub enrichers: Option<Vec<PluginRef>>,
    /// Jobs waiting at most; beyond it uploads are 429. Default 100,000.
    pub queue_max: usize,
}

/// How searches run.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchConfig {
    /// `None`: convex with the weight that the embedder declares.
    pub fusion: Option<Fusion>,
    /// A reranker.
    pub reranker: Option<PluginRef>,
    /// Results of each side before fusion. Default 100.
    pub candidates: usize,
    /// Whether near-duplicates are folded into the best of them. Default true.
    pub fold: bool,
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In an environment variable of the daemon, written `env:VARIABLE`.
    Env(String),
    /// In a file, written `file:/path`; white space at its end is left out.
    File(PathBuf),
}

/// What a plugin was granted and how far it may go; `None` takes the manifest's or the role's value.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct GrantConfig {
    /// Hex SHA-256 of the one component that all of this is for; `None` means whichever is installed.
    pub sha256: Option<String>,
    /// Origins, `host:port` or `scheme://host:port`.
    pub http: Vec<String>,
    /// Secrets by name: where each is, never what it is.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Linear memory in bytes.
    pub memory_max_bytes: Option<u64>,
    /// Of one call, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// Bytes a call may return.
    pub output_max_bytes: Option<u64>,
}

/// Plugins and what they may do.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PluginsConfig {
    /// If set, the only directory of shipped plugins.
    pub dir: Option<PathBuf>,
    /// The operator's own, beside it.
    pub extra_dirs: Vec<PathBuf>,
    /// By plugin name.
    pub grants: BTreeMap<String, GrantConfig>,
    /// Configuration objects by plugin name, for plugins that stand nowhere else in this file.
    pub settings: BTreeMap<String, JsonMap>,
    /// Shared libraries by plugin name; none by default.
    pub native: BTreeMap<String, NativeConfig>,
    /// What compiling a component may take.
    pub compile: CompileLimits,
}

impl PluginsConfig {
    /// Lets a plugin speak to the server that it is used with. `Err` with what stands there if that is no URL.
    pub fn grant_server<'a>(&mut self, used: &'a PluginRef) -> Result<(), &'a serde_json::Value> {
        let Some(server) = used.settings.get(SERVER) else { return Ok(()) };
        let origin = server.as_str().and_then(check::origin_of).ok_or(server)?;
        let granted = &mut self.grants.entry(used.plugin.clone()).or_default().http;
        if !granted.contains(&origin) {
            granted.push(origin);
        }
        Ok(())
    }
}

/// What compiling one component may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Seconds of CPU time, of all threads together. Default 120.
    pub cpu_seconds: u64,
    /// Bytes of address space. Default 4 GiB.
    pub memory_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { cpu_seconds: 120, memory_bytes: 4 << 30 }
    }
}

/// A shared library that may run inside the daemon, without any fence.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeConfig {
    /// Embedder or generator.
    pub role: Role,
    /// Absolute.
    pub path: PathBuf,
    /// Hex SHA-256 that it must have.
    pub sha256: String,
}

/// Where model files are.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ModelsConfig {
    /// If set, looked in first.
    pub dir: Option<PathBuf>,
}

/// What is remembered of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnalyticsConfig {
    /// Whether searches and questions are logged. Default true.
    pub log: bool,
    /// Whether their texts are. Default true.
    pub texts: bool,
    /// Days that they and samples of the machine are kept. Default 90.
    pub keep_days: u32,
}

/// Backups.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupConfig {
    /// Where they go. Default: `backups` below the data directory.
    pub dir: PathBuf,
    /// Days that a backup is kept. Default 30.
    pub keep_days: u32,
    /// `HH:MM` local time; `None` is never.
    pub schedule: Option<String>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// A tracing filter. Default `info`.
    pub level: String,
    /// See [`LogFormat`].
    pub format: LogFormat,
    /// Rotating files here; `None` is stderr.
    pub dir: Option<PathBuf>,
    /// URL of an OpenTelemetry collector; `None` sends nothing.
    pub traces: Option<String>,
}

impl Config {
    /// What no file, no environment and no flag make, with this data directory.
    pub fn with_data_dir(data_dir: &Path) -> Self {
        let (tree, mut problems) = (tree::Tree::default(), Vec::new());
        check::Checker::new(&tree, &mut problems).config(raw::Raw::default(), data_dir)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::with_data_dir(Path::new("/var/lib/smartrag"))
    }
}
