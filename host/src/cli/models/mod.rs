mod bring;
mod check;
mod fetch;

use super::output::{self, Table};
use super::remote::Remote;
use super::{Outcome, Result};
use crate::wire::{MigrationRecord, ModelRecord};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List every backend and the embedder, and whether they are ready
    List(ListArgs),
    /// Check that every model, plugin and file that is needed is there, by hash; and what works without a network. Where no
    /// daemon runs, those of this machine
    Check(check::Args),
    /// Bring the model files that plugins of this machine declare and that are missing, each by its hash
    Fetch(fetch::Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(command: Command) -> Result {
    let args = match command {
        Command::List(args) => args,
        Command::Check(args) => return check::run(args).await,
        Command::Fetch(args) => return fetch::run(args).await,
    };
    let models = args.remote.client()?.models().await?;
    if args.json {
        output::json(&models)?;
    } else {
        table(models).print()?;
    }
    Ok(Outcome::Done)
}

fn migrating(migrations: &[MigrationRecord]) -> String {
    let (done, total) = migrations.iter().fold((0, 0), |sum, one| (sum.0 + one.done, sum.1 + one.total));
    format!("ready; embedding anew: {done} of {total} documents")
}

/// As `models list` shows them.
pub(super) fn table(models: Vec<ModelRecord>) -> Table {
    let mut table = Table::new(["NAME", "ROLE", "PLUGIN", "MODEL", "STATE"]);
    for model in models {
        let name = if model.default { format!("{} (default)", model.name) } else { model.name };
        let state = match (model.ready, model.problem) {
            (true, _) if !model.migrations.is_empty() => migrating(&model.migrations),
            (true, _) => "ready".to_owned(),
            (false, problem) => problem.unwrap_or_else(|| "not ready".to_owned()),
        };
        table.row([name, model.role, model.plugin, model.model.unwrap_or_default(), state]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_not_ready_says_why() {
        let model = |name: &str, ready| ModelRecord {
            name: name.into(),
            role: "generator".into(),
            plugin: "p".into(),
            model: None,
            default: ready,
            ready,
            problem: (!ready).then(|| "no server".into()),
            migrations: Vec::new(),
        };
        let text = table(vec![model("a", true), model("b", false)]).render();
        assert_eq!(
            text,
            "NAME         ROLE       PLUGIN  MODEL  STATE\n\
             a (default)  generator  p              ready\n\
             b            generator  p              no server\n"
        );
    }
}
