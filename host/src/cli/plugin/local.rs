//! The plugins of this machine, without a daemon.

use crate::config::{self, Config};
use crate::plugins::{Error, ModelFile, Places, PluginInfo, PluginState, Plugins};
use crate::wire::{Capabilities, PluginModelFile, PluginRecord};

/// What a daemon with this configuration would tell of its plugins.
pub(in crate::cli) fn load(config: &Config) -> Result<Vec<PluginRecord>, Error> {
    Ok(infos(config)?.into_iter().map(record).collect())
}

/// Loads the plugins as a daemon with this configuration would.
pub(super) fn infos(config: &Config) -> Result<Vec<PluginInfo>, Error> {
    let found = config::places(config);
    let places =
        Places { plugin_dirs: found.plugin_dirs, model_dirs: found.model_dirs, cache_dir: found.cache_dir };
    Ok(Plugins::load(&places, &config.plugins)?.list())
}

fn record(info: PluginInfo) -> PluginRecord {
    let (state, problem) = match info.state {
        PluginState::Ready => ("ready", None),
        PluginState::Failed(reason) => ("failed", Some(reason)),
    };
    PluginRecord {
        name: info.id.name,
        version: info.id.version,
        role: info.role.to_string(),
        description: info.description,
        kind: "wasm".to_owned(),
        wit: info.wit,
        sha256: info.id.sha256,
        size_bytes: info.size_bytes,
        file_types: info.file_types,
        imports: info.imports,
        capabilities: Capabilities { asked: info.asked, granted: info.granted },
        limits: info.limits,
        models: info.models.into_iter().map(model_file).collect(),
        state: state.to_owned(),
        problem,
        calls: info.calls,
        traps: info.traps,
    }
}

fn model_file(file: ModelFile) -> PluginModelFile {
    PluginModelFile {
        name: file.name,
        sha256: file.sha256,
        present: file.found.is_some(),
        problem: file.problem,
    }
}
