mod daemon;
mod machine;
mod plugins;
mod servers;

use serde::Serialize;

use super::config::Place;
use super::plugin::load_local;
use super::{Outcome, Result, output};
use crate::config::{self, Config};
use crate::wire::PluginRecord;
use daemon::Daemon;
pub(super) use daemon::reachable;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also list each plugin and model file by hash, and prove that nothing may leave the machine
    #[arg(long)]
    offline: bool,
    /// Also read the whole database and compare its checksums
    #[arg(long)]
    deep: bool,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    /// Key, where the running daemon wants one
    #[arg(long, env = "SMARTRAG_API_KEY", value_name = "KEY", hide_env_values = true)]
    api_key: Option<String>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// A line of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Check {
    name: String,
    level: Level,
    detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Check {
    fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), level: Level::Ok, detail: detail.into(), hint: None }
    }

    fn warn(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { level: Level::Warn, hint: Some(hint.into()), ..Self::ok(name, detail) }
    }

    fn fail(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { level: Level::Fail, hint: Some(hint.into()), ..Self::ok(name, detail) }
    }
}

/// For `--json`.
#[derive(Serialize)]
struct Report {
    status: Level,
    checks: Vec<Check>,
}

pub(super) fn run(args: Args) -> Result {
    let checks = examine(&args)?;
    let status = checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok);
    if args.json {
        output::json(&Report { status, checks })?;
    } else {
        output::print(&render(&checks, status))?;
    }
    Ok(Outcome::of(status != Level::Fail))
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
    checks.extend(everything(args, &loaded.config)?);
    Ok(checks)
}

fn everything(args: &Args, config: &Config) -> anyhow::Result<Vec<Check>> {
    let mut checks = machine::checks(config);
    let (daemon, port) = daemon::look(config, args.api_key.clone())?;
    checks.push(port);
    checks.push(daemon::store(config, &daemon, args.deep));
    match installed(config, &daemon) {
        Ok(installed) => {
            checks.extend(plugins::checks(config, &installed));
            if args.offline {
                checks.extend(plugins::inventory(config, &installed));
            } else {
                checks.extend(backends(config));
                checks.extend(servers::checks(config)?);
            }
        }
        Err(error) => checks.push(Check::fail("plugins", error, "see plugins.dir in the config")),
    }
    Ok(checks)
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
            .map(|problem| Check::fail("config", problem.to_string(), "see `smartrag config schema`"))
            .collect(),
        error => vec![Check::fail("config", error.to_string(), "name a file that can be read with --config")],
    }
}

fn render(checks: &[Check], status: Level) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = match check.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        text.push_str(&format!("{mark}  {:<10}  {}\n", check.name, output::one_line(&check.detail)));
        if let Some(hint) = &check.hint {
            text.push_str(&format!("                  -> {hint}\n"));
        }
    }
    text.push_str(match status {
        Level::Ok => "\neverything is there\n",
        Level::Warn => "\nit works, with the warnings above\n",
        Level::Fail => "\nnot everything that is needed is there\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_line_a_check_and_what_to_do() {
        let checks = [Check::ok("config", "fine"), Check::fail("disk_space", "full", "free some")];
        assert_eq!(
            render(&checks, Level::Fail),
            "ok    config      fine\n\
             FAIL  disk_space  full\n                  -> free some\n\
             \nnot everything that is needed is there\n"
        );
    }

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
