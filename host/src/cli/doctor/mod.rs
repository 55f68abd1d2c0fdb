//! `smartrag doctor`: is everything there that the daemon needs, and what should somebody look after?
//!
//! Invariants: changes nothing; a hint says what to do; `--pre-start` fails only where `serve` would.

mod backups;
mod check;
mod clock;
mod daemon;
mod indexes;
mod machine;
mod models;
mod network;
mod owners;
mod permissions;
mod plugins;
mod ports;
mod servers;
mod start;

use std::path::Path;

use super::config::Place;
use super::plugin::load_local;
use super::{Outcome, Result, output};
use crate::config::{self, Config};
use crate::wire::PluginRecord;
use check::{Check, Level, Report, render};
pub(super) use daemon::reachable;
use daemon::{Daemon, Opened};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// List each plugin and model file by hash, and ask no server
    #[arg(long)]
    offline: bool,
    /// Also read the whole database and every model file, and compare their checksums
    #[arg(long)]
    deep: bool,
    /// Before a start of the daemon: only what would stop it is a failure
    #[arg(long, conflicts_with = "deep")]
    pre_start: bool,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    /// Key, where the running daemon wants one
    #[arg(long, env = "SMARTRAG_API_KEY", value_name = "KEY", hide_env_values = true)]
    api_key: Option<String>,
}

pub(super) fn run(args: Args) -> Result {
    let report = Report::of(examine(&args)?);
    if args.json {
        output::json(&report)?;
    } else {
        output::print(&render(&report))?;
    }
    Ok(Outcome::of(report.status != Level::Fail))
}

/// Without a valid config there is nothing further to check.
fn examine(args: &Args) -> anyhow::Result<Vec<Check>> {
    let loaded = match args.place.load() {
        Ok(loaded) => loaded,
        Err(error) => return Ok(config_failures(&error)),
    };
    let said = match &loaded.file {
        Some(file) => format!("{} is valid", file.display()),
        None => "no config file: defaults".to_owned(),
    };
    let mut checks = vec![Check::ok("config", said)];
    let (config, file) = (&loaded.config, loaded.file.as_deref());
    if args.pre_start {
        checks.extend(start::checks(config, file, args.offline));
        return Ok(checks.into_iter().map(Check::before_start).collect());
    }
    checks.extend(everything(args, config, file)?);
    Ok(checks)
}

fn everything(args: &Args, config: &Config, file: Option<&Path>) -> anyhow::Result<Vec<Check>> {
    let mut checks = start::files(config);
    checks.extend(machine::checks(config));
    checks.extend(permissions::checks(config, file));
    let (daemon, port) = daemon::look(config, args.api_key.clone())?;
    checks.push(port);
    checks.extend(ports::checks(config, matches!(daemon, Daemon::None)));
    let Opened { store, check } = daemon::store(config, &daemon, args.deep);
    checks.push(check);
    checks.extend(store.as_ref().and_then(daemon::originals));
    checks.push(clock::check(store.as_ref()));
    checks.extend(indexes::checks(config, &daemon, store.as_ref()));
    // So that the daemon can be started meanwhile.
    drop(store);
    checks.push(backups::check(config));
    match installed(config, &daemon) {
        Ok(installed) => {
            checks.extend(plugins::checks(config, &installed));
            checks.extend(models::checks(config, &installed));
            if args.deep {
                checks.extend(models::deep(config));
            }
            if args.offline {
                checks.extend(plugins::inventory(&installed));
            }
            checks.push(network::check(config, &installed));
            if !args.offline {
                checks.extend(backends(config));
                checks.extend(servers::checks(config)?);
            }
        }
        Err(error) => checks.push(no_plugins(&error)),
    }
    Ok(checks)
}

fn no_plugins(error: &str) -> Check {
    Check::fatal("plugins", error, "see plugins.dir in the config")
}

/// Backends with a server that is not there; the others were looked at with their plugins.
fn backends(config: &Config) -> Vec<Check> {
    let probed = match super::backends::probe(config) {
        Ok(probed) => probed,
        Err(error) => {
            return vec![Check::fail("backends", error.to_string(), "see plugins.dir in the config")];
        }
    };
    let check = |backend: super::backends::Probed| match backend.ready {
        true => Check::ok("backend", format!("{}: {}", backend.name, backend.detail)),
        false => {
            let hint = format!("start its server, or see `backends.{}` in the config", backend.name);
            Check::warn("backend", format!("{}: {}", backend.name, backend.detail), hint)
        }
    };
    probed.into_iter().map(check).collect()
}

/// The plugins that the daemon has, else those that it would have.
fn installed(config: &Config, daemon: &Daemon) -> std::result::Result<Vec<PluginRecord>, String> {
    match daemon {
        Daemon::Running { plugins, .. } => Ok(plugins.clone()),
        _ => load_local(config).map_err(|error| error.to_string()),
    }
}

fn config_failures(error: &config::Error) -> Vec<Check> {
    match error {
        config::Error::Invalid(problems) => problems
            .iter()
            .map(|problem| Check::fatal("config", problem.to_string(), "see `smartrag config schema`"))
            .collect(),
        error => {
            vec![Check::fatal("config", error.to_string(), "name a file that can be read with --config")]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_the_config_is_a_failed_check() {
        let problem = config::Problem {
            origin: config::Origin::Env("X".into()),
            key: "a.b".into(),
            message: "bad".into(),
        };
        let checks = config_failures(&config::Error::Invalid(vec![problem.clone(), problem]));
        assert_eq!(checks.len(), 2);
        assert!(checks.iter().all(|check| check.level == Level::Fail && check.detail == "X: a.b: bad"));
    }
}
