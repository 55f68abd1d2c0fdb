//! A large corpus over HTTP: bulk ingestion and how it holds its rate, search alone and by many, one document to
//! visible, restarts, memory.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use serde_json::json;

use super::daemon::Daemon;
use super::run::{ms, search, uploads};
use super::{Figure, corpus, quantile, svg};

/// Requests before the first that counts.
const WARM_UP: usize = 50;
/// Single uploads to time, at most.
const UPLOADS: usize = 200;
/// Points of the curve.
const POINTS: usize = 50;

/// Lines that go out together.
const LINES_SENT: usize = 256;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Texts to take in: NDJSON as `/documents/batch` takes it (scripts/make-corpus.py), or a retrieval set
    #[arg(long, value_name = "FILE|DIR")]
    corpus: PathBuf,
    /// Take in so many of them; all of a file where left out
    #[arg(long, value_name = "N")]
    documents: Option<usize>,
    /// Clients that search at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: u32,
    /// Searches to time, alone and again by all clients together
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    requests: usize,
    /// Draw the rate of ingestion against the size of the collection
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Vec<Figure>> {
    let texts = texts(&args.corpus, args.documents)?;
    let mut daemon = Daemon::start().await?;
    // The first start has compiled the plugins.
    daemon.restart().await?;
    let http = reqwest::Client::builder().tcp_nodelay(true).build()?;
    eprintln!("taking in {} documents", texts.len());
    let arrivals = take_in(&http, &daemon.url, &texts).await?;
    let chunks = chunks(&http, &daemon.url).await?;
    let mut figures = ingestion(&arrivals, chunks);
    figures.push(Figure::new("resident memory after ingestion", daemon.resident_mb()?, "MB"));
    if let Some(path) = &args.svg {
        let title = "Bulk ingestion to searchable, embedding included";
        let axes = svg::Axes { title, x: "chunks in the collection", y: "chunks/s" };
        std::fs::write(path, svg::line(&axes, &curve(&arrivals, chunks / texts.len() as f64)))?;
    }
    eprintln!("joining the indexes");
    let begun = Instant::now();
    http.post(format!("{}/api/v1/admin/optimize", daemon.url)).send().await?.error_for_status()?;
    figures.push(Figure::new("optimize after ingestion", begun.elapsed().as_secs_f64(), "s"));
    let queries = corpus::queries(&texts, WARM_UP + args.requests.max(1));
    eprintln!("{} searches", args.requests);
    figures.extend(alone(&http, &daemon.url, &queries).await?);
    eprintln!("{} searches by {} clients", args.requests, args.clients);
    figures.push(together(&http, &daemon.url, queries, args.clients as usize).await?);
    figures.push(
        Figure::new("resident memory while searching", daemon.resident_mb()?, "MB").goal("≤ 150 at 50k"),
    );
    eprintln!("{} single uploads", UPLOADS.min(args.requests));
    figures.extend(uploads(&http, &daemon.url, UPLOADS.min(args.requests)).await?);
    figures.extend(restarts(&http, &mut daemon).await?);
    Ok(figures)
}

/// Distinct texts of an NDJSON file or a retrieval set.
fn texts(path: &Path, count: Option<usize>) -> anyhow::Result<Vec<String>> {
    if path.is_dir() {
        return corpus::texts(Some(path), count.unwrap_or(100_000).max(1));
    }
    #[derive(serde::Deserialize)]
    struct Line {
        text: String,
    }
    let file = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut seen = HashSet::new();
    let mut texts = Vec::new();
    for (number, line) in (1..).zip(file.lines()).take(count.unwrap_or(usize::MAX)) {
        let Line { text } =
            serde_json::from_str(line).with_context(|| format!("{}, line {number}", path.display()))?;
        if seen.insert(text.clone()) {
            texts.push(text);
        }
    }
    if texts.is_empty() {
        bail!("{} holds no text", path.display());
    }
    Ok(texts)
}

/// `/documents/batch?wait=true`: seconds after the first byte was sent at which each document was searchable.
pub(super) async fn take_in(http: &reqwest::Client, url: &str, texts: &[String]) -> anyhow::Result<Vec<f64>> {
    let line = |(number, text): (usize, &String)| {
        let line = json!({"text": text, "filename": format!("{number:07}.txt")});
        Ok::<_, std::io::Error>(Bytes::from(format!("{line}\n")))
    };
    let lines = (1..).zip(texts).map(line).collect::<Result<Vec<_>, std::io::Error>>()?;
    // As a client would send a file: some lines at once.
    let parts: Vec<_> =
        lines.chunks(LINES_SENT).map(|lines| Ok::<_, std::io::Error>(lines.concat())).collect();
    let body = reqwest::Body::wrap_stream(tokio_stream::iter(parts));
    let begun = Instant::now();
    let request = http.post(format!("{url}/api/v1/documents/batch?wait=true"));
    let request = request.header("content-type", "application/x-ndjson").body(body);
    let mut response = request.send().await?.error_for_status()?;
    let (mut arrivals, mut rest) = (Vec::with_capacity(texts.len()), Vec::new());
    while let Some(bytes) = response.chunk().await? {
        let now = begun.elapsed().as_secs_f64();
        rest.extend_from_slice(&bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            ensure!(
                line.contains("\"status\":\"ready\""),
                "a document did not become ready: {}",
                line.trim()
            );
            arrivals.push(now);
        }
    }
    ensure!(arrivals.len() == texts.len(), "{} of {} documents were answered", arrivals.len(), texts.len());
    Ok(arrivals)
}

/// What the daemon has counted since its start.
async fn chunks(http: &reqwest::Client, url: &str) -> anyhow::Result<f64> {
    let metrics = http.get(format!("{url}/metrics")).send().await?.text().await?;
    let chunks = metrics.lines().find_map(|line| line.strip_prefix("smartrag_ingest_chunks_total "));
    Ok(chunks.context("/metrics does not count chunks")?.trim().parse()?)
}

fn ingestion(arrivals: &[f64], chunks: f64) -> Vec<Figure> {
    let each = chunks / arrivals.len().max(1) as f64;
    let tenth = (arrivals.len() / 10).max(1);
    let first = rate(arrivals, 0, tenth) * each;
    let last = rate(arrivals, arrivals.len().saturating_sub(tenth), arrivals.len()) * each;
    let all = rate(arrivals, 0, arrivals.len()) * each;
    vec![
        Figure::new("chunks taken in, searchable", chunks, ""),
        Figure::new("bulk ingestion to searchable", all, "chunks/s").goal("≥ 1,500"),
        Figure::new("the same, first tenth", first, "chunks/s"),
        Figure::new("the same, last tenth", last, "chunks/s"),
        Figure::new("last tenth / first tenth", last / first, "×").goal("≥ 0.8"),
    ]
}

/// Documents a second from the `from`th to the one before `to`.
fn rate(arrivals: &[f64], from: usize, to: usize) -> f64 {
    let at = |place: usize| place.checked_sub(1).and_then(|place| arrivals.get(place)).copied();
    let seconds = at(to).unwrap_or_default() - at(from).unwrap_or_default();
    (to - from) as f64 / seconds.max(1e-9)
}

/// Size of the collection and rate at that size, in chunks.
fn curve(arrivals: &[f64], each: f64) -> Vec<(f64, f64)> {
    let count = arrivals.len();
    let points = POINTS.min(count);
    let bounds = (0..points).map(|point| (point * count / points, (point + 1) * count / points));
    bounds.map(|(from, to)| (to as f64 * each, rate(arrivals, from, to) * each)).collect()
}

async fn alone(http: &reqwest::Client, url: &str, queries: &[String]) -> anyhow::Result<Vec<Figure>> {
    let mut times = Vec::with_capacity(queries.len());
    for query in queries {
        let begun = Instant::now();
        search(http, url, query).await?;
        times.push(ms(begun));
    }
    times.drain(..WARM_UP.min(times.len() - 1));
    times.sort_by(f64::total_cmp);
    Ok(vec![
        Figure::new("hybrid search over HTTP, one client, p50", quantile(&times, 0.5), "ms").goal("≤ 1.5"),
        Figure::new("hybrid search over HTTP, one client, p99", quantile(&times, 0.99), "ms").goal("≤ 6"),
    ])
}

async fn together(
    http: &reqwest::Client,
    url: &str,
    queries: Vec<String>,
    clients: usize,
) -> anyhow::Result<Figure> {
    let (queries, next) = (Arc::new(queries), Arc::new(AtomicUsize::new(0)));
    let begun = Instant::now();
    let client = || {
        let (http, url, queries, next) = (http.clone(), url.to_owned(), queries.clone(), next.clone());
        tokio::spawn(async move {
            while let Some(query) = queries.get(next.fetch_add(1, Ordering::Relaxed)) {
                search(&http, &url, query).await?;
            }
            anyhow::Ok(())
        })
    };
    for task in (0..clients).map(|_| client()).collect::<Vec<_>>() {
        task.await??;
    }
    let rate = queries.len() as f64 / begun.elapsed().as_secs_f64();
    Ok(Figure::new(format!("hybrid search over HTTP, {clients} clients"), rate, "1/s").goal("≥ 2,000 of 8"))
}

/// From the start of the process to the first answered search, and the memory then: after an orderly end and after
/// SIGKILL.
async fn restarts(http: &reqwest::Client, daemon: &mut Daemon) -> anyhow::Result<Vec<Figure>> {
    daemon.stop().await?;
    let orderly = first_search(http, daemon).await?;
    let memory = daemon.resident_mb()?;
    daemon.kill().await?;
    let killed = first_search(http, daemon).await?;
    Ok(vec![
        Figure::new("process start to the first answered search", orderly, "ms").goal("≤ 150"),
        Figure::new("the same after kill -9", killed, "ms"),
        Figure::new("resident memory after a restart and one search", memory, "MB"),
    ])
}

async fn first_search(http: &reqwest::Client, daemon: &mut Daemon) -> anyhow::Result<f64> {
    let begun = Instant::now();
    daemon.start_again().await?;
    search(http, &daemon.url, "anything").await?;
    Ok(ms(begun))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_from_times_of_arrival() {
        // Ten documents in the first second, ten in the next two.
        let arrivals: Vec<f64> =
            (1..=10).map(|n| f64::from(n) / 10.0).chain((1..=10).map(|n| 1.0 + f64::from(n) / 5.0)).collect();
        assert!((rate(&arrivals, 0, 10) - 10.0).abs() < 1e-9);
        assert!((rate(&arrivals, 10, 20) - 5.0).abs() < 1e-9);
        let curve = curve(&arrivals, 2.0);
        assert_eq!((curve.len(), curve[19].0), (20, 40.0));
        let figures = ingestion(&arrivals, 40.0);
        assert!((figures[4].value - 0.5).abs() < 1e-9, "{}", figures[4].value);
    }

    #[test]
    fn texts_are_read_once_each_and_broken_lines_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("corpus.ndjson");
        std::fs::write(&path, "{\"text\":\"a\",\"filename\":\"1\"}\n{\"text\":\"a\"}\n{\"text\":\"b\"}\n")
            .unwrap();
        assert_eq!(texts(&path, None).unwrap(), ["a", "b"]);
        assert_eq!(texts(&path, Some(1)).unwrap(), ["a"]);
        std::fs::write(&path, "{\"text\":\"a\"}\nnonsense\n").unwrap();
        assert!(format!("{:#}", texts(&path, None).unwrap_err()).contains("line 2"));
    }
}
