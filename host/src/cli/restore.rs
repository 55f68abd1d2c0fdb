use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::backup::{Bar, find, installed};
use super::failure::Failure;
use super::output;
use super::upkeep::Local;
use super::{Outcome, Result};
use crate::backup::missing;
use crate::config;
use crate::search::forget_all;
use crate::store::{self, Error, Restored};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name, `latest`, or its directory
    #[arg(value_name = "BACKUP")]
    backup: String,
    /// Where backups are [default: that of the config]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Replace the documents, sessions and conversations that the data directory holds
    #[arg(long)]
    replace: bool,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    local: Local,
}

/// What a restore prints for machines.
#[derive(Serialize)]
struct Report {
    backup: PathBuf,
    data_dir: PathBuf,
    documents: u64,
    chunks: u64,
    files_copied: u64,
    missing: Vec<String>,
}

pub(super) fn run(args: Args) -> Result {
    let config = args.local.loaded()?.config;
    let backup = find(&args.backup, args.dir.as_ref().unwrap_or(&config.backup.dir))?;
    let indexes = config::places(&config).indexes_dir;
    let bar = Bar::new("verifying the backup");
    let forget = || forget_all(&indexes);
    let done = store::restore(&backup, &config.data_dir, args.replace, &forget, &mut |step| bar.tell(step));
    bar.end();
    let Restored { manifest, files_copied } = done.map_err(told)?;
    let report = Report {
        backup,
        data_dir: config.data_dir.clone(),
        documents: manifest.counts.documents,
        chunks: manifest.counts.chunks,
        files_copied,
        missing: missing(&manifest, &installed(&config)),
    };
    if args.json {
        output::json(&report)?;
    } else {
        let Report { documents, data_dir, .. } = &report;
        output::line(&format!("restored {documents} documents to {}", data_dir.display()))?;
        for line in report.missing.iter().chain(&foreign(&config.data_dir)) {
            eprintln!("warning: {line}");
        }
        eprintln!("the next start of the daemon builds the indexes anew; `/health` says when they stand");
    }
    Ok(Outcome::Done)
}

/// What was written belongs to whoever runs this, which may not be the daemon's user.
fn foreign(data_dir: &Path) -> Option<String> {
    let owner = std::fs::metadata(data_dir).ok()?.uid();
    let me = rustix::process::geteuid().as_raw();
    (owner != me).then(|| {
        format!(
            "{0} belongs to user {owner}, the restored files to you: chown -R {owner} {0}",
            data_dir.display()
        )
    })
}

fn told(error: Error) -> anyhow::Error {
    let hint = match &error {
        Error::Conflict(_) => "choose another directory with --data-dir, or --replace what is there",
        Error::Locked(_) => "stop the daemon first: a restore changes what it works on",
        Error::BadBackup(..) => "`smartrag backup list` names the others",
        _ => return error.into(),
    };
    Failure::new(error.to_string()).hint(hint).into()
}
