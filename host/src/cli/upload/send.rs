//! Sends files side by side, with a progress bar.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Uploaded, shown};
use crate::cli::output;
use crate::client::{Client, Error, FileUpload, UploadFields};
use crate::wire::{Health, HealthAnswer, HealthStatus, UploadItem};

/// How often a full queue is asked again; with the daemon's own pauses in between.
const TRIES_MAX: u32 = 600;
const PAUSE: Duration = Duration::from_secs(1);
/// After so long a file is told to be waited for.
const LONG: Duration = Duration::from_secs(60);

/// What holds for all files.
pub(in crate::cli) struct Job {
    pub client: Client,
    pub fields: UploadFields,
    pub wait: bool,
    /// Whether a later version of a file takes the place of an earlier one.
    pub replace: bool,
    pub jobs: usize,
    /// No line a file.
    pub quiet: bool,
}

/// Sends all files; ends early only where no further file could succeed.
pub(in crate::cli) async fn all(job: &Job, files: &BTreeSet<PathBuf>) -> anyhow::Result<Vec<Uploaded>> {
    let bar = bar(files);
    let uploads = files.iter().map(|path| one(job, path, &bar));
    let result = futures_util::stream::iter(uploads)
        .buffer_unordered(job.jobs)
        .and_then(|uploaded| std::future::ready(tell(job, &bar, uploaded)))
        .try_collect()
        .await;
    bar.finish_and_clear();
    result
}

fn tell(job: &Job, bar: &ProgressBar, uploaded: Uploaded) -> anyhow::Result<Uploaded> {
    if !job.quiet {
        bar.suspend(|| output::line(&uploaded.line()))?;
    }
    Ok(uploaded)
}

async fn one(job: &Job, path: &Path, bar: &ProgressBar) -> anyhow::Result<Uploaded> {
    let filename = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    bar.set_message(output::excerpt(&filename, 40));
    let item = match patiently(job, path, &filename, bar).await {
        Ok(item) => item,
        Err(error @ (Error::NoDaemon(_) | Error::Foreign { .. } | Error::BadUrl(_))) => {
            return Err(error.into());
        }
        Err(error) if matches!(error.code(), Some("unauthenticated" | "forbidden")) => {
            return Err(error.into());
        }
        Err(error) => failed(filename, &error),
    };
    Ok(Uploaded { path: shown(path), item })
}

/// A full queue is no failure: it empties.
async fn patiently(job: &Job, path: &Path, filename: &str, bar: &ProgressBar) -> Result<UploadItem, Error> {
    // What is no text can't be told; then there are versions beside each other.
    let origin = std::fs::canonicalize(path).ok().filter(|_| job.replace);
    let origin = origin.and_then(|path| path.into_os_string().into_string().ok());
    let file = FileUpload { path: path.to_owned(), filename: filename.to_owned(), origin };
    let mut tries = 0;
    loop {
        let counted = bar.clone();
        let sent = job.client.upload(&file, &job.fields, job.wait, move |bytes| counted.inc(bytes));
        match told_when_long(job, filename, bar, sent).await {
            Err(Error::Problem { problem, retry_after }) if problem.status == 429 && tries < TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(retry_after.unwrap_or(PAUSE).max(PAUSE)).await;
            }
            other => return other,
        }
    }
}

/// Says now and then what still waits, and what is wrong with the daemon if it tells.
async fn told_when_long<T>(job: &Job, filename: &str, bar: &ProgressBar, sent: impl Future<Output = T>) -> T {
    let mut sent = std::pin::pin!(sent);
    loop {
        if let Ok(done) = tokio::time::timeout(LONG, &mut sent).await {
            return done;
        }
        let why = match job.client.health().await {
            Ok(HealthAnswer::Whole(health)) => troubles(&health),
            _ => String::new(),
        };
        bar.suspend(|| eprintln!("waiting  {}: not ready yet{why}", output::one_line(filename)));
    }
}

fn troubles(health: &Health) -> String {
    let parts = health.components.all();
    let bad = parts.iter().filter(|part| part.status != HealthStatus::Healthy);
    bad.map(|part| format!("; {}", part.detail)).collect()
}

fn failed(filename: String, error: &Error) -> UploadItem {
    let code = error.code().unwrap_or("not_sent").to_owned();
    let detail = match error {
        Error::Problem { problem, .. } => problem.detail.clone(),
        error => error.to_string(),
    };
    UploadItem {
        document_id: None,
        filename,
        status: "failed".to_owned(),
        duplicate: false,
        code: Some(code),
        detail: Some(detail),
    }
}

/// Counts bytes; draws nothing where stderr is no terminal.
fn bar(files: &BTreeSet<PathBuf>) -> ProgressBar {
    let size = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
    let bar = ProgressBar::new(files.iter().map(size).sum());
    let looks = "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {msg}";
    if let Ok(style) = ProgressStyle::with_template(looks) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
