use std::time::Instant;

use super::output;
use super::upkeep::{Target, Via, spinner};
use super::{Outcome, Result};
use crate::api::optimized;
use crate::store::OptimizeStep;
use crate::wire::OptimizeReport;
use crate::{ingest, wire};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: Args) -> Result {
    let report = match args.target.find()? {
        Via::Daemon(client) => {
            let spinner = spinner("the daemon gives room back");
            let report = super::wait_for(async { Ok(client.optimize().await?) });
            spinner.finish_and_clear();
            report?
        }
        Via::Directory { store, search } => {
            let (begun, spinner) = (Instant::now(), spinner("looking for what nothing needs"));
            let done = ingest::optimize(&store, &search, &mut |step| {
                if let OptimizeStep::Copy(bytes) = step {
                    spinner.set_message(format!("rewriting the database: {}", output::size(bytes)));
                }
            });
            spinner.finish_and_clear();
            optimized(&done?, begun)
        }
    };
    if args.json {
        output::json(&report)?
    } else {
        output::print(&told(&report))?
    }
    Ok(Outcome::Done)
}

fn told(report: &wire::OptimizeReport) -> String {
    let OptimizeReport { bytes_before, bytes_after, journal_lines, rows, files, .. } = report;
    let mut text = String::new();
    for (number, noun) in [(journal_lines, "note of deletions"), (rows, "row"), (files, "file")] {
        if *number > 0 {
            text.push_str(&format!("removed {number} × {noun}\n"));
        }
    }
    let (before, after) = (output::size(*bytes_before), output::size(*bytes_after));
    match bytes_before.saturating_sub(*bytes_after) {
        0 => text.push_str(&format!("{after}: there was nothing to give back\n")),
        gain => text.push_str(&format!("{before} before, {after} now: gave {} back\n", output::size(gain))),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_in_bytes() {
        let report = OptimizeReport { bytes_before: 4096, bytes_after: 1024, rows: 2, ..Default::default() };
        assert_eq!(told(&report), "removed 2 × row\n4.00 KiB before, 1.00 KiB now: gave 3.00 KiB back\n");
        assert_eq!(told(&OptimizeReport::default()), "0 B: there was nothing to give back\n");
    }
}
