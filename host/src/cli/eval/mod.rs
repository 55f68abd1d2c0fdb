//! Measures retrieval: on sets with ground truth, each in a data directory of its own, or on the user's collection.

mod answers;
mod judged;
mod own;
mod questions;
mod report;
mod set;

use std::path::PathBuf;

use anyhow::bail;

use self::judged::{Measured, Variant};
use super::remote::Remote;
use super::{Outcome, Result};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["sets", "questions"]))]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// A retrieval set: corpus.jsonl.gz, queries.jsonl.gz, qrels.tsv.gz
    #[arg(value_name = "DIR")]
    sets: Vec<PathBuf>,
    /// Questions with the documents that answer them, to be asked of a running daemon
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
    /// Ask the questions of this data directory instead, while no daemon uses it
    #[arg(long, value_name = "DIR", requires = "questions", conflicts_with = "sets")]
    data_dir: Option<PathBuf>,
    /// Ask the questions of this collection
    #[arg(long, value_name = "NAME", requires = "questions", conflicts_with = "sets")]
    collection: Option<String>,
    /// Also measure these weights of the vector side, and rrf: 0,0.1,0.2
    #[arg(long, value_name = "WEIGHTS", value_delimiter = ',', value_parser = weight)]
    alphas: Vec<f32>,
    /// The config file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Measure answers on sets that have them
    Answers(answers::Args),
}

/// A weight on the command line.
fn weight(text: &str) -> std::result::Result<f32, String> {
    match text.trim().parse() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => Ok(weight),
        _ => Err("expected weights from 0 (keywords only) to 1 (vectors only), such as 0,0.3,1".into()),
    }
}

pub(super) fn run(args: Args) -> Result {
    if let Some(Other::Answers(args)) = &args.other {
        return answers::run(args);
    }
    let variants = Variant::all(&args.alphas);
    let mut measured = Vec::new();
    for set in &args.sets {
        measured.extend(set::measure(set, args.config.clone(), &variants)?);
    }
    if let Some(file) = &args.questions {
        measured.extend(own::measure(file, &args, &variants)?);
    }
    if args.json {
        super::output::json(&measured)?;
    } else {
        report::table(&measured).print()?;
    }
    if measured.iter().all(|row: &Measured| row.queries == 0) {
        bail!("no question could be judged");
    }
    Ok(Outcome::Done)
}
