use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;

use super::{Cli, Outcome, Result, output};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write a page for each command here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result {
    match args.out {
        Some(dir) => {
            let wrong = || format!("{}: no manual pages can be written here", dir.display());
            std::fs::create_dir_all(&dir).with_context(wrong)?;
            clap_mangen::generate_to(Cli::command(), &dir).with_context(wrong)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            output::print(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(Outcome::Done)
}
