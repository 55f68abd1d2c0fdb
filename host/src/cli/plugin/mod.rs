mod author;
mod build;
mod inspect;
mod list;
mod local;
mod new;
mod patience;
mod reload;

pub(super) use local::{load as load_local, plugins as load_plugins};

use super::Result;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the installed plugins: those of the daemon, or of this machine when none runs
    List(list::Args),
    /// Have the daemon take up changed plugins
    Reload(reload::Args),
    /// Tell what a plugin is, imports and may do, without running it
    Inspect(inspect::Args),
    /// Start a plugin project that works, for you to change
    New(new::Args),
    /// Build plugin projects into components
    Build(build::Args),
    /// Run one input through a plugin, as the daemon would
    Run(author::run::Args),
    /// Check that a plugin keeps the contract of its role
    Check(author::check::Args),
    /// Compare what a plugin makes of its golden files with what it made before
    Test(author::test::Args),
}

pub(super) fn run(command: Command) -> Result {
    match command {
        Command::List(args) => list::run(args),
        Command::Reload(args) => reload::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::New(args) => new::run(args),
        Command::Build(args) => build::run(args),
        Command::Run(args) => author::run::run(args),
        Command::Check(args) => author::check::run(args),
        Command::Test(args) => author::test::run(args),
    }
}
