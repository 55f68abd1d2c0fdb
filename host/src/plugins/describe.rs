//! What a component says of itself, and whether that fits its manifest and its settings.

use serde_json::Value;

use super::bindings::v0_1_0::imports::types as wit;
use super::fault::{broken, shortened};
use super::load::Worlds;
use super::schema;
use super::wasm::describe::describe as ask;
use super::wasm::guest::Common;
use crate::types::{JsonMap, PluginError, PluginId, Role};

/// A component's own words.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    /// Equals that of the manifest.
    pub name: String,
    /// Equals that of the manifest.
    pub version: String,
    /// For people.
    pub description: String,
    /// JSON Schema of its configuration.
    pub config_schema: Value,
    /// Further facts.
    pub properties: JsonMap,
}

impl Descriptor {
    fn read(raw: wit::Descriptor) -> Result<Self, String> {
        let config_schema = serde_json::from_str(&raw.config_schema)
            .map_err(|error| format!("the config-schema of `describe` is not JSON: {error}"))?;
        Ok(Self {
            name: shortened(raw.name),
            version: shortened(raw.version),
            description: shortened(raw.description),
            config_schema,
            properties: super::wasm::annotations(raw.properties)?,
        })
    }

    /// Whether it says the same as the manifest; the error is a sentence.
    pub fn agrees(&self, manifest: &PluginId) -> Result<(), String> {
        let pairs = [("name", &self.name, &manifest.name), ("version", &self.version, &manifest.version)];
        match pairs.into_iter().find(|(_, said, declared)| said != declared) {
            None => Ok(()),
            Some((what, said, declared)) => Err(format!(
                "the component says {what} {said:?}, its plugin.toml {declared:?}: make them the same and build it anew"
            )),
        }
    }

    /// Checks a whole configuration; the error names the key.
    pub fn check_config(&self, config: &JsonMap) -> Result<(), String> {
        schema::check(&self.config_schema, &Value::Object(config.clone()))
    }

    /// The same without asking for what is absent: settings can be completed where the plugin is named.
    fn check_part(&self, config: &JsonMap) -> Result<(), String> {
        let mut schema = self.config_schema.clone();
        schema.as_object_mut().map(|schema| schema.remove("required"));
        schema::check(&schema, &Value::Object(config.clone()))
    }
}

/// Asks a component.
pub fn describe(worlds: &Worlds, common: &Common) -> Result<Descriptor, PluginError> {
    let raw = match worlds {
        Worlds::Parser(world) => ask(world, common),
        Worlds::Enricher(world) => ask(world, common),
        Worlds::Embedder(world) => ask(world, common),
        Worlds::Reranker(world) => ask(world, common),
        Worlds::Generator(world) => ask(world, common),
    };
    Descriptor::read(raw?).map_err(|what| broken(&common.id.name, what))
}

/// Asks at load, and checks the answer; the error is the reason why the plugin can't be used.
pub fn at_load(
    worlds: &Worlds,
    common: &Common,
    role: Role,
    settings: Option<&JsonMap>,
) -> Result<Descriptor, String> {
    let name = &common.id.name;
    let descriptor = describe(worlds, common).map_err(|error| {
        format!(
            "`describe` failed ({}): {}; every plugin must say what it is",
            error.kind.code(),
            error.message
        )
    })?;
    descriptor.agrees(&common.id)?;
    let settings = settings.cloned().unwrap_or_default();
    let checked = match role {
        Role::Parser | Role::Enricher => descriptor.check_config(&settings),
        Role::Embedder | Role::Reranker | Role::Generator => descriptor.check_part(&settings),
    };
    checked.map_err(|what| format!("plugins.settings.{name}: {what}"))?;
    Ok(descriptor)
}
