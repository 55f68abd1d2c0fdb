use std::collections::BTreeMap;

use crate::cli::output::{self, Table};
use crate::cli::upkeep::Ours;
use crate::cli::{Outcome, Result, wait_for};
use crate::client::Error;
use crate::wire::PluginRecord;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ours: Ours,
}

pub(super) fn run(args: Args) -> Result {
    let client = args.ours.client()?;
    let plugins = match wait_for(async { Ok(client.plugins().await) })? {
        Ok(plugins) => plugins,
        Err(Error::NoDaemon(url)) => {
            eprintln!("no daemon at {url}: these are the plugins of this machine");
            super::load_local(&args.ours.place.load()?.config)?
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
        "NAME", "ROLE", "KIND", "VERSION", "SIZE", "GRANTED", "CALLS", "TIME", "MEMORY", "STOPPED", "EGRESS",
        "STATE", "HANDLES",
    ]);
    for plugin in plugins {
        let egress = egress(&plugin);
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
            shown(plugin.calls, |calls| calls.to_string()),
            shown(plugin.busy_us, |us| format!("{:.1} s", us as f64 / 1e6)),
            shown(plugin.memory_peak_bytes, output::size),
            plugin.breaches.as_ref().map(stopped).unwrap_or_default(),
            egress,
            state,
            plugin.file_types.join(" "),
        ]);
    }
    table
}

/// A figure that administrators are told.
fn shown(figure: Option<u64>, show: impl FnOnce(u64) -> String) -> String {
    figure.map_or_else(|| "-".into(), show)
}

/// Requests and bytes both ways, by origin.
fn egress(plugin: &PluginRecord) -> String {
    let traffic = plugin.egress.iter().flatten().map(|traffic| {
        let bytes = output::size(traffic.sent_bytes + traffic.received_bytes);
        format!("{}: {}, {bytes}", traffic.origin, output::count(traffic.requests as usize, "request"))
    });
    let refused =
        plugin.egress_refused.filter(|refused| *refused > 0).map(|refused| format!("{refused} refused"));
    traffic.chain(refused).collect::<Vec<_>>().join("; ")
}
