use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use super::backends::{self, Probed};
use super::upkeep::Ours;
use super::{Outcome, Result, output, wait_for};
use crate::answer::{Prompts, SHIPPED};
use crate::config::{self, Loaded, Options};
use crate::plugins;

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
    /// Print the shipped prompts, or write them out to be changed
    Prompts(PromptsArgs),
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
    ours: Ours,
}

#[derive(Debug, clap::Args)]
pub(super) struct PromptsArgs {
    /// Write them below this directory, such as /etc/smartrag/prompts; files that are there already stay
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
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
        Command::Prompts(args) => return prompts(args.write.as_deref()),
    }
    Ok(Outcome::Done)
}

/// What `config check --json` prints; a configuration that does not check is an error.
#[derive(Serialize)]
struct Checked {
    file: Option<PathBuf>,
    /// What is no mistake, but perhaps not meant.
    notes: Vec<String>,
    backends: Vec<Probed>,
}

fn check(args: &Check) -> Result {
    let loaded = args.place.load()?;
    let notes = check_names(&loaded)?;
    let Loaded { config, file, .. } = loaded;
    Prompts::load(config.prompts.dir.as_deref())?;
    let backends = if args.offline { Vec::new() } else { backends::probe(&config)? };
    let all_there = backends.iter().all(|backend| backend.ready);
    if args.json {
        output::json(&Checked { file, notes, backends })?;
        return Ok(Outcome::of(all_there));
    }
    for note in notes {
        eprintln!("note: {note}");
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

/// Whether the plugins that are named are installed, by their manifests alone; what there is to note.
fn check_names(loaded: &Loaded) -> anyhow::Result<Vec<String>> {
    let installed = match plugins::declared_names(&config::places(&loaded.config).plugin_dirs) {
        Ok(installed) => installed,
        Err(error) => return Ok(vec![format!("names of plugins were not checked: {error}")]),
    };
    let unknown = config::unknown_plugins(loaded, &installed);
    if !unknown.is_empty() {
        return Err(config::Error::Invalid(unknown).into());
    }
    Ok(config::idle_names(loaded, &installed).iter().map(ToString::to_string).collect())
}

fn prompts(dir: Option<&Path>) -> Result {
    for (name, text) in SHIPPED {
        let Some(dir) = dir else {
            output::line(&format!("# {name}.j2\n{text}"))?;
            continue;
        };
        let path = dir.join(format!("{name}.j2"));
        let context = || format!("{} can't be written", path.display());
        path.parent().map_or(Ok(()), fs::create_dir_all).with_context(context)?;
        match fs::File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes())) {
            Ok(()) => eprintln!("wrote {}", path.display()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                eprintln!("{} is there already: left as it is", path.display());
            }
            Err(error) => return Err(error).with_context(context),
        }
    }
    Ok(Outcome::Done)
}

fn reload(args: &Reload) -> Result {
    let client = args.ours.client()?;
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
