use std::path::PathBuf;

use super::{Outcome, Result, output};
use crate::config::{self, Loaded, Options};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the configuration in effect and where each value came from
    Show(Place),
    /// Say whether the configuration is valid
    Check(Place),
    /// Print the JSON Schema of the config file
    Schema,
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
        Command::Check(place) => match place.load()?.file {
            Some(file) => output::line(&format!("{} is valid", file.display()))?,
            None => output::line("no config file: the defaults are valid")?,
        },
        Command::Schema => output::json(&config::schema())?,
    }
    Ok(Outcome::Done)
}
