//! Measures retrieval on a set with ground truth, through the whole pipeline, in a data directory of its own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Serialize;

use super::collection::{self, CorpusDocument, JudgedQuery};
use super::output::Table;
use super::{Outcome, Result};
use crate::answer::SearchRequest;
use crate::app::App;
use crate::config::{self, Options};
use crate::ingest::Upload;
use crate::search::eval::{Estimate, bootstrap, metrics};
use crate::types::*;

/// Documents that are handed over at once.
const BATCH: usize = 256;
/// Chunks asked for; documents are ranked by their best chunk.
const CHUNKS: usize = 100;
/// Depth of nDCG and MRR.
const DEPTH: usize = 10;
/// Resamples and seed of the bootstrap.
const RESAMPLES: usize = 1000;
const SEED: u64 = 7;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A retrieval set: corpus.jsonl.gz, queries.jsonl.gz, qrels.tsv.gz
    #[arg(value_name = "DIR", required = true)]
    sets: Vec<PathBuf>,
    /// The config file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Measured {
    set: String,
    documents: usize,
    queries: usize,
    mode: &'static str,
    ndcg_at_10: f64,
    /// 95 % interval by bootstrap over queries.
    ndcg_low: f64,
    ndcg_high: f64,
    recall_at_10: f64,
    recall_at_100: f64,
    mrr_at_10: f64,
}

pub(super) fn run(args: Args) -> Result {
    let mut measured = Vec::new();
    for set in &args.sets {
        measured.extend(measure(set, args.config.clone())?);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&measured)?);
    } else {
        table(&measured).print()?;
    }
    Ok(Outcome::Done)
}

fn measure(set: &Path, config: Option<PathBuf>) -> anyhow::Result<Vec<Measured>> {
    let name = set.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (corpus, queries) = (collection::corpus(set)?, collection::queries(set)?);
    let data = tempfile::tempdir().context("no temporary directory")?;
    let data_dir = ("--data-dir", "data_dir", data.path().to_string_lossy().into_owned());
    let config = config::load(&Options { file: config, overrides: vec![data_dir] })?.config;
    let app = App::start(config)?;
    eprintln!("{name}: taking in {} documents", corpus.len());
    take_in(&app, &corpus)?;
    let modes = [SearchMode::Keyword, SearchMode::Vector, SearchMode::Hybrid];
    let measured = modes.into_iter().map(|mode| {
        eprintln!("{name}: {} queries, {}", queries.len(), mode_name(mode));
        measure_mode(&app, &name, corpus.len(), &queries, mode)
    });
    let measured = measured.collect();
    app.shutdown();
    measured
}

fn key() -> CollectionKey {
    CollectionKey { owner: UserId::anonymous(), name: CollectionName::default() }
}

/// Every document becomes a file named by its id; equal texts are one document, under the first id.
fn take_in(app: &Arc<App>, corpus: &[CorpusDocument]) -> anyhow::Result<()> {
    let mut last = Vec::new();
    for batch in corpus.chunks(BATCH) {
        let uploads =
            batch.iter().map(|document| upload(app, document)).collect::<anyhow::Result<Vec<_>>>()?;
        for submitted in app.ingest.submit(uploads)? {
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
    Ok(Upload { collection: key(), filename, blob: blob.finish()?, tags: Vec::new(), metadata })
}

fn measure_mode(
    app: &App,
    set: &str,
    documents: usize,
    queries: &[JudgedQuery],
    mode: SearchMode,
) -> anyhow::Result<Measured> {
    let mut found = Vec::with_capacity(queries.len());
    for query in queries {
        let ranking = ranking(app, &query.text, mode)?;
        let at = |k| metrics(&ranking, &query.judgements, k);
        if let (Some(shallow), Some(deep)) = (at(DEPTH), at(CHUNKS)) {
            found.push((shallow, deep));
        }
    }
    let values: Vec<f64> = found.iter().map(|(shallow, _)| shallow.ndcg).collect();
    let Estimate { mean, low, high } = bootstrap(&values, RESAMPLES, SEED);
    let average =
        |value: &dyn Fn(&(_, _)) -> f64| found.iter().map(value).sum::<f64>() / found.len().max(1) as f64;
    Ok(Measured {
        set: set.to_owned(),
        documents,
        queries: found.len(),
        mode: mode_name(mode),
        ndcg_at_10: mean,
        ndcg_low: low,
        ndcg_high: high,
        recall_at_10: average(&|(shallow, _): &(
            crate::search::eval::Metrics,
            crate::search::eval::Metrics,
        )| shallow.recall),
        recall_at_100: average(&|(_, deep)| deep.recall),
        mrr_at_10: average(&|(shallow, _)| shallow.reciprocal_rank),
    })
}

/// Ids of documents, by their best chunk.
fn ranking(app: &App, query: &str, mode: SearchMode) -> anyhow::Result<Vec<String>> {
    let request = SearchRequest {
        query: query.to_owned(),
        top_k: CHUNKS,
        mode,
        filter: None,
        scope: Scope::One(key()),
        rerank: None,
        typo_tolerance: false,
        highlight: false,
    };
    let caller = Caller { user: UserId::anonymous(), admin: false };
    let mut seen = HashSet::new();
    let passages = app.answers.search(&caller, &request)?.passages;
    let ids = passages.iter().filter_map(|passage| passage.document.metadata.get("id")?.as_str());
    Ok(ids.filter(|id| seen.insert(id.to_string())).map(str::to_owned).collect())
}

fn mode_name(mode: SearchMode) -> &'static str {
    match mode {
        SearchMode::Hybrid => "hybrid",
        SearchMode::Keyword => "keyword",
        SearchMode::Vector => "vector",
    }
}

fn table(measured: &[Measured]) -> Table {
    let mut table = Table::new([
        "set",
        "documents",
        "queries",
        "mode",
        "nDCG@10",
        "95 %",
        "recall@10",
        "recall@100",
        "MRR@10",
    ]);
    for row in measured {
        table.row([
            row.set.clone(),
            row.documents.to_string(),
            row.queries.to_string(),
            row.mode.to_owned(),
            format!("{:.3}", row.ndcg_at_10),
            format!("{:.3}-{:.3}", row.ndcg_low, row.ndcg_high),
            format!("{:.3}", row.recall_at_10),
            format!("{:.3}", row.recall_at_100),
            format!("{:.3}", row.mrr_at_10),
        ]);
    }
    table
}
