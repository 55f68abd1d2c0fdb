use std::path::PathBuf;

use serde::Serialize;

use super::backends::{self, Probed};
use super::remote::Remote;
use super::{Outcome, Result, output, wait_for};
use crate::config::{self, Loaded, Options};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the configuration in effect and where each value came from
    Show(Place),
    /// Say whether the configuration is valid, and its backends are there
    Check(Check),
    /// Have the daemon take up a changed configuration
    Reload(Reload),
    /// Print the JSON Schema of the config file
    Schema,
}

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Ask no server
    #[arg(long)]
    offline: bool,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Which configuration.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Place {
    /// The config file [default: /etc/smartrag/config.yaml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Place {
    pub fn load(&self) -> std::result::Result<Loaded, config::Error> {
        config::load(&Options { file: self.config.clone(), overrides: Vec::new() })
    }
}

pub(super) fn run(command: Command) -> Result {
    match command {
        Command::Show(place) => output::print(&config::show(&place.load()?))?,
        Command::Check(args) => return check(&args),
        Command::Reload(args) => return reload(&args),
        Command::Schema => output::json(&config::schema())?,
    }
    Ok(Outcome::Done)
}

/// What `config check --json` prints; a configuration that does not check is an error.
#[derive(Serialize)]
struct Checked {
    file: Option<PathBuf>,
    backends: Vec<Probed>,
}

fn check(args: &Check) -> Result {
    let Loaded { config, file, .. } = args.place.load()?;
    let backends = if args.offline { Vec::new() } else { backends::probe(&config)? };
    let all_there = backends.iter().all(|backend| backend.ready);
    if args.json {
        output::json(&Checked { file, backends })?;
        return Ok(Outcome::of(all_there));
    }
    match file {
        Some(file) => output::line(&format!("{} is valid", file.display()))?,
        None => output::line("no config file: the defaults are valid")?,
    }
    for Probed { name, ready, detail } in backends {
        let state = if ready { "ready" } else { "not ready" };
        output::line(&format!("backend {name} is {state}: {detail}"))?;
    }
    Ok(Outcome::of(all_there))
}

fn reload(args: &Reload) -> Result {
    let client = args.remote.client()?;
    let report = wait_for(async { Ok(client.reload_config().await?) })?;
    if args.json {
        output::json(&report)?;
        return Ok(Outcome::Done);
    }
    for backend in &report.backends {
        let default = if backend.default { ", the default" } else { "" };
        match &backend.problem {
            None => output::line(&format!("backend {}{default} is ready", backend.name))?,
            Some(problem) => {
                output::line(&format!("backend {}{default} is not ready: {problem}", backend.name))?
            }
        }
    }
    for (name, reason) in &report.plugins.refused {
        eprintln!("plugin {name} stays as it is: {reason}");
    }
    if !report.needs_restart.is_empty() {
        eprintln!("changed, and taken up at the next start only: {}", report.needs_restart.join(", "));
    }
    Ok(Outcome::Done)
}
