//! What stops `serve` from starting, as far as that can be told before.

use std::path::Path;

use super::check::Check;
use super::daemon::{self, Daemon, Opened};
use super::{clock, machine, models, network, no_plugins, permissions, plugins, ports};
use crate::answer::Prompts;
use crate::api::plugin_record;
use crate::cli::plugin::load_plugins;
use crate::config::Config;

/// Nobody is asked over the network, and nothing large is read.
pub(super) fn checks(config: &Config, file: Option<&Path>, offline: bool) -> Vec<Check> {
    let mut checks = files(config);
    checks.extend(machine::checks(config));
    checks.extend(permissions::checks(config, file));
    checks.push(ports::free("port", config.api.bind));
    checks.extend(ports::checks(config, true));
    let Opened { store, check } = daemon::store(config, &Daemon::None, false);
    checks.push(check);
    checks.push(clock::check(store.as_ref()));
    drop(store);
    checks.extend(of_plugins(config, offline));
    checks
}

/// Files that a start reads or makes.
pub(super) fn files(config: &Config) -> Vec<Check> {
    let prompts = Prompts::load(config.prompts.dir.as_deref()).err();
    let hint = "correct the template, or remove it to have the shipped one";
    let prompts = prompts.map(|error| Check::fatal("prompts", error.to_string(), hint));
    let log = config.log.dir.as_deref().map(|dir| machine::writable("log", dir, "log.dir"));
    prompts.into_iter().chain(log).collect()
}

fn of_plugins(config: &Config, offline: bool) -> Vec<Check> {
    let (loaded, _scratch) = match load_plugins(config) {
        Ok(loaded) => loaded,
        Err(error) => return vec![no_plugins(&error.to_string())],
    };
    let installed: Vec<_> = loaded.list().into_iter().map(plugin_record).collect();
    let mut checks = plugins::checks(config, &installed);
    // As the daemon will do it: of all plugins it needs this one.
    let embedder = &config.embedder;
    checks.push(match loaded.embedder(&embedder.plugin, &embedder.settings) {
        Ok(made) => Check::ok("embedder", made.info().fingerprint),
        Err(error) => {
            let hint = "see `embedder` in the config; without it no document can be taken in";
            Check::fatal("embedder", format!("{}: {}", embedder.plugin, error.message), hint)
        }
    });
    checks.extend(models::checks(config, &installed));
    if offline {
        checks.extend(plugins::inventory(&installed));
    }
    checks.push(network::check(config, &installed));
    checks
}
