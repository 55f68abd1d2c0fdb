//! The file as it is written. Names and shapes only; [`super::check`] judges the values.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::units::{Size, Span};
use crate::types::JsonMap;

/// Every key may be left out.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "SmartRAG configuration")]
pub(super) struct Raw {
    /// Listening and bodies.
    pub api: RawApi,
    /// Who may call.
    pub auth: RawAuth,
    /// Where everything is kept. Default: /var/lib/smartrag as a service, else ~/.local/share/smartrag.
    pub data_dir: Option<PathBuf>,
    /// What answers, by name. `default` names the one that is used otherwise; `extractive` always exists.
    pub backends: BTreeMap<String, RawPlugin>,
    /// What models get to read.
    pub prompts: RawPrompts,
    /// What makes vectors. Default: static-embed.
    pub embedder: Option<RawPlugin>,
    /// How documents become chunks.
    pub ingest: RawIngest,
    /// How searches run.
    pub search: RawSearch,
    /// Plugins and what they may do.
    pub plugins: RawPlugins,
    /// Where model files are.
    pub models: RawModels,
    /// What is remembered of queries.
    pub analytics: RawAnalytics,
    /// Backups.
    pub backup: RawBackup,
    /// The log.
    pub log: RawLog,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Api")]
pub(super) struct RawApi {
    /// REST and WebSocket, `address:port`. Default: 127.0.0.1:8765.
    pub bind: Option<String>,
    /// The web page, `address:port`. Default: 127.0.0.1:8501.
    pub ui_bind: Option<String>,
    /// Port of the Ollama dialect; off by default.
    pub ollama_port: Option<u16>,
    /// Largest file. Default: 256MiB.
    pub upload_bytes_max: Option<Size>,
    /// Largest JSON body. Default: 1MiB.
    pub body_bytes_max: Option<Size>,
    /// `Host` names accepted beside the loopback ones.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages accepted beside our own, such as `https://chat.example`.
    pub allowed_origins: Vec<String>,
    /// Serve /metrics without a key in `keys` mode.
    pub open_metrics: Option<bool>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Auth")]
pub(super) struct RawAuth {
    /// `local`: loopback only, no keys. `keys`: every request needs one.
    pub mode: Option<RawAuthMode>,
    /// What one key (in local mode: one user) may ask for within a minute; 0, the default, is without a limit.
    pub requests_per_minute: Option<u32>,
    /// Requests of one key or user that may be under way at once. Default: 256.
    pub concurrent_max: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AuthMode")]
pub(super) enum RawAuthMode {
    Local,
    Keys,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Prompts")]
pub(super) struct RawPrompts {
    /// Templates `LANGUAGE/USE.j2` in place of the shipped ones. Default: `prompts` beside this file, if it exists.
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Ingest")]
pub(super) struct RawIngest {
    /// Documents worked on at once. Default: number of cores, at most 4.
    pub workers: Option<u32>,
    /// How text is cut.
    pub chunker: RawChunker,
    /// `auto` runs every enricher that needs no grant; a list runs these in order.
    pub enrichers: Option<RawEnrichers>,
    /// Documents waiting at most. Default: 100000.
    pub queue_max: Option<u32>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Chunker")]
pub(super) struct RawChunker {
    /// Only `structure`: along headings, blocks and sentences.
    pub plugin: Option<RawChunkerName>,
    /// Size of a chunk of several paragraphs in tokens of the embedder; one paragraph may have twice as many.
    /// Default: 256.
    pub tokens: Option<u32>,
    /// Tokens that a cut block shares with the one before. Default: 32.
    pub overlap: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ChunkerName")]
pub(super) enum RawChunkerName {
    Structure,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Search")]
pub(super) struct RawSearch {
    /// How keyword and vector results become one list. Default: convex.
    pub fusion: Option<RawFusion>,
    /// Weight of the vector side with `convex`, 0 to 1. Default: what the embedder declares.
    pub alpha: Option<f32>,
    /// Reranker plugin; none by default.
    pub reranker: Option<RawPlugin>,
    /// Results of each side before fusion. Default: 100.
    pub candidates: Option<u32>,
    /// Whether results of nearly the same text are folded into the best of them. Default: true.
    pub fold: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Fusion")]
pub(super) enum RawFusion {
    Convex,
    Rrf,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Plugins")]
pub(super) struct RawPlugins {
    /// The only directory of shipped plugins; looked for in the usual places by default.
    pub dir: Option<PathBuf>,
    /// Your own, beside it.
    pub extra_dirs: Vec<PathBuf>,
    /// What each plugin may do, by its name.
    pub grants: BTreeMap<String, RawGrant>,
    /// Configuration of plugins that stand nowhere else in this file, by name.
    pub settings: BTreeMap<String, JsonMap>,
    /// Shared libraries that run inside the daemon without any fence, by the name of the plugin. None by default.
    pub native: BTreeMap<String, RawNative>,
    /// What compiling one plugin may take; one that needs more is refused.
    pub compile: RawCompile,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Compile")]
pub(super) struct RawCompile {
    /// Processor time. Default: 120s.
    pub cpu_max: Option<Span>,
    /// Memory. Default: 4GiB.
    pub memory_max: Option<Size>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Native")]
pub(super) struct RawNative {
    /// `embedder` or `generator`.
    pub role: Option<String>,
    /// Absolute path of the library, without links on the way.
    pub path: Option<PathBuf>,
    /// Hex SHA-256 that the library must have.
    pub sha256: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Grant")]
pub(super) struct RawGrant {
    /// Hex SHA-256 of the component that this is for: another build of the plugin is refused.
    pub sha256: Option<String>,
    /// Servers it may talk to, `host:port` or `scheme://host:port`.
    pub http: Vec<String>,
    /// Secrets that the host puts into its requests, by name: `env:VARIABLE` or `file:/path`.
    pub secrets: BTreeMap<String, String>,
    /// Its memory.
    pub memory_max: Option<Size>,
    /// Time for one call.
    pub deadline: Option<Span>,
    /// Bytes that one call may return.
    pub output_max: Option<Size>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Models")]
pub(super) struct RawModels {
    /// Looked in first.
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Analytics")]
pub(super) struct RawAnalytics {
    /// Whether searches and questions are logged, for `GET /analytics` and `smartrag report`. Default: true.
    pub log: Option<bool>,
    /// Whether the texts of searches and questions are logged, too. Default: true.
    pub texts: Option<bool>,
    /// Days that the log and samples of the machine are kept. Default: 90.
    pub keep_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Backup")]
pub(super) struct RawBackup {
    /// Where they go. Default: `backups` below data_dir.
    pub dir: Option<PathBuf>,
    /// Days that a backup is kept. Default: 30.
    pub keep_days: Option<u32>,
    /// Time of day, `HH:MM`; never by default.
    pub schedule: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Log")]
pub(super) struct RawLog {
    /// off, error, warn, info, debug or trace, or a filter such as `info,smartrag::search=debug`.
    pub level: Option<String>,
    /// Look of a line.
    pub format: Option<RawLogFormat>,
    /// Write rotating files here instead of stderr.
    pub dir: Option<PathBuf>,
    /// Send the spans of each request to this OpenTelemetry collector (OTLP over HTTP), such as `http://127.0.0.1:4318`.
    pub traces: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "LogFormat")]
pub(super) enum RawLogFormat {
    Text,
    Json,
}

/// A plugin by name, or a map with `plugin` and its settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RawPlugin {
    pub plugin: String,
    /// Whether only the name stood there.
    pub bare: bool,
    pub settings: JsonMap,
}

/// `auto` or a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RawEnrichers {
    Auto,
    List(Vec<RawPlugin>),
}

struct PluginVisitor;

impl<'de> Visitor<'de> for PluginVisitor {
    type Value = RawPlugin;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a plugin, or a map such as {plugin: NAME}")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<RawPlugin, E> {
        Ok(RawPlugin { plugin: name.to_owned(), bare: true, settings: JsonMap::new() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawPlugin, A::Error> {
        let mut settings = JsonMap::deserialize(MapAccessDeserializer::new(map))?;
        match settings.remove("plugin") {
            Some(Value::String(plugin)) => Ok(RawPlugin { plugin, bare: false, settings }),
            Some(_) => Err(de::Error::custom("`plugin` must be the name of a plugin")),
            None => Err(de::Error::custom("`plugin` is missing: name the plugin that serves here")),
        }
    }
}

impl<'de> Deserialize<'de> for RawPlugin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PluginVisitor)
    }
}

impl Serialize for RawPlugin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.bare {
            return serializer.serialize_str(&self.plugin);
        }
        let mut map = JsonMap::new();
        map.insert("plugin".to_owned(), self.plugin.clone().into());
        map.extend(self.settings.clone());
        map.serialize(serializer)
    }
}

impl JsonSchema for RawPlugin {
    fn schema_name() -> Cow<'static, str> {
        "Plugin".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A plugin by name, or a map with its name and its own settings",
            "oneOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "required": ["plugin"],
                    "properties": {
                        "plugin": {"type": "string"},
                        "fallback": {
                            "type": "string",
                            "description": "Backends only: the backend that answers when this one can't"
                        }
                    }
                }
            ]
        })
    }
}

struct EnrichersVisitor;

impl<'de> Visitor<'de> for EnrichersVisitor {
    type Value = RawEnrichers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("auto, or a list of plugins such as [language, keywords]")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawEnrichers, E> {
        match text {
            "auto" => Ok(RawEnrichers::Auto),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<RawEnrichers, A::Error> {
        let mut list = Vec::new();
        while let Some(plugin) = seq.next_element()? {
            list.push(plugin);
        }
        Ok(RawEnrichers::List(list))
    }
}

impl<'de> Deserialize<'de> for RawEnrichers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EnrichersVisitor)
    }
}

impl Serialize for RawEnrichers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            RawEnrichers::Auto => serializer.serialize_str("auto"),
            RawEnrichers::List(list) => list.serialize(serializer),
        }
    }
}

impl JsonSchema for RawEnrichers {
    fn schema_name() -> Cow<'static, str> {
        "Enrichers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let plugin = generator.subschema_for::<RawPlugin>();
        json_schema!({"oneOf": [{"const": "auto"}, {"type": "array", "items": plugin}]})
    }
}
