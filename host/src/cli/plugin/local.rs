//! The plugins of this machine, without a daemon.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::config::{self, Config};
use crate::plugins::{ModelFile, Places, PluginInfo, PluginState, Plugins};
use crate::wire::{Capabilities, PluginModelFile, PluginRecord};

/// What a daemon with this configuration would tell of its plugins.
pub(in crate::cli) fn load(config: &Config) -> anyhow::Result<Vec<PluginRecord>> {
    Ok(infos(config)?.into_iter().map(record).collect())
}

/// Loads the plugins as a daemon with this configuration would.
pub(super) fn infos(config: &Config) -> anyhow::Result<Vec<PluginInfo>> {
    let found = config::places(config);
    let scratch = tempfile::tempdir()?;
    let cache_dir = if is_ours(&config.data_dir) { found.cache_dir } else { scratch.path().to_owned() };
    let places = Places { plugin_dirs: found.plugin_dirs, model_dirs: found.model_dirs, cache_dir };
    Ok(Plugins::load(&places, &config.plugins)?.list())
}

/// Whether the daemon's directory belongs to whoever runs us: else root would leave files there that the daemon
/// can't use.
fn is_ours(data_dir: &Path) -> bool {
    data_dir.metadata().is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw())
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
