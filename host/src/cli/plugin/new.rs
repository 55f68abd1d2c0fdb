use std::path::PathBuf;

use clap::builder::PossibleValuesParser;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::{Outcome, Result};
use crate::plugins::{self, Language};
use crate::types::Role;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Name of the plugin: lower-case letters, digits and hyphens
    name: String,
    /// What it does
    #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)))]
    role: String,
    /// Language it is written in
    #[arg(long, value_parser = PossibleValuesParser::new(Language::ALL.map(Language::as_str)), default_value = "rust")]
    lang: String,
    /// Where to write the project [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result {
    let role = Role::parse(&args.role).ok_or_else(|| Failure::new(format!("no role {:?}", args.role)))?;
    let language = Language::parse(&args.lang);
    let language = language.ok_or_else(|| Failure::new(format!("no language {:?}", args.lang)))?;
    let dir = args.dir.unwrap_or_else(|| PathBuf::from(&args.name));
    plugins::scaffold(role, language, &args.name, &dir)?;
    output::line(&format!("made {}, a plugin of role {role} in {language}; next:", dir.display()))?;
    output::line(&format!("  cd {}", dir.display()))?;
    tools(language).iter().try_for_each(|next| output::line(&format!("  {next}")))?;
    ["build", "check", "test"]
        .iter()
        .try_for_each(|next| output::line(&format!("  smartrag plugin {next}")))?;
    Ok(Outcome::Done)
}

/// How the tools of a language come to a project; Rust's are found or explained by `plugin build`.
fn tools(language: Language) -> &'static [&'static str] {
    match language {
        Language::Rust => &[],
        Language::Python => &["python3 -m venv .venv", ".venv/bin/pip install -r requirements.txt"],
        Language::JavaScript => &["npm install"],
    }
}
