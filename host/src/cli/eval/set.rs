//! A set with ground truth, through the whole pipeline, in a data directory of its own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::judged::{self, CHUNKS, Measured, Variant};
use crate::answer::SearchRequest;
use crate::app::App;
use crate::cli::collection::{self, CorpusDocument};
use crate::config::{self, Config, Options};
use crate::ingest::Upload;
use crate::types::*;

/// Documents that are handed over at once.
const BATCH: usize = 256;

/// A set that was taken in.
pub(super) struct Prepared {
    /// That of its directory.
    pub name: String,
    pub documents: usize,
    pub app: Arc<App>,
    pub config: Config,
    _data: TempDir,
}

pub(super) fn measure(
    set: &Path,
    config: Option<PathBuf>,
    variants: &[Variant],
) -> anyhow::Result<Vec<Measured>> {
    let queries = collection::queries(set)?;
    let Prepared { name, documents, app, .. } = &prepare(set, config)?;
    let measured = judged::measure(name, *documents, &queries, variants, |query, variant| {
        ranking(app, &query.text, variant)
    });
    app.shutdown();
    measured
}

/// Takes a set in.
pub(super) fn prepare(set: &Path, config: Option<PathBuf>) -> anyhow::Result<Prepared> {
    let name = set.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let corpus = collection::corpus(set)?;
    let data = tempfile::tempdir().context("no temporary directory")?;
    let data_dir = ("--data-dir", "data_dir", data.path().to_string_lossy().into_owned());
    let config = config::load(&Options { file: config, overrides: vec![data_dir] })?.config;
    let app = App::start(config.clone(), Default::default())?;
    eprintln!("{name}: taking in {} documents", corpus.len());
    take_in(&app, &corpus)?;
    Ok(Prepared { name, documents: corpus.len(), app, config, _data: data })
}

/// Where its documents are.
pub(super) fn key() -> CollectionKey {
    CollectionKey { owner: UserId::anonymous(), name: CollectionName::default() }
}

/// Every document becomes a file named by its id; equal texts are one document, under the first id.
fn take_in(app: &Arc<App>, corpus: &[CorpusDocument]) -> anyhow::Result<()> {
    let mut last = Vec::new();
    for batch in corpus.chunks(BATCH) {
        let uploads =
            batch.iter().map(|document| upload(app, document)).collect::<anyhow::Result<Vec<_>>>()?;
        for submitted in app.ingest.submit(uploads, false)? {
            last.push(submitted?.document.id);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    for id in last {
        let document = runtime.block_on(app.ingest.wait(id))?.context("a document vanished")?;
        if let Some(error) = document.error {
            bail!("{} failed: {}", document.filename, error.detail);
        }
    }
    Ok(())
}

fn upload(app: &App, document: &CorpusDocument) -> anyhow::Result<Upload> {
    let mut blob = app.store.blob_writer()?;
    let (extension, text) = document.file();
    blob.write(text.as_bytes())?;
    let metadata = JsonMap::from_iter([("id".to_owned(), document.id.clone().into())]);
    let filename = format!("{}.{extension}", document.id.replace(['/', '\\'], "_"));
    let (blob, since) = (blob.finish()?, Instant::now());
    Ok(Upload { collection: key(), filename, path: None, blob, tags: Vec::new(), metadata, since })
}

/// Ids of documents, by their best chunk.
fn ranking(app: &App, query: &str, variant: &Variant) -> anyhow::Result<Vec<String>> {
    let request = SearchRequest {
        mode: variant.mode.into(),
        fusion: variant.fusion.map(Into::into),
        alpha: variant.alpha,
        // A document counts although another one repeats it.
        fold: Some(false),
        ..SearchRequest::new(query, CHUNKS as usize, Scope::One(key()))
    };
    let caller = Caller { user: UserId::anonymous(), role: UserRole::User, since: Instant::now() };
    let mut seen = HashSet::new();
    let mut slot = app.answers.slot_blocking(&caller.user);
    let passages = app.answers.search(&caller, &request, &mut slot)?.passages;
    let ids = passages.iter().filter_map(|passage| passage.document.metadata.get("id")?.as_str());
    Ok(ids.filter(|id| seen.insert(id.to_string())).map(str::to_owned).collect())
}
