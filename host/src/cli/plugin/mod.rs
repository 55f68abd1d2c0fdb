mod build;
mod inspect;
mod list;
mod local;
mod new;

pub(super) use local::load as load_local;

use super::Result;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the installed plugins: those of the daemon, or of this machine when none runs
    List(list::Args),
    /// Tell what a plugin is, imports and may do, without running it
    Inspect(inspect::Args),
    /// Start a plugin project that works, for you to change
    New(new::Args),
    /// Build plugin projects into components
    Build(build::Args),
}

pub(super) fn run(command: Command) -> Result {
    match command {
        Command::List(args) => list::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::New(args) => new::run(args),
        Command::Build(args) => build::run(args),
    }
}
