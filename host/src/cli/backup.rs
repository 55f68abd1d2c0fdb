use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::failure::{Failure, exists};
use super::output::{self, Table};
use super::upkeep::{Local, Target, Via, spinner};
use super::{Outcome, Result};
use crate::api::backup_record;
use crate::backup::{self, plugin_notes};
use crate::config::{self, Config, Loaded};
use crate::plugins;
use crate::store::{self, BackupStep, PluginNote, Surroundings, Verified};
use crate::wire::BackupRecord;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a backup of this moment; a running daemon goes on with its work
    Create(Create),
    /// List backups, newest first
    List(List),
    /// Compare every file of a backup with its hash, and the database with itself
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Those of this directory [default: the daemon's; where none runs, that of the config]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Its name, `latest`, or its directory
    #[arg(value_name = "BACKUP", default_value = "latest")]
    backup: String,
    /// Where backups are [default: that of the config]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    local: Local,
}

pub(super) fn run(command: Command) -> Result {
    match command {
        Command::Create(args) => create(&args),
        Command::List(args) => list(&args),
        Command::Verify(args) => verify(&args),
    }
}

fn create(args: &Create) -> Result {
    let record = match args.target.find()? {
        Via::Daemon(client) => {
            let spinner = spinner("the daemon makes a backup");
            let made = super::wait_for(async { Ok(client.backup().await?) });
            spinner.finish_and_clear();
            made?
        }
        Via::Directory { store, .. } => {
            let Loaded { config, file, .. } = args.target.loaded()?;
            let around = Surroundings {
                plugins: installed(&config),
                config: file.and_then(|file| std::fs::read(file).ok()),
            };
            let bar = Bar::new("copying the database");
            let made = backup::create(&store, &config.backup, &around, &mut |step| bar.tell(step));
            bar.end();
            backup_record(&made?)
        }
    };
    if args.json {
        output::json(&record)?
    } else {
        let BackupRecord { path, documents, bytes, .. } = &record;
        output::line(&format!("{path}: {documents} documents, {}", output::size(*bytes)))?
    }
    Ok(Outcome::Done)
}

fn list(args: &List) -> Result {
    let records = match (&args.dir, args.target.daemon()?) {
        (None, Some(client)) => super::wait_for(async { Ok(client.backups().await?) })?,
        (dir, _) => {
            let dir = match dir {
                Some(dir) => dir.clone(),
                None => args.target.loaded()?.config.backup.dir,
            };
            store::backups(&dir)?.iter().map(backup_record).collect()
        }
    };
    if args.json {
        output::json(&records)?
    } else {
        table(&records).print()?
    }
    Ok(Outcome::Done)
}

fn table(records: &[BackupRecord]) -> Table {
    let mut table = Table::new(["NAME", "DOCUMENTS", "SIZE", "TOOK", "VERIFIED", ""]);
    for one in records {
        let verified = one.verified_at.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
        table.row([
            one.name.clone(),
            one.documents.to_string(),
            output::size(one.bytes),
            format!("{:.1} s", one.took_ms as f64 / 1000.0),
            verified.unwrap_or_else(|| "no".into()),
            one.problem.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// What a verification prints for machines.
#[derive(Serialize)]
struct Report {
    path: PathBuf,
    ok: bool,
    problems: Vec<String>,
}

fn verify(args: &Verify) -> Result {
    let config = args.local.loaded()?.config;
    let path = find(&args.backup, args.dir.as_ref().unwrap_or(&config.backup.dir))?;
    let bar = Bar::new("reading the database");
    let verified = store::verify_backup(&path, &mut |step| bar.tell(step));
    bar.end();
    let Verified { manifest, problems } = verified?;
    let ok = problems.is_empty();
    if manifest.is_none() {
        let said = format!("{} can't be read as a backup: {}", path.display(), problems.join("; "));
        return Err(Failure::new(said).hint("`smartrag backup list` names those that are there").into());
    }
    if args.json {
        output::json(&Report { path, ok, problems })?;
    } else if let (Some(manifest), true) = (manifest, ok) {
        let (documents, size) = (manifest.counts.documents, output::size(manifest.bytes()));
        output::line(&format!("{} is in order: {documents} documents, {size}", path.display()))?;
    } else {
        let lines: String = problems.iter().map(|problem| format!("  {problem}\n")).collect();
        output::print(&format!("{} is damaged:\n{lines}", path.display()))?;
    }
    Ok(Outcome::of(ok))
}

/// The directory of the backup that somebody named.
pub(super) fn find(named: &str, dir: &Path) -> anyhow::Result<PathBuf> {
    let candidates = match named.contains('/') {
        true => vec![PathBuf::from(named)],
        false => vec![dir.join(named), PathBuf::from(named)],
    };
    let mut found = None;
    for path in &candidates {
        if exists(path)? && path.is_dir() {
            found = Some(path);
            break;
        }
    }
    // `latest` by its real name: another backup may be made meanwhile.
    match found.and_then(|path| path.canonicalize().ok()) {
        Some(path) => Ok(path),
        None => Err(Failure::new(format!("there is no backup {named:?} in {}", dir.display()))
            .hint("`smartrag backup list` names those that are there; --dir says where to look")
            .into()),
    }
}

/// What stands in the plugin directories of this machine.
pub(super) fn installed(config: &Config) -> Vec<PluginNote> {
    plugin_notes(plugins::installed(&config::places(config).plugin_dirs).into_iter())
}

/// Progress on a terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub fn new(message: &'static str) -> Self {
        Self(spinner(message))
    }

    /// Never ends the work: a signal does.
    pub fn tell(&self, step: BackupStep) -> bool {
        match step {
            BackupStep::Database(0) => {}
            BackupStep::Database(bytes) => {
                self.0.set_message(format!("copying the database: {}", output::size(bytes)))
            }
            BackupStep::Files(done, all) => {
                // A constant: the test of the command line would find it wrong.
                if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos}/{len}") {
                    self.0.set_style(style);
                }
                self.0.set_message("files");
                self.0.set_length(all);
                self.0.set_position(done);
            }
            BackupStep::Finish => self.0.set_message("writing to disk"),
        }
        true
    }

    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_backup_is_listed_with_its_problem() {
        let record = BackupRecord {
            name: "20261126T030000Z".into(),
            path: "/b/20261126T030000Z".into(),
            created_at: "2026-11-26T03:00:00Z".parse().unwrap(),
            took_ms: 1500,
            bytes: 2048,
            documents: 7,
            chunks: 9,
            sessions: 0,
            conversations: 0,
            smartrag: "0.1.0".into(),
            verified_at: Some("2026-11-26T04:00:00Z".parse().unwrap()),
            problem: None,
        };
        let bad = BackupRecord { verified_at: None, problem: Some("bad".into()), ..record.clone() };
        assert_eq!(
            table(&[record, bad]).render(),
            "NAME              DOCUMENTS  SIZE      TOOK   VERIFIED\n\
             20261126T030000Z  7          2.00 KiB  1.5 s  2026-11-26 04:00 UTC\n\
             20261126T030000Z  7          2.00 KiB  1.5 s  no                    bad\n"
        );
    }

    #[test]
    fn progress_is_shown_in_a_form_that_exists() {
        ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos}/{len}").unwrap();
    }
}
