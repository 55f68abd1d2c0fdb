//! The configuration in effect as a file that reads back to itself.

use serde_json::Value;

use super::check::secret_source;
use super::raw::*;
use super::units::{Size, Span};
use super::*;

/// Stands where a secret was.
const REDACTED: &str = "<redacted>";

/// YAML of the configuration in effect; secrets are redacted; comments say what was set where.
pub fn show(loaded: &Loaded) -> String {
    let mut text = match &loaded.file {
        Some(file) => comment(&format!("read from {}", file.display())),
        None => "# no config file: defaults\n".to_owned(),
    };
    for (key, origin) in &loaded.origins {
        text.push_str(&comment(&format!("{key}: {origin}")));
    }
    text.push_str(&to_yaml(&loaded.config, true));
    text
}

/// A line of comment: a key or a path may hold a line end, behind which nothing would be a comment.
fn comment(text: &str) -> String {
    let is_end = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    format!("# {}\n", text.replace(is_end, "\u{fffd}"))
}

/// The JSON Schema of the file.
pub fn schema() -> Value {
    schemars::schema_for!(Raw).to_value()
}

/// The file that stands for this configuration.
pub(super) fn to_yaml(config: &Config, redact: bool) -> String {
    let mut value = serde_json::to_value(raw(config)).unwrap_or_default();
    prune(&mut value);
    if redact {
        redact_secrets(&mut value);
    }
    serde_saphyr::to_string(&value).unwrap_or_else(|error| format!("# {error}\n"))
}

/// Where the settings of plugins stand, in which everything may mean something.
const OF_PLUGINS: [&str; 5] = ["backends", "embedder", "enrichers", "reranker", "settings"];

/// Nulls and empty maps say nothing.
fn prune(value: &mut Value) {
    let Value::Object(map) = value else { return };
    map.iter_mut().filter(|(key, _)| !OF_PLUGINS.contains(&key.as_str())).for_each(|(_, value)| prune(value));
    map.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty()));
}

fn redact_secrets(value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| {
            if value.as_str().is_some_and(|text| !is_reference(text)) && is_secret(key) {
                *value = REDACTED.into();
            } else {
                redact_secrets(value);
            }
        }),
        Value::Array(items) => items.iter_mut().for_each(redact_secrets),
        _ => {}
    }
}

/// Says where a secret is, not what it is.
fn is_reference(text: &str) -> bool {
    secret_source(text).is_some()
}

fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["api_key", "apikey", "secret", "token", "password", "passwd"].iter().any(|word| key.ends_with(word))
        || key == "key"
}

fn raw(config: &Config) -> Raw {
    Raw {
        api: api(&config.api),
        auth: RawAuth {
            mode: Some(match config.auth.mode {
                AuthMode::Local => RawAuthMode::Local,
                AuthMode::Keys => RawAuthMode::Keys,
            }),
            requests_per_minute: Some(config.auth.requests_per_minute),
            concurrent_max: u32::try_from(config.auth.concurrent_max).ok(),
        },
        data_dir: Some(config.data_dir.clone()),
        prompts: RawPrompts { dir: config.prompts.dir.clone() },
        backends: backends(&config.backends),
        embedder: Some(plugin(&config.embedder)),
        ingest: ingest(&config.ingest),
        search: search(&config.search),
        plugins: plugins(&config.plugins),
        models: RawModels { dir: config.models.dir.clone() },
        analytics: RawAnalytics {
            log: Some(config.analytics.log),
            texts: Some(config.analytics.texts),
            keep_days: Some(config.analytics.keep_days),
        },
        backup: RawBackup {
            dir: Some(config.backup.dir.clone()),
            keep_days: Some(config.backup.keep_days),
            schedule: config.backup.schedule.clone(),
        },
        log: RawLog {
            level: Some(config.log.level.clone()),
            format: Some(match config.log.format {
                LogFormat::Text => RawLogFormat::Text,
                LogFormat::Json => RawLogFormat::Json,
            }),
            dir: config.log.dir.clone(),
            traces: config.log.traces.clone(),
        },
    }
}

fn api(api: &ApiConfig) -> RawApi {
    RawApi {
        bind: Some(api.bind.to_string()),
        ui_bind: Some(api.ui_bind.to_string()),
        ollama_port: api.ollama_port,
        upload_bytes_max: Some(Size(api.upload_bytes_max)),
        body_bytes_max: Some(Size(api.body_bytes_max)),
        allowed_hosts: api.allowed_hosts.clone(),
        allowed_origins: api.allowed_origins.clone(),
        open_metrics: Some(api.open_metrics),
    }
}

fn plugin(plugin: &PluginRef) -> RawPlugin {
    RawPlugin { plugin: plugin.plugin.clone(), bare: false, settings: plugin.settings.clone() }
}

fn backends(backends: &BackendsConfig) -> BTreeMap<String, RawPlugin> {
    let default = RawPlugin { plugin: backends.default.clone(), bare: true, settings: JsonMap::new() };
    let named = backends.named.iter().map(|(name, backend)| {
        let mut raw = plugin(&backend.plugin);
        if let Some(fallback) = &backend.fallback {
            raw.settings.insert("fallback".to_owned(), fallback.clone().into());
        }
        (name.clone(), raw)
    });
    std::iter::once(("default".to_owned(), default)).chain(named).collect()
}

fn ingest(ingest: &IngestConfig) -> RawIngest {
    RawIngest {
        workers: u32::try_from(ingest.workers).ok(),
        chunker: RawChunker {
            plugin: Some(RawChunkerName::Structure),
            tokens: Some(ingest.chunk_tokens),
            overlap: Some(ingest.chunk_overlap),
        },
        enrichers: Some(match &ingest.enrichers {
            None => RawEnrichers::Auto,
            Some(list) => RawEnrichers::List(list.iter().map(plugin).collect()),
        }),
        queue_max: u32::try_from(ingest.queue_max).ok(),
    }
}

fn search(search: &SearchConfig) -> RawSearch {
    let (fusion, alpha) = match search.fusion {
        Some(Fusion::Convex { alpha }) => (RawFusion::Convex, Some(alpha)),
        Some(Fusion::Rrf) => (RawFusion::Rrf, None),
        None => (RawFusion::Convex, None),
    };
    RawSearch {
        fusion: Some(fusion),
        alpha,
        reranker: search.reranker.as_ref().map(plugin),
        candidates: u32::try_from(search.candidates).ok(),
        fold: Some(search.fold),
    }
}

fn secret(source: &SecretSource) -> String {
    match source {
        SecretSource::Env(variable) => format!("env:{variable}"),
        SecretSource::File(path) => format!("file:{}", path.display()),
    }
}

fn plugins(plugins: &PluginsConfig) -> RawPlugins {
    let grant = |grant: &GrantConfig| RawGrant {
        sha256: grant.sha256.clone(),
        http: grant.http.clone(),
        secrets: grant.secrets.iter().map(|(name, source)| (name.clone(), secret(source))).collect(),
        memory_max: grant.memory_max_bytes.map(Size),
        deadline: grant.deadline_ms.map(Span),
        output_max: grant.output_max_bytes.map(Size),
    };
    RawPlugins {
        dir: plugins.dir.clone(),
        extra_dirs: plugins.extra_dirs.clone(),
        grants: plugins.grants.iter().map(|(name, given)| (name.clone(), grant(given))).collect(),
        settings: plugins.settings.clone(),
        native: plugins.native.iter().map(|(name, native)| (name.clone(), raw_native(native))).collect(),
        compile: RawCompile {
            cpu_max: Some(Span(plugins.compile.cpu_seconds.saturating_mul(1000))),
            memory_max: Some(Size(plugins.compile.memory_bytes)),
        },
    }
}

fn raw_native(native: &NativeConfig) -> RawNative {
    RawNative {
        role: Some(native.role.to_string()),
        path: Some(native.path.clone()),
        sha256: Some(native.sha256.clone()),
    }
}
