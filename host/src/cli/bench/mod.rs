//! Measures the product as its users meet it: a daemon of its own over HTTP, and plugin calls in process.

mod answer;
mod corpus;
mod curve;
mod daemon;
mod lists;
mod native;
mod plugins;
mod reopen;
mod run;
mod search;
mod svg;
mod vectors;

use std::path::PathBuf;

use serde::Serialize;

use super::output::Table;
use super::{Outcome, Result};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// Documents to take in
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    documents: usize,
    /// Take the texts of a retrieval set instead of made-up ones
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Searches and single uploads to time
    #[arg(long, value_name = "N", default_value_t = 500)]
    requests: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Part {
    /// Calls into plugins only, beside the same with nothing but wasmtime
    Plugins(PluginArgs),
    /// Answers: what is added to the time of a model's server, many streams at once, and answers without a model
    Answer(answer::Args),
    /// Ingestion and search over HTTP with a large corpus, restarts included
    Search(search::Args),
    /// Long lists, page by page
    Lists(lists::Args),
    /// Graphs of vector search: recall against time, and what building costs
    Vectors(VectorArgs),
    /// Opens an index that `bench vectors` wrote
    #[command(hide = true)]
    Reopen(reopen::Args),
}

#[derive(Debug, clap::Args)]
struct VectorArgs {
    /// Retrieval sets; their sentences are embedded
    #[arg(long, value_name = "DIR", num_args = 1.., required_unless_present = "clusters")]
    corpus: Vec<PathBuf>,
    /// Made-up vectors in so many clusters instead
    #[arg(long, value_name = "N", conflicts_with = "corpus")]
    clusters: Option<usize>,
    /// Vectors to search, with mixtures of real ones when there are fewer sentences
    #[arg(long = "synthetic", value_name = "N", default_value_t = 100_000)]
    rows: usize,
    /// Threads that build
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
    /// A Python that runs scripts/bench-peers.py: adds hnswlib over the same vectors
    #[arg(long, value_name = "PYTHON")]
    peers: Option<PathBuf>,
    /// Draw the curves
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct PluginArgs {
    /// The program `native-peers` of this release: adds what the same work costs without WebAssembly
    #[arg(long, value_name = "PROGRAM")]
    native: Option<PathBuf>,
    /// The PDF that both parse
    #[arg(long, value_name = "FILE", requires = "native")]
    pdf: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// What we aim at on a machine with two cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<&'static str>,
}

impl Figure {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, goal: None }
    }

    fn goal(self, goal: &'static str) -> Self {
        Self { goal: Some(goal), ..self }
    }
}

pub(super) async fn run(args: Args) -> Result {
    if cfg!(debug_assertions) {
        eprintln!("warning: this is a debug build; its figures say nothing");
    }
    match args.part {
        Some(Part::Plugins(args)) => {
            let json = args.json;
            return show(tokio::task::spawn_blocking(move || plugins::costs(&args)).await??, json);
        }
        Some(Part::Answer(args)) => return show(answer::run(&args).await?, args.json),
        Some(Part::Search(args)) => return show(search::run(&args).await?, args.json),
        Some(Part::Lists(args)) => return show(lists::run(&args).await?, args.json),
        Some(Part::Vectors(args)) => return tokio::task::spawn_blocking(move || vectors::run(&args)).await?,
        Some(Part::Reopen(args)) => return tokio::task::spawn_blocking(move || reopen::run(&args)).await?,
        None => {}
    }
    let mut figures = run::run(&args).await?;
    figures.extend(tokio::task::spawn_blocking(plugins::run).await??);
    show(figures, args.json)
}

fn show(figures: Vec<Figure>, json: bool) -> Result {
    if json {
        super::output::json(&figures)?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(["figure", "value", "unit", "goal"]);
    for figure in figures {
        let goal = figure.goal.unwrap_or_default().to_owned();
        table.row([figure.name, rounded(figure.value), figure.unit.to_owned(), goal]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

/// Three significant digits are all that a noisy machine gives.
fn rounded(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The value below which `share` of `sorted` lies.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_short_list() {
        let sorted = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(
            (quantile(&sorted, 0.5), quantile(&sorted, 0.99), quantile(&sorted, 0.0)),
            (3.0, 5.0, 1.0)
        );
        assert!(quantile(&[], 0.5).is_nan());
    }
}
