//! The plugins of this machine, without a daemon.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::api::plugin_record;
use crate::config::{self, Config};
use crate::plugins::{Places, PluginInfo, Plugins};
use crate::wire::PluginRecord;

/// What a daemon with this configuration would tell of its plugins.
pub(in crate::cli) fn load(config: &Config) -> anyhow::Result<Vec<PluginRecord>> {
    Ok(infos(config)?.into_iter().map(plugin_record).collect())
}

/// Loads the plugins as a daemon with this configuration would.
pub(super) fn infos(config: &Config) -> anyhow::Result<Vec<PluginInfo>> {
    Ok(plugins(config)?.0.list())
}

/// The same, to be called. What was compiled goes with the guard where the cache is not ours.
pub(in crate::cli) fn plugins(config: &Config) -> anyhow::Result<(Plugins, tempfile::TempDir)> {
    let found = config::places(config);
    let scratch = tempfile::tempdir()?;
    let cache_dir = if is_ours(&config.data_dir) { found.cache_dir } else { scratch.path().to_owned() };
    let places = Places { plugin_dirs: found.plugin_dirs, model_dirs: found.model_dirs, cache_dir };
    Ok((Plugins::load(&places, &config.plugins)?, scratch))
}

/// Where an author's plugin finds its models, with a cache of the author's own: a build under test must not push the
/// daemon's out. Without a home the cache goes with the guard.
pub(super) fn places(config: &Config) -> anyhow::Result<(Places, Option<tempfile::TempDir>)> {
    let found = config::places(config);
    let (cache_dir, scratch) = match author_cache() {
        Some(cache_dir) => (cache_dir, None),
        None => {
            let scratch = tempfile::tempdir()?;
            (scratch.path().to_owned(), Some(scratch))
        }
    };
    Ok((Places { plugin_dirs: found.plugin_dirs, model_dirs: found.model_dirs, cache_dir }, scratch))
}

fn author_cache() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    let ours = user.join("smartrag");
    std::fs::create_dir_all(&ours).ok().filter(|()| is_ours(&ours)).map(|()| ours)
}

/// Whether the daemon's directory belongs to whoever runs us: else root would leave files there that the daemon
/// can't use.
fn is_ours(data_dir: &Path) -> bool {
    data_dir.metadata().is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw())
}
