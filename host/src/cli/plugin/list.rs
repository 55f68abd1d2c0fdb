use std::collections::BTreeMap;

use crate::cli::config::Place;
use crate::cli::output::{self, Table};
use crate::cli::remote::Remote;
use crate::cli::{Outcome, Result, wait_for};
use crate::client::Error;
use crate::wire::PluginRecord;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: Args) -> Result {
    let client = args.remote.client()?;
    let plugins = match wait_for(async { Ok(client.plugins().await) })? {
        Ok(plugins) => plugins,
        Err(Error::NoDaemon(url)) => {
            eprintln!("no daemon at {url}: these are the plugins of this machine");
            super::load_local(&args.place.load()?.config)?
        }
        Err(error) => return Err(error.into()),
    };
    if args.json {
        output::json(&plugins)?;
    } else {
        table(plugins).print()?;
    }
    Ok(Outcome::Done)
}

/// What the host had to stop it from, and how often.
fn stopped(breaches: &BTreeMap<String, u64>) -> String {
    breaches.iter().map(|(code, count)| format!("{code} {count}")).collect::<Vec<_>>().join(", ")
}

fn table(plugins: Vec<PluginRecord>) -> Table {
    let mut table = Table::new([
        "NAME", "ROLE", "KIND", "VERSION", "SIZE", "GRANTED", "CALLS", "STOPPED", "STATE", "HANDLES",
    ]);
    for plugin in plugins {
        let state = match plugin.problem.or(plugin.notice) {
            Some(note) => format!("{}: {note}", plugin.state),
            None => plugin.state,
        };
        table.row([
            plugin.name,
            plugin.role,
            plugin.kind,
            plugin.version,
            output::size(plugin.size_bytes),
            plugin.capabilities.granted.join(" "),
            plugin.calls.to_string(),
            stopped(&plugin.breaches),
            state,
            plugin.file_types.join(" "),
        ]);
    }
    table
}
