//! Whether the backends of a configuration are there, asked by this process itself.

use serde::Serialize;

use super::plugin::load_plugins;
use crate::config::{BackendConfig, Config};
use crate::types::PluginError;

/// What became of asking a backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Probed {
    pub name: String,
    pub ready: bool,
    /// The model, or why it is not there.
    pub detail: String,
}

/// Asks every backend that has a server.
pub(super) fn probe(config: &Config) -> anyhow::Result<Vec<Probed>> {
    let with_server = config.backends.named.iter().filter(|(_, backend)| backend.has_server());
    let with_server: Vec<_> = with_server.collect();
    if with_server.is_empty() {
        return Ok(Vec::new());
    }
    let (plugins, _scratch) = load_plugins(config)?;
    let ask = |(name, backend): (&String, &BackendConfig)| {
        let made = plugins.generator(&backend.plugin.plugin, &backend.plugin.settings);
        let info = made.and_then(|generator| generator.probe());
        let detail = match &info {
            Ok(info) => info.model.clone(),
            Err(PluginError { message, .. }) => message.clone(),
        };
        Probed { name: name.clone(), ready: info.is_ok(), detail }
    };
    Ok(with_server.into_iter().map(ask).collect())
}
