//! Keeps a collection in step with folders.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::remote::Remote;
use super::search::json_object;
use super::upload::{Job, Uploaded, find, send_all};
use super::{Outcome, Result, output};
use crate::client::{Client, DocumentFilter, Error, UploadFields};
use crate::types::JsonMap;

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
    /// Tag for filters; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Data for filters, as JSON: '{"author": "Ada"}'
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    metadata: Option<JsonMap>,
    /// Keep this collection
    #[arg(long)]
    collection: Option<String>,
    /// Also hidden files of folders
    #[arg(long)]
    hidden: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// What `upload --watch` means.
    pub fn of_upload(paths: Vec<String>, fields: UploadFields, hidden: bool, remote: Remote) -> Self {
        let UploadFields { tags, metadata, collection } = fields;
        let metadata = Some(metadata);
        Self { paths, delete: false, interval: 2, once: false, tags, metadata, collection, hidden, remote }
    }
}

/// Tells one state of a file from another.
type Stamp = (Option<SystemTime>, u64, u64);

/// What was seen of each file, and what the daemon has of it.
#[derive(Default)]
struct Seen {
    /// At the last look.
    stamps: BTreeMap<PathBuf, Stamp>,
    /// As it was sent.
    sent: BTreeMap<PathBuf, Stamp>,
}

impl Seen {
    /// Files that have changed since they were sent, and stand still since the last look; at the first look all.
    fn due(&mut self, now: BTreeMap<PathBuf, Stamp>, first: bool) -> Vec<PathBuf> {
        let is_due = |(path, stamp): &(&PathBuf, &Stamp)| {
            let is_still = first || self.stamps.get(*path) == Some(*stamp);
            is_still && self.sent.get(*path) != Some(*stamp)
        };
        let due = now.iter().filter(is_due).map(|(path, _)| path.clone()).collect();
        self.stamps = now;
        due
    }

    /// Files that were sent and are gone.
    fn gone(&self) -> Vec<PathBuf> {
        self.sent.keys().filter(|path| !self.stamps.contains_key(*path)).cloned().collect()
    }
}

pub(super) async fn run(args: Args) -> Result {
    let client = args.remote.client()?;
    let fields = UploadFields {
        tags: args.tags.clone(),
        metadata: args.metadata.clone().unwrap_or_default(),
        collection: args.collection.clone(),
    };
    let job = Job { client: client.clone(), fields, wait: true, replace: true, jobs: 4, quiet: false };
    let mut watch = Watch { args, client, job, seen: Seen::default() };
    watch.forget_what_went().await?;
    let mut first = true;
    loop {
        let all_well = watch.look(first).await?;
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
    seen: Seen,
}

impl Watch {
    /// Sends what changed and deletes what went; whether all of it succeeded.
    async fn look(&mut self, first: bool) -> anyhow::Result<bool> {
        let due = self.seen.due(stamps(&self.args.paths, self.args.hidden), first);
        let mut all_well = true;
        if !due.is_empty() {
            let sent =
                self.patiently(async |watch| send_all(&watch.job, &due.iter().cloned().collect()).await);
            for (path, uploaded) in due.iter().zip(sorted(sent.await?)) {
                all_well &= !uploaded.has_failed();
                // One that was refused is not sent again before it changes.
                if let Some(stamp) = self.seen.stamps.get(path) {
                    self.seen.sent.insert(path.clone(), *stamp);
                }
            }
        }
        for path in self.seen.gone() {
            if self.args.delete {
                self.delete(&path).await?;
            }
            self.seen.sent.remove(&path);
        }
        Ok(all_well)
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
    async fn delete(&self, path: &Path) -> anyhow::Result<()> {
        let Some(origin) = origin(path) else { return Ok(()) };
        let filter = DocumentFilter {
            collection: self.args.collection.clone().or_else(|| Some("default".into())),
            path: Some(origin),
            ..Default::default()
        };
        self.patiently(async |watch| {
            for document in watch.client.documents(&filter).await? {
                watch.client.delete_document(&document.document_id).await?;
                output::line(&format!("deleted  {}  {}", document.document_id, shown(path)))?;
            }
            Ok(())
        })
        .await
    }

    /// Files that went while nobody watched: documents from below the folders that have no file any more.
    async fn forget_what_went(&self) -> anyhow::Result<()> {
        if !self.args.delete {
            return Ok(());
        }
        let folders: Vec<PathBuf> = self.args.paths.iter().filter_map(|path| path_of(path)).collect();
        let collection = self.args.collection.clone().or_else(|| Some("default".into()));
        let filter = DocumentFilter { collection, ..Default::default() };
        let documents = self.patiently(async |watch| Ok(watch.client.documents(&filter).await?)).await?;
        let paths = documents.into_iter().filter_map(|document| document.path);
        let gone = paths.filter(|path| {
            let path = Path::new(path);
            folders.iter().any(|folder| path.starts_with(folder)) && !path.exists()
        });
        for path in gone {
            self.delete(Path::new(&path)).await?;
        }
        Ok(())
    }
}

fn is_away(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Error>(), Some(Error::NoDaemon(_) | Error::Broken { .. }))
}

/// Uploads in the order of their paths.
fn sorted(mut uploads: Vec<Uploaded>) -> Vec<Uploaded> {
    uploads.sort_by(|a, b| a.file.cmp(&b.file));
    uploads
}

/// A folder as paths of documents begin.
fn path_of(text: &str) -> Option<PathBuf> {
    Path::new(text).is_dir().then(|| std::fs::canonicalize(text).ok()).flatten()
}

/// The path that was sent for a file that is gone: its folder is still there, or never was a real place.
fn origin(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    folder.join(path.file_name()?).into_os_string().into_string().ok()
}

/// The files that are there now. What can't be read is looked at again later.
fn stamps(paths: &[String], hidden: bool) -> BTreeMap<PathBuf, Stamp> {
    let found = find(paths, hidden).map(|found| found.files).unwrap_or_default();
    let stamp = |path: PathBuf| {
        let metadata = path.metadata().ok()?;
        Some((path, (metadata.modified().ok(), metadata.len(), metadata.ino())))
    };
    found.into_iter().filter_map(stamp).collect()
}

fn shown(path: &Path) -> String {
    output::one_line(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(files: &[(&str, u64)]) -> BTreeMap<PathBuf, Stamp> {
        files.iter().map(|(path, size)| (PathBuf::from(path), (None, *size, 0))).collect()
    }

    #[test]
    fn a_file_is_sent_once_it_stands_still() {
        let mut seen = Seen::default();
        let first = seen.due(look(&[("a", 1)]), true);
        assert_eq!(first, [PathBuf::from("a")]);
        seen.sent = seen.stamps.clone();
        assert!(seen.due(look(&[("a", 1)]), false).is_empty());
        assert!(seen.due(look(&[("a", 2), ("b", 1)]), false).is_empty(), "still written");
        assert_eq!(seen.due(look(&[("a", 3), ("b", 1)]), false), [PathBuf::from("b")]);
        assert_eq!(seen.due(look(&[("a", 3)]), false), [PathBuf::from("a")]);
        assert!(seen.gone().is_empty());
        seen.due(look(&[]), false);
        assert_eq!(seen.gone(), [PathBuf::from("a")]);
    }
}
