//! Golden files: `golden/NAME.in.EXT` goes in, `golden/NAME.expected.json` must come out.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::subject::{self, Setup, Subject};
use super::{call, diff, input};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::{Outcome, Result};

const DIFFERENCES_MAX: usize = 20;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The plugin's project: its golden files are in DIR/golden
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Accept what the plugin makes of them now
    #[arg(long)]
    bless: bool,
    #[command(flatten)]
    setup: Setup,
}

/// One golden file.
pub struct Case {
    /// Without its endings.
    pub name: String,
    /// What goes in.
    pub input: PathBuf,
    expected: PathBuf,
}

pub(in crate::cli) fn run(args: Args) -> Result {
    let folder = args.dir.join("golden");
    let cases = cases(&folder);
    if cases.is_empty() {
        return Err(Failure::new(format!("there is no golden file in {}", folder.display()))
            .hint("put NAME.in.EXT there, then `smartrag plugin test --bless`")
            .into());
    }
    let subject = subject::open_ready(&args.dir, &args.setup)?;
    let mut failed = 0;
    for case in &cases {
        let problems = if args.bless { bless(&subject, case)? } else { compare(&subject, case)? };
        output::line(&format!("{:<8}{}", word(&problems, args.bless), case.name))?;
        failed += usize::from(!problems.is_empty());
        problems
            .iter()
            .take(DIFFERENCES_MAX)
            .try_for_each(|problem| output::line(&format!("        {problem}")))?;
        if problems.len() > DIFFERENCES_MAX {
            output::line(&format!("        and {} more", problems.len() - DIFFERENCES_MAX))?;
        }
    }
    if failed > 0 {
        eprintln!(
            "{failed} of {} differ; `--bless` accepts what they are now",
            output::count(cases.len(), "file")
        );
    }
    Ok(Outcome::of(failed == 0))
}

fn word(problems: &[String], bless: bool) -> &'static str {
    match (problems.is_empty(), bless) {
        (true, true) => "written",
        (true, false) => "ok",
        (false, _) => "failed",
    }
}

/// The golden files of a folder, by name.
pub fn cases(folder: &Path) -> Vec<Case> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut cases: Vec<Case> = entries.filter_map(|entry| case(folder, entry.path())).collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn case(folder: &Path, input: PathBuf) -> Option<Case> {
    let (name, _) = input.file_name()?.to_str()?.rsplit_once(".in.")?;
    let expected = folder.join(format!("{name}.expected.json"));
    Some(Case { name: name.to_owned(), input, expected })
}

fn outcome(subject: &Subject, case: &Case) -> anyhow::Result<Value> {
    let input = input::of_file(&case.input, &subject.info)?;
    let outcome = call::call(&subject.plugins, subject.name(), &input);
    Ok(outcome.unwrap_or_else(|error| call::error_json(&error)))
}

fn bless(subject: &Subject, case: &Case) -> anyhow::Result<Vec<String>> {
    let text = serde_json::to_string_pretty(&outcome(subject, case)?)? + "\n";
    let unwritable = |error| Failure::new(format!("{}: {error}", case.expected.display()));
    std::fs::write(&case.expected, text).map_err(unwritable)?;
    Ok(Vec::new())
}

fn compare(subject: &Subject, case: &Case) -> anyhow::Result<Vec<String>> {
    let text = match std::fs::read_to_string(&case.expected) {
        Ok(text) => text,
        Err(error) => {
            return Ok(vec![format!("{}: {error}; `--bless` writes it", case.expected.display())]);
        }
    };
    let expected: Value = match serde_json::from_str(&text) {
        Ok(expected) => expected,
        Err(error) => return Ok(vec![format!("{}: {error}", case.expected.display())]),
    };
    Ok(diff::differences(&expected, &outcome(subject, case)?))
}
