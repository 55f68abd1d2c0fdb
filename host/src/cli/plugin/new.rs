use std::path::PathBuf;

use clap::builder::PossibleValuesParser;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::{Outcome, Result};
use crate::plugins;
use crate::types::Role;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Name of the plugin: lower-case letters, digits and hyphens
    name: String,
    /// What it does
    #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)))]
    role: String,
    /// Language it is written in: rust
    #[arg(long, value_name = "LANG", default_value = "rust")]
    lang: String,
    /// Where to write the project [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result {
    check_language(&args.lang)?;
    let role = Role::parse(&args.role).ok_or_else(|| Failure::new(format!("no role {:?}", args.role)))?;
    let dir = args.dir.unwrap_or_else(|| PathBuf::from(&args.name));
    plugins::scaffold(role, &args.name, &dir)?;
    output::line(&format!("made {}, a plugin of role {role} in Rust; next:", dir.display()))?;
    output::line(&format!("  cd {}", dir.display()))?;
    ["build", "check", "test"]
        .iter()
        .try_for_each(|next| output::line(&format!("  smartrag plugin {next}")))?;
    Ok(Outcome::Done)
}

/// The interface can be built from other languages by hand; a template needs their tools in `plugin build`, too.
fn check_language(lang: &str) -> std::result::Result<(), Failure> {
    match lang {
        "rust" => Ok(()),
        "python" | "javascript" => Err(Failure::new(format!(
            "there is no template for {lang} yet: `plugin build` does not know its tools"
        ))
        .hint(
            "the interface in wit/0.1.0 works with componentize-py and componentize-js; or use --lang rust",
        )),
        _ => Err(Failure::new(format!("{lang:?} is no language of a template")).hint("use --lang rust")),
    }
}
