mod find;
mod send;

use std::path::Path;

use serde::Serialize;

use super::output;
use super::remote::Remote;
use super::search::json_object;
use super::watch;
use super::{Outcome, Result};
use crate::client::UploadFields;
use crate::types::JsonMap;
use crate::wire::UploadItem;
pub(super) use find::{Found, find, is_missing};
pub(super) use send::{Job, all as send_all};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, folders and globs such as 'docs/**/*.pdf'
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    labels: Labels,
    /// Keep earlier versions of a file from the same place beside the new one
    #[arg(long)]
    keep_versions: bool,
    /// Wait until each document is ready or failed [default]
    #[arg(long, conflicts_with = "no_wait")]
    wait: bool,
    /// Go on with what changes, see `smartrag watch`
    #[arg(long, conflicts_with_all = ["no_wait", "json", "keep_versions"])]
    watch: bool,
    /// Return once the daemon has the files
    #[arg(long)]
    no_wait: bool,
    /// Files under way at once
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What belongs to every file, and which files of folders are meant.
#[derive(Debug, clap::Args)]
pub(super) struct Labels {
    /// Tag for filters; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Data for filters, as JSON: '{"author": "Ada"}'
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    metadata: Option<JsonMap>,
    /// Into this collection
    #[arg(long)]
    pub collection: Option<String>,
    /// Also hidden files of folders
    #[arg(long)]
    pub hidden: bool,
}

impl Labels {
    pub fn fields(&self) -> UploadFields {
        UploadFields {
            tags: self.tags.clone(),
            metadata: self.metadata.clone().unwrap_or_default(),
            collection: self.collection.clone(),
        }
    }
}

/// What became of a file.
#[derive(Debug, Serialize)]
pub(super) struct Uploaded {
    path: String,
    #[serde(flatten)]
    item: UploadItem,
}

/// For `--json`.
#[derive(Serialize)]
struct Report {
    items: Vec<Uploaded>,
    skipped: Vec<Skipped>,
}

#[derive(Serialize)]
struct Skipped {
    path: String,
    reason: String,
}

pub(super) async fn run(args: Args) -> Result {
    let found = find(&args.paths, args.labels.hidden)?;
    for (path, reason) in &found.skipped {
        eprintln!("skipped  {}: {reason}", shown(path));
    }
    for (path, reason) in &found.unreadable {
        eprintln!("failed   {}: {reason}", shown(path));
    }
    if args.watch {
        return watch::run(watch::Args::of_upload(args.paths, args.labels, args.remote)).await;
    }
    let job = Job {
        client: args.remote.client()?,
        fields: args.labels.fields(),
        wait: !args.no_wait,
        replace: !args.keep_versions,
        jobs: args.jobs as usize,
        quiet: args.json,
    };
    let items = send_all(&job, &found.files).await?;
    let succeeded = found.unreadable.is_empty() && !items.iter().any(Uploaded::has_failed);
    eprintln!("{}", summary(&items, &found));
    if args.json {
        output::json(&report(items, &found))?;
    }
    Ok(Outcome::of(succeeded))
}

impl Uploaded {
    pub fn has_failed(&self) -> bool {
        matches!(self.item.status.as_str(), "failed" | "rejected")
    }

    /// `ready  0190…  docs/a.pdf`, or why not.
    fn line(&self) -> String {
        let id = self.item.document_id.as_deref().unwrap_or("-");
        let mut line = format!("{:<8} {id:<36}  {}", self.item.status, self.path);
        if self.item.duplicate {
            line.push_str(" (was there already)");
        }
        if self.has_failed() {
            let code = self.item.code.as_deref().unwrap_or("failed");
            let detail = self.item.detail.as_deref().unwrap_or("no reason given");
            line.push_str(&format!(": {} ({code})", output::one_line(detail)));
        }
        line
    }
}

fn summary(items: &[Uploaded], found: &Found) -> String {
    let failed = items.iter().filter(|item| item.has_failed()).count() + found.unreadable.len();
    let ready = items.iter().filter(|item| item.item.status == "ready").count();
    let known = items.iter().filter(|item| item.item.duplicate).count();
    let mut parts = vec![output::count(items.len() + found.unreadable.len(), "file")];
    let rest = [
        (ready, "ready"),
        (items.len() + found.unreadable.len() - ready - failed, "queued"),
        (failed, "failed"),
        (found.skipped.len(), "skipped"),
    ];
    parts.extend(rest.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    let told = parts.join(", ");
    match known {
        0 => told,
        known => format!("{told}; {known} of them there already"),
    }
}

fn report(items: Vec<Uploaded>, found: &Found) -> Report {
    let skipped = found.skipped.iter().map(|(path, reason)| (path, (*reason).to_owned()));
    let unreadable = found.unreadable.iter().map(|(path, reason)| (path, reason.clone()));
    let skipped = skipped.chain(unreadable).map(|(path, reason)| Skipped { path: shown(path), reason });
    Report { items, skipped: skipped.collect() }
}

fn shown(path: &Path) -> String {
    output::one_line(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uploaded(status: &str, duplicate: bool) -> Uploaded {
        let failed = status == "rejected";
        Uploaded {
            path: "a.pdf".into(),
            item: UploadItem {
                document_id: (!failed).then(|| "0190".into()),
                filename: "a.pdf".into(),
                status: status.into(),
                duplicate,
                code: failed.then(|| "empty".into()),
                detail: failed.then(|| "the file has\nno bytes".into()),
            },
        }
    }

    #[test]
    fn a_line_tells_what_became_of_the_file() {
        assert_eq!(
            uploaded("ready", true).line(),
            "ready    0190                                  a.pdf (was there already)"
        );
        assert!(uploaded("rejected", false).line().ends_with("a.pdf: the file has no bytes (empty)"));
    }

    #[test]
    fn the_summary_counts_only_what_there_is() {
        let items = [uploaded("ready", true), uploaded("ready", false), uploaded("rejected", false)];
        let mut found = Found::default();
        assert_eq!(summary(&items[..1], &found), "1 file, 1 ready; 1 of them there already");
        found.skipped.push(("x".into(), "hidden"));
        assert_eq!(summary(&items, &found), "3 files, 2 ready, 1 failed, 1 skipped; 1 of them there already");
        assert_eq!(summary(&[uploaded("queued", false)], &Found::default()), "1 file, 1 queued");
    }
}
