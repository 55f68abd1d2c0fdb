//! The named generators.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Error, ModelStatus, Result};
use crate::config::{BackendConfig, BackendsConfig};
use crate::plugins::{Generator, Plugins};
use crate::types::{PluginError, Role};

pub(super) struct Backends {
    default: String,
    named: BTreeMap<String, Backend>,
}

struct Backend {
    config: BackendConfig,
    generator: std::result::Result<Arc<dyn Generator>, PluginError>,
}

impl Backends {
    pub(super) fn load(plugins: &Plugins, config: &BackendsConfig) -> Self {
        let load = |(name, config): (&String, &BackendConfig)| {
            let generator = plugins.generator(&config.plugin.plugin, &config.plugin.settings);
            if let Err(error) = &generator {
                tracing::error!(backend = name, %error, "backend is not available");
            }
            (name.clone(), Backend { config: config.clone(), generator })
        };
        Self { default: config.default.clone(), named: config.named.iter().map(load).collect() }
    }

    /// The backend of this name, or the default one, and behind it those to fall back on.
    pub(super) fn chain(&self, name: Option<&str>) -> Result<Vec<(String, Arc<dyn Generator>)>> {
        let mut next = Some(name.unwrap_or(&self.default));
        let (mut chain, mut seen, mut failure) = (Vec::new(), Vec::new(), None);
        while let Some(name) = next.filter(|name| !seen.contains(name)) {
            seen.push(name);
            let backend = self.named.get(name).ok_or_else(|| self.unknown(name))?;
            match &backend.generator {
                Ok(generator) => chain.push((name.to_owned(), generator.clone())),
                Err(error) => failure = failure.or(Some(error.clone())),
            }
            next = backend.config.fallback.as_deref();
        }
        match failure.filter(|_| chain.is_empty()) {
            Some(error) => Err(error.into()),
            None => Ok(chain),
        }
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<&str> = self.named.keys().map(String::as_str).collect();
        Error::UnknownBackend(name.to_owned(), known.join(", "))
    }

    pub(super) fn status(&self) -> Vec<ModelStatus> {
        let status = |(name, backend): (&String, &Backend)| ModelStatus {
            role: Role::Generator,
            name: name.clone(),
            plugin: backend.config.plugin.plugin.clone(),
            model: backend.generator.as_ref().ok().map(|generator| generator.info().model.clone()),
            is_default: *name == self.default,
            problem: backend.generator.as_ref().err().map(|error| error.message.clone()),
        };
        self.named.iter().map(status).collect()
    }
}
