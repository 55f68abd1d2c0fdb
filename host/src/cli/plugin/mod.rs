mod list;
mod local;

pub(super) use local::load as load_local;

use super::Result;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the installed plugins: those of the daemon, or of this machine when none runs
    List(list::Args),
}

pub(super) fn run(command: Command) -> Result {
    match command {
        Command::List(args) => list::run(args),
    }
}
