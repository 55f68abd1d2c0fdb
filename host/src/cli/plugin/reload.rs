use crate::cli::output;
use crate::cli::upkeep::Ours;
use crate::cli::{Outcome, Result, wait_for};

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
    let report = wait_for(async { Ok(client.reload_plugins().await?) })?;
    if args.json {
        output::json(&report)?;
    } else {
        for (what, names) in [("loaded", &report.loaded), ("removed", &report.removed)] {
            names.iter().for_each(|name| println!("{what} {name}"));
        }
        println!("{} unchanged", report.unchanged.len());
        report.refused.iter().for_each(|(name, reason)| eprintln!("refused {name}: {reason}"));
    }
    Ok(Outcome::of(report.refused.is_empty()))
}
