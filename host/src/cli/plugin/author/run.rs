use std::path::{Path, PathBuf};

use super::call;
use super::input::{self, Input};
use super::subject::{self, Setup, Subject};
use super::told;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::{Outcome, Result};
use crate::types::Role;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Directory of the plugin [default: the current one], then the input: for a parser a file; for the others text,
    /// or @FILE with text or, named .json, all that the role takes
    #[arg(value_names = ["DIR", "INPUT"], num_args = 1..=2, required = true)]
    words: Vec<String>,
    /// An installed plugin instead of a directory
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A passage, for rerankers and generators; once for each
    #[arg(long = "passage", value_name = "TEXT")]
    passages: Vec<String>,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    setup: Setup,
}

pub(in crate::cli) fn run(args: Args) -> Result {
    let (subject, word) = match (&args.name, args.words.as_slice()) {
        (Some(name), [word]) => (subject::open_installed(name, &args.setup)?, word),
        (Some(_), _) => {
            return Err(Failure::new("--name and a directory are too much: name the plugin once").into());
        }
        (None, [dir, word]) => (subject::open_ready(Path::new(dir), &args.setup)?, word),
        (None, [word]) => (subject::open_ready(Path::new("."), &args.setup)?, word),
        (None, _) => return Err(Failure::new("name a directory and an input").into()),
    };
    let input = read(&subject, word, &args.passages)?;
    match call::call(&subject.plugins, subject.name(), &input) {
        Ok(value) if args.json => output::json(&value)?,
        Ok(value) => output::print(&told::readable(&input, &value))?,
        Err(error) if args.json => {
            output::json(&call::error_json(&error))?;
            return Ok(Outcome::Failed);
        }
        Err(error) => {
            return Err(Failure::new(format!(
                "{}: {} [{}]",
                subject.name(),
                error.message,
                error.kind.code()
            ))
            .into());
        }
    }
    Ok(Outcome::Done)
}

fn read(subject: &Subject, word: &str, passages: &[String]) -> anyhow::Result<Input> {
    let role = subject.info.role;
    let file = match role {
        Role::Parser => Some(word.strip_prefix('@').unwrap_or(word)),
        _ => word.strip_prefix('@'),
    };
    match file {
        Some(file) => input::of_file(&PathBuf::from(file), &subject.info),
        None => Ok(input::of_text(role, word, passages)?),
    }
}
