//! Keeps a collection in step with folders.
//!
//! Invariant: a document is deleted only where its file is surely gone; what can't be looked at stays.

mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::Duration;

use self::seen::{Seen, Stamp, away, is_empty, is_gone};
use super::failure::Failure;
use super::remote::Remote;
use super::upload::{Found, Job, Labels, Uploaded, find, is_missing, send_all};
use super::{Outcome, Result, output};
use crate::client::{Client, DocumentFilter, Error};

/// How long a daemon that is away is given before it is asked again.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folders, and files and globs as for `upload`
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<String>,
    /// Also delete documents whose files are gone
    #[arg(long)]
    delete: bool,
    /// Between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// Bring the collection up to date and end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    labels: Labels,
    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// What `upload --watch` means.
    pub fn of_upload(paths: Vec<String>, labels: Labels, remote: Remote) -> Self {
        Self { paths, delete: false, interval: 2, once: false, labels, remote }
    }
}

pub(super) async fn run(args: Args) -> Result {
    if let Some(path) = args.paths.iter().find(|path| is_missing(path)) {
        return Err(Failure::new(format!("{path}: no such file or directory")).into());
    }
    let client = args.remote.client()?;
    let fields = args.labels.fields();
    let job = Job { client: client.clone(), fields, wait: true, replace: true, jobs: 4, quiet: false };
    let roots = args.paths.iter().map(PathBuf::from).filter(|path| path.is_dir()).collect();
    let mut watch = Watch { args, client, job, roots, seen: Seen::default(), away: BTreeSet::new() };
    let is_whole = watch.forget_what_went().await?;
    let mut first = true;
    loop {
        let all_well = is_whole & watch.look(first).await?;
        if watch.args.once {
            return Ok(Outcome::of(all_well));
        }
        if first {
            eprintln!("watching; end with Ctrl-C");
        }
        first = false;
        tokio::time::sleep(Duration::from_secs(watch.args.interval)).await;
    }
}

struct Watch {
    args: Args,
    client: Client,
    job: Job,
    /// The folders, as they were named.
    roots: Vec<PathBuf>,
    seen: Seen,
    /// Folders that were told to be away.
    away: BTreeSet<PathBuf>,
}

impl Watch {
    /// Sends what changed and deletes what went; whether all of it succeeded.
    async fn look(&mut self, first: bool) -> anyhow::Result<bool> {
        let found = files(&self.args.paths, self.args.labels.hidden);
        let mut all_well = found.unreadable.is_empty();
        for (path, reason) in found.unreadable.iter().filter(|_| first) {
            eprintln!("failed   {}: {reason}", shown(path));
        }
        let due = self.seen.due(stamps(found.files), first);
        if !due.is_empty() {
            let paths = due.iter().map(|(path, _)| path.clone()).collect();
            let sent = self.patiently(async |watch| send_all(&watch.job, &paths).await).await?;
            all_well &= !sent.iter().any(Uploaded::has_failed);
            // One that was refused is not sent again before it changes.
            self.seen.sent.extend(due);
        }
        self.forget_what_goes().await?;
        Ok(all_well)
    }

    /// Deletes documents whose files went since the last look, but not with a folder that is away.
    async fn forget_what_goes(&mut self) -> anyhow::Result<()> {
        let mut missing = BTreeSet::new();
        for (path, sent) in self.seen.gone() {
            if let Some(folder) = away(&path, &sent, &self.roots) {
                missing.insert(folder);
                continue;
            }
            if let Some(origin) = sent.origin.filter(|_| self.args.delete) {
                self.delete(&path, origin).await?;
            }
            self.seen.sent.remove(&path);
        }
        for folder in missing.difference(&self.away).filter(|_| self.args.delete) {
            eprintln!("{} is away: documents from there stay", shown(folder));
        }
        self.away = missing;
        Ok(())
    }

    /// Again and again while no daemon is there.
    async fn patiently<T>(&self, work: impl AsyncFn(&Self) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut was_told = false;
        loop {
            match work(self).await {
                Err(error) if !self.args.once && is_away(&error) => {
                    if !was_told {
                        eprintln!("{error}: waiting for it");
                    }
                    was_told = true;
                    tokio::time::sleep(PATIENCE).await;
                }
                done => return done,
            }
        }
    }

    /// Deletes the documents that came from a file.
    async fn delete(&self, path: &Path, origin: String) -> anyhow::Result<()> {
        let filter = DocumentFilter { path: Some(origin), ..self.all() };
        self.patiently(async |watch| {
            for document in watch.client.documents(&filter).await? {
                watch.client.delete_document(&document.document_id).await?;
                output::line(&format!("deleted  {}  {}", document.document_id, shown(path)))?;
            }
            Ok(())
        })
        .await
    }

    /// Files that went while nobody watched: documents from below the folders that have no file any more. Whether all of them
    /// could be told from those of a drive that is not mounted, whose place is an empty folder.
    async fn forget_what_went(&self) -> anyhow::Result<bool> {
        if !self.args.delete {
            return Ok(true);
        }
        let real = |root: &PathBuf| std::fs::canonicalize(root).ok();
        let folders: Vec<PathBuf> = self.roots.iter().filter_map(real).collect();
        let filter = self.all();
        let documents = self.patiently(async |watch| Ok(watch.client.documents(&filter).await?)).await?;
        let mut empty = BTreeSet::new();
        for origin in documents.into_iter().filter_map(|document| document.path) {
            let path = Path::new(&origin);
            let mut above = folders.iter().filter(|folder| path.starts_with(folder)).peekable();
            if above.peek().is_none() || !is_gone(path) {
                continue;
            }
            match above.find(|folder| is_empty(folder)) {
                Some(folder) => drop(empty.insert(folder.clone())),
                None => self.delete(path, origin.clone()).await?,
            }
        }
        for folder in &empty {
            eprintln!("{} is empty, as if not mounted: documents from there stay", shown(folder));
        }
        Ok(empty.is_empty())
    }

    /// All documents of the collection.
    fn all(&self) -> DocumentFilter {
        let collection = self.args.labels.collection.clone().or_else(|| Some("default".into()));
        DocumentFilter { collection, ..Default::default() }
    }
}

fn is_away(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Error>(), Some(Error::NoDaemon(_) | Error::Broken { .. }))
}

/// The files that are there now. A path that is away hides no other.
fn files(paths: &[String], hidden: bool) -> Found {
    let mut all = Found::default();
    for found in paths.iter().filter_map(|path| find(slice::from_ref(path), hidden).ok()) {
        all.files.extend(found.files);
        all.unreadable.extend(found.unreadable);
    }
    all
}

/// What can't be read is looked at again later.
fn stamps(files: BTreeSet<PathBuf>) -> BTreeMap<PathBuf, Stamp> {
    let stamp = |path: PathBuf| {
        let metadata = path.metadata().ok()?;
        Some((path, (metadata.modified().ok(), metadata.len(), metadata.ino())))
    };
    files.into_iter().filter_map(stamp).collect()
}

fn shown(path: &Path) -> String {
    output::one_line(&path.display().to_string())
}
