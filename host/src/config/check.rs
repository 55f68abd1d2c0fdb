//! From [`Raw`] to [`Config`]: fills in the defaults and judges every value.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::problem::{Problem, suggestion};
use super::raw::*;
use super::tree::Tree;
use super::units::{Size, Span};
use super::*;

/// Judges values one by one and notes what is wrong with them.
pub(super) struct Checker<'a> {
    tree: &'a Tree,
    problems: &'a mut Vec<Problem>,
}

/// A day: what takes longer has no limit, and clocks do not count for ever.
const SPAN_MAX: Span = Span(86_400_000);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl<'a> Checker<'a> {
    pub fn new(tree: &'a Tree, problems: &'a mut Vec<Problem>) -> Self {
        Self { tree, problems }
    }

    /// Checks everything. Where a value is wrong its default stands in, so that the others are judged, too.
    pub fn config(&mut self, raw: Raw, default_data_dir: &Path) -> Config {
        let auth = AuthConfig {
            mode: raw.auth.mode.map_or(AuthMode::Local, AuthMode::from),
            requests_per_minute: raw.auth.requests_per_minute.unwrap_or(0),
            concurrent_max: self.count("auth.concurrent_max", raw.auth.concurrent_max, 256, (1, 1024))
                as usize,
        };
        let data_dir = self.path("data_dir", raw.data_dir).unwrap_or_else(|| default_data_dir.to_owned());
        let backends = self.backends(raw.backends);
        let embedder = raw.embedder.map_or_else(default_embedder, PluginRef::from);
        let mut plugins = self.plugins(raw.plugins);
        for (name, backend) in &backends.named {
            self.grant_server(&format!("backends.{name}"), &backend.plugin, &mut plugins);
        }
        self.grant_server("embedder", &embedder, &mut plugins);
        Config {
            api: self.api(raw.api, auth.mode),
            backends,
            prompts: PromptsConfig { dir: self.path("prompts.dir", raw.prompts.dir) },
            embedder,
            ingest: self.ingest(raw.ingest),
            search: self.search(raw.search),
            plugins,
            models: ModelsConfig { dir: self.path("models.dir", raw.models.dir) },
            analytics: self.analytics(raw.analytics),
            backup: self.backup(raw.backup, &data_dir),
            log: self.log(raw.log),
            auth,
            data_dir,
        }
    }

    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>) {
        let (origin, key) = (self.tree.origin(key), key.to_owned());
        self.problems.push(Problem { origin, key, message: message.into() });
    }

    fn api(&mut self, raw: RawApi, mode: AuthMode) -> ApiConfig {
        ApiConfig {
            bind: self.bind("api.bind", raw.bind, 8765, mode),
            ui_bind: self.bind("api.ui_bind", raw.ui_bind, 8501, mode),
            ollama_port: raw.ollama_port,
            upload_bytes_max: self.size("api.upload_bytes_max", raw.upload_bytes_max, 256 << 20),
            body_bytes_max: self.size("api.body_bytes_max", raw.body_bytes_max, 1 << 20),
            allowed_hosts: raw.allowed_hosts,
            allowed_origins: raw.allowed_origins,
            open_metrics: raw.open_metrics.unwrap_or(false),
        }
    }

    fn bind(&mut self, key: &str, text: Option<String>, port: u16, mode: AuthMode) -> SocketAddr {
        let default = SocketAddr::new(LOOPBACK, port);
        let Some(text) = text else { return default };
        let Some(address) = address(&text, port) else {
            let example = "expected an address and a port such as 127.0.0.1:8765";
            self.wrong(key, format!("{example}, found {text:?}"));
            return default;
        };
        if mode == AuthMode::Local && !address.ip().is_loopback() {
            self.wrong(
                key,
                format!(
                    "{address} can be reached from other machines, which auth.mode local must not be: \
                     set `auth: {{mode: keys}}`, or bind to 127.0.0.1"
                ),
            );
        }
        address
    }

    fn size(&mut self, key: &str, size: Option<Size>, default: u64) -> u64 {
        match size {
            Some(Size(0)) => {
                self.wrong(key, "must be more than 0");
                default
            }
            Some(Size(bytes)) => bytes,
            None => default,
        }
    }

    fn count(&mut self, key: &str, value: Option<u32>, default: u32, (least, most): (u32, u32)) -> u32 {
        match value {
            Some(value) if value < least || value > most => {
                self.wrong(key, format!("must be from {least} to {most}, found {value}"));
                default
            }
            Some(value) => value,
            None => default,
        }
    }

    fn span(&mut self, key: &str, span: Option<Span>, least: Span) {
        match span {
            Some(span) if span.0 < least.0 => self.wrong(key, format!("must be at least {least}")),
            Some(span) if span.0 > SPAN_MAX.0 => self.wrong(key, format!("must be at most {SPAN_MAX}")),
            Some(_) | None => {}
        }
    }

    fn path(&mut self, key: &str, path: Option<PathBuf>) -> Option<PathBuf> {
        if path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            self.wrong(key, "must not be empty");
            return None;
        }
        path
    }

    fn backends(&mut self, raw: BTreeMap<String, RawPlugin>) -> BackendsConfig {
        let (mut default, mut named) = (DEFAULT_BACKEND.to_owned(), BTreeMap::new());
        for (name, plugin) in raw {
            if name != "default" {
                let backend = self.backend(&name, plugin);
                named.insert(name, backend);
            } else if plugin.bare {
                default = plugin.plugin;
            } else {
                self.wrong("backends.default", "must be the name of one of the backends");
            }
        }
        let built_in = PluginRef { plugin: DEFAULT_BACKEND.to_owned(), settings: JsonMap::new() };
        named.entry(DEFAULT_BACKEND.to_owned()).or_insert(BackendConfig { plugin: built_in, fallback: None });
        self.known_backend("backends.default", &default, &named);
        for (name, backend) in &named {
            if let Some(fallback) = &backend.fallback {
                self.known_backend(&format!("backends.{name}.fallback"), fallback, &named);
            }
        }
        self.fallback_cycles(&named);
        BackendsConfig { default, named }
    }

    fn backend(&mut self, name: &str, raw: RawPlugin) -> BackendConfig {
        let mut plugin = PluginRef::from(raw);
        let fallback = match plugin.settings.remove("fallback") {
            Some(serde_json::Value::String(fallback)) => Some(fallback),
            None | Some(serde_json::Value::Null) => None,
            Some(_) => {
                self.wrong(&format!("backends.{name}.fallback"), "must be the name of a backend");
                None
            }
        };
        BackendConfig { plugin, fallback }
    }

    fn known_backend(&mut self, key: &str, name: &str, named: &BTreeMap<String, BackendConfig>) {
        if !named.contains_key(name) {
            let known: Vec<&str> = named.keys().map(String::as_str).collect();
            self.wrong(key, format!("there is no backend {name:?}; {}", suggestion(name, &known)));
        }
    }

    /// Each cycle is told once, at its first name.
    fn fallback_cycles(&mut self, named: &BTreeMap<String, BackendConfig>) {
        for start in named.keys() {
            let mut way = vec![start.as_str()];
            let next = |name: &str| named.get(name).and_then(|backend| backend.fallback.as_deref());
            let mut at = next(start);
            while let Some(name) = at.filter(|name| !way.contains(name)) {
                way.push(name);
                at = next(name);
            }
            if at == Some(start.as_str()) && way.iter().min() == Some(&start.as_str()) {
                way.push(start);
                let circle = way.join(" -> ");
                self.wrong(&format!("backends.{start}.fallback"), format!("goes in a circle: {circle}"));
            }
        }
    }

    fn ingest(&mut self, raw: RawIngest) -> IngestConfig {
        let chunk_tokens = self.count("ingest.chunker.tokens", raw.chunker.tokens, 256, (16, 8192));
        let chunk_overlap = raw.chunker.overlap.unwrap_or(32.min(chunk_tokens / 8));
        if chunk_overlap > chunk_tokens / 2 {
            let most = chunk_tokens / 2;
            self.wrong(
                "ingest.chunker.overlap",
                format!("must be at most half of tokens, {most}, found {chunk_overlap}"),
            );
        }
        IngestConfig {
            workers: self.count("ingest.workers", raw.workers, default_workers(), (1, 256)) as usize,
            chunk_tokens,
            chunk_overlap,
            enrichers: match raw.enrichers {
                None | Some(RawEnrichers::Auto) => None,
                Some(RawEnrichers::List(list)) => Some(list.into_iter().map(PluginRef::from).collect()),
            },
            queue_max: self.count("ingest.queue_max", raw.queue_max, 100_000, (1, 10_000_000)) as usize,
        }
    }

    fn search(&mut self, raw: RawSearch) -> SearchConfig {
        if let Some(alpha) = raw.alpha.filter(|alpha| !(0.0..=1.0).contains(alpha)) {
            let meaning = "must be from 0 (keywords only) to 1 (vectors only)";
            self.wrong("search.alpha", format!("{meaning}, found {alpha}"));
        }
        if raw.fusion == Some(RawFusion::Rrf) && raw.alpha.is_some() {
            self.wrong("search.alpha", "has no effect with `fusion: rrf`: remove one of the two");
        }
        SearchConfig {
            fusion: match (raw.fusion, raw.alpha) {
                (Some(RawFusion::Rrf), _) => Some(Fusion::Rrf),
                (_, Some(alpha)) => Some(Fusion::Convex { alpha }),
                (_, None) => None,
            },
            reranker: raw.reranker.map(PluginRef::from),
            candidates: self.count("search.candidates", raw.candidates, 100, (1, 10_000)) as usize,
            fold: raw.fold.unwrap_or(true),
        }
    }

    fn plugins(&mut self, raw: RawPlugins) -> PluginsConfig {
        PluginsConfig {
            dir: self.path("plugins.dir", raw.dir),
            extra_dirs: raw.extra_dirs,
            grants: raw.grants.into_iter().map(|(name, raw)| self.grant(name, raw)).collect(),
            settings: raw.settings,
            native: self.natives(raw.native),
            compile: self.compile(raw.compile),
        }
    }

    fn analytics(&mut self, raw: RawAnalytics) -> AnalyticsConfig {
        AnalyticsConfig {
            log: raw.log.unwrap_or(true),
            texts: raw.texts.unwrap_or(true),
            keep_days: self.count("analytics.keep_days", raw.keep_days, 90, (1, 36_500)),
        }
    }

    fn compile(&mut self, raw: RawCompile) -> CompileLimits {
        let defaults = CompileLimits::default();
        self.span("plugins.compile.cpu_max", raw.cpu_max, Span(1000));
        let memory = raw.memory_max.map(|size| size.0);
        if memory.is_some_and(|bytes| bytes < 64 << 20) {
            self.wrong("plugins.compile.memory_max", "must be at least 64MiB");
        }
        CompileLimits {
            cpu_seconds: raw.cpu_max.map_or(defaults.cpu_seconds, |span| span.0.div_ceil(1000)),
            memory_bytes: memory.unwrap_or(defaults.memory_bytes),
        }
    }

    /// Who names a server where a plugin is used means that the plugin may speak to it.
    fn grant_server(&mut self, key: &str, used: &PluginRef, plugins: &mut PluginsConfig) {
        if let Err(server) = plugins.grant_server(used) {
            let expected = "expected a URL such as http://127.0.0.1:8080/v1";
            self.wrong(&format!("{key}.{SERVER}"), format!("{expected}, found {server}"));
        }
    }

    fn grant(&mut self, name: String, raw: RawGrant) -> (String, GrantConfig) {
        let key = format!("plugins.grants.{name}");
        for (index, origin) in raw.http.iter().enumerate().filter(|(_, origin)| !is_origin(origin)) {
            let expected = "expected host:port or http(s)://host:port, without path or wildcard";
            self.wrong(&format!("{key}.http[{index}]"), format!("{expected}, found {origin:?}"));
        }
        for (field, value) in [("memory_max", raw.memory_max), ("output_max", raw.output_max)] {
            self.size(&format!("{key}.{field}"), value, 1);
        }
        self.span(&format!("{key}.deadline"), raw.deadline, Span(1));
        let sha256 = raw.sha256.and_then(|hash| self.hash(&key, hash, "plugin.wasm"));
        let grant = GrantConfig {
            sha256,
            http: raw.http,
            secrets: self.secrets(&key, raw.secrets),
            memory_max_bytes: raw.memory_max.map(|size| size.0),
            deadline_ms: raw.deadline.map(|span| span.0),
            output_max_bytes: raw.output_max.map(|size| size.0),
        };
        (name, grant)
    }

    /// The value is not repeated in the complaint: somebody may have put the secret itself there.
    fn secrets(&mut self, key: &str, raw: BTreeMap<String, String>) -> BTreeMap<String, SecretSource> {
        let mut secrets = BTreeMap::new();
        for (name, source) in raw {
            let is_name_char = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
            if !(1..=64).contains(&name.len()) || !name.chars().all(is_name_char) {
                let expected = "expected names of 1 to 64 letters, digits, hyphens and underscores";
                self.wrong(&format!("{key}.secrets"), format!("{expected}, found {name:?}"));
            }
            match secret_source(&source) {
                Some(source) => drop(secrets.insert(name, source)),
                None => self.wrong(
                    &format!("{key}.secrets.{name}"),
                    "expected env:VARIABLE or file:/absolute/path; the secret itself does not belong here",
                ),
            }
        }
        secrets
    }

    fn backup(&mut self, raw: RawBackup, data_dir: &Path) -> BackupConfig {
        let schedule = raw.schedule.filter(|time| {
            let good = is_time_of_day(time);
            if !good {
                self.wrong(
                    "backup.schedule",
                    format!("expected a time of day such as \"03:00\", found {time:?}"),
                );
            }
            good
        });
        BackupConfig {
            dir: self.path("backup.dir", raw.dir).unwrap_or_else(|| data_dir.join("backups")),
            keep_days: self.count("backup.keep_days", raw.keep_days, 30, (1, 36_500)),
            schedule,
        }
    }

    fn log(&mut self, raw: RawLog) -> LogConfig {
        let level = raw.level.unwrap_or_else(|| "info".to_owned());
        if !is_log_filter(&level) {
            let expected =
                "expected off, error, warn, info, debug, trace or a filter such as info,smartrag=debug";
            self.wrong("log.level", format!("{expected}, found {level:?}"));
        }
        let traces = raw.traces;
        if let Some(url) = traces.as_deref().filter(|url| !is_plain_http(url)) {
            let expected = "expected the URL of a collector without TLS, such as http://127.0.0.1:4318";
            self.wrong("log.traces", format!("{expected}, found {url:?}"));
        }
        LogConfig {
            traces,
            level,
            format: raw.format.map_or(LogFormat::Text, LogFormat::from),
            dir: self.path("log.dir", raw.dir),
        }
    }
}

/// `IP:PORT`, `localhost:PORT`, or an address alone with the usual port.
fn address(text: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(ip) = text.parse() {
        return Some(SocketAddr::new(ip, port));
    }
    let port = match text.strip_prefix("localhost")? {
        "" => port,
        rest => rest.strip_prefix(':')?.parse().ok()?,
    };
    Some(SocketAddr::new(LOOPBACK, port))
}

/// `env:VARIABLE` or `file:/absolute/path`.
pub(super) fn secret_source(text: &str) -> Option<SecretSource> {
    let is_variable_char = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(variable) = text.strip_prefix("env:") {
        let good = !variable.is_empty() && variable.chars().all(is_variable_char);
        return good.then(|| SecretSource::Env(variable.to_owned()));
    }
    let path = Path::new(text.strip_prefix("file:")?);
    path.is_absolute().then(|| SecretSource::File(path.to_owned()))
}

/// Scheme, host and port of a URL, if they could stand in a grant: a URL may have hosts that no network has.
pub(super) fn origin_of(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let origin = format!("{}://{}:{}", url.scheme(), url.host_str()?, url.port_or_known_default()?);
    Some(origin).filter(|origin| is_origin(origin))
}

fn is_plain_http(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| url.scheme() == "http" && url.has_host() && url.query().is_none())
}

fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
    let Some((host, port)) = rest.rsplit_once(':') else { return false };
    let is_host_char = |c: char| c.is_ascii_alphanumeric() || ".-_[]:".contains(c);
    host.chars().all(is_host_char)
        && url::Host::parse(host).is_ok()
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_time_of_day(text: &str) -> bool {
    let Some((hour, minute)) = text.split_once(':') else { return false };
    let below = |digits: &str, end: u8| digits.len() == 2 && digits.parse::<u8>().is_ok_and(|n| n < end);
    below(hour, 24) && below(minute, 60)
}

/// A lone word must be a level: the filter's own grammar takes any word as the name of a module.
fn is_log_filter(text: &str) -> bool {
    let is_level = |word: &str| {
        ["off", "error", "warn", "info", "debug", "trace"].contains(&word.to_lowercase().as_str())
    };
    let part_ok = |part: &str| part.contains(['=', ':', '[']) || is_level(part.trim());
    text.split(',').all(part_ok) && tracing_subscriber::EnvFilter::try_new(text).is_ok()
}

fn default_workers() -> u32 {
    std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4) as u32)
}

fn default_embedder() -> PluginRef {
    PluginRef { plugin: "static-embed".to_owned(), settings: JsonMap::new() }
}

impl From<RawPlugin> for PluginRef {
    fn from(raw: RawPlugin) -> Self {
        Self { plugin: raw.plugin, settings: raw.settings }
    }
}

impl From<RawAuthMode> for AuthMode {
    fn from(raw: RawAuthMode) -> Self {
        match raw {
            RawAuthMode::Local => AuthMode::Local,
            RawAuthMode::Keys => AuthMode::Keys,
        }
    }
}

impl From<RawLogFormat> for LogFormat {
    fn from(raw: RawLogFormat) -> Self {
        match raw {
            RawLogFormat::Text => LogFormat::Text,
            RawLogFormat::Json => LogFormat::Json,
        }
    }
}
