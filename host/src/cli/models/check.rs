use crate::answer::ModelStatus;
use crate::api::readiness;
use crate::cli::config::Place;
use crate::cli::output::{self, Table};
use crate::cli::plugin::load_plugins;
use crate::cli::remote::Remote;
use crate::cli::{Outcome, Result};
use crate::client::Error;
use crate::config::{Config, PluginRef};
use crate::plugins::PluginInfo;
use crate::types::Role;
use crate::wire::Readiness;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// For machines
    #[arg(long)]
    json: bool,
    /// Check this machine by this config file, and ask no daemon
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args) -> Result {
    let readiness = look(&args).await?;
    if args.json {
        output::json(&readiness)?;
    } else {
        print(&readiness)?;
    }
    Ok(Outcome::of(readiness.ready))
}

/// By the daemon's own word. What keeps it from starting must be told without it.
async fn look(args: &Args) -> anyhow::Result<Readiness> {
    if args.config.is_none() {
        match args.remote.client()?.readiness().await {
            Err(Error::NoDaemon(url)) if !args.remote.names_address() => {
                eprintln!("no daemon at {url}: this is what this machine has");
            }
            told => return Ok(told?),
        }
    }
    let config = Place { config: args.config.clone() }.load()?.config;
    tokio::task::spawn_blocking(move || of_this_machine(&config)).await?
}

fn of_this_machine(config: &Config) -> anyhow::Result<Readiness> {
    let (plugins, _scratch) = load_plugins(config)?;
    let installed = plugins.list();
    Ok(readiness(&installed, &statuses(config, &installed)))
}

/// The backends, the embedder and the reranker of the config, none of which is made or asked.
fn statuses(config: &Config, installed: &[PluginInfo]) -> Vec<ModelStatus> {
    let status = |role, name: &str, used: &PluginRef, is_default| ModelStatus {
        role,
        name: name.to_owned(),
        plugin: used.plugin.clone(),
        model: None,
        models: Vec::new(),
        is_default,
        problem: problem(&used.plugin, installed),
    };
    let backends = config.backends.named.iter();
    let backends = backends.map(|(name, backend)| {
        status(Role::Generator, name, &backend.plugin, *name == config.backends.default)
    });
    let embedder = status(Role::Embedder, "embedder", &config.embedder, true);
    let reranker = config.search.reranker.iter();
    let reranker = reranker.map(|used| status(Role::Reranker, "reranker", used, true));
    backends.chain([embedder]).chain(reranker).collect()
}

/// Why a plugin can't be used.
fn problem(plugin: &str, installed: &[PluginInfo]) -> Option<String> {
    let Some(info) = installed.iter().find(|info| info.id.name == plugin) else {
        return Some("is not installed".to_owned());
    };
    let missing = info.models.iter().filter(|file| file.found.is_none());
    let missing = missing.filter_map(|file| file.problem.clone()).next();
    info.state.problem().map(str::to_owned).or(missing)
}

fn print(readiness: &Readiness) -> anyhow::Result<()> {
    let mut table = Table::new(["NAME", "KIND", "SHA256", "STATE"]);
    for item in &readiness.items {
        let hash: String = item.sha256.chars().take(12).collect();
        let state = item.problem.clone().unwrap_or_else(|| "there".into());
        table.row([item.name.clone(), item.kind.clone(), hash, state]);
    }
    table.print()?;
    output::line("")?;
    let mut table = Table::new(["WITHOUT A NETWORK", "", ""]);
    for feature in &readiness.features {
        let works = if feature.offline { "works" } else { "does not work" };
        table.row([feature.name.clone(), works.into(), feature.detail.clone()]);
    }
    table.print()?;
    if !readiness.networked_plugins.is_empty() {
        output::line(&format!("\nmay leave the machine: {}", readiness.networked_plugins.join(", ")))?;
    }
    Ok(())
}
