//! What a client sees: bulk ingestion, one upload to visible, search, memory.

use std::fmt::Write;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::json;

use super::corpus::{page, queries, texts};
use super::daemon::Daemon;
use super::{Args, Figure, quantile};

/// Requests before the first that counts.
const WARM_UP: usize = 20;

pub(super) async fn run(args: &Args) -> anyhow::Result<Vec<Figure>> {
    let texts = texts(args.corpus.as_deref(), args.documents.max(1))?;
    let begun = Instant::now();
    let mut daemon = Daemon::start().await?;
    let mut figures = vec![
        Figure::new("first start, which compiles the plugins", ms(begun), "ms"),
        Figure::new("memory after the first start", daemon.resident_mb()?, "MB"),
    ];
    let begun = Instant::now();
    daemon.restart().await?;
    figures.push(Figure::new("any later start, no documents", ms(begun), "ms"));
    let http = reqwest::Client::builder().tcp_nodelay(true).build()?;
    figures.push(Figure::new("memory idle, no documents", daemon.resident_mb()?, "MB").goal("≤ 80"));
    eprintln!("taking in {} documents", texts.len());
    figures.extend(bulk(&http, &daemon.url, &texts).await?);
    figures.push(Figure::new("memory after load", daemon.resident_mb()?, "MB"));
    eprintln!("{} searches", args.requests);
    figures.extend(searches(&http, &daemon.url, &texts, args.requests).await?);
    let pages = args.requests.min(200);
    eprintln!("{pages} single uploads");
    figures.extend(uploads(&http, &daemon.url, pages).await?);
    let begun = Instant::now();
    daemon.restart().await?;
    search(&http, &daemon.url, "anything").await?;
    figures.push(Figure::new("restart to the first answered search", ms(begun), "ms"));
    let name = format!("memory idle, {} documents", texts.len() + pages);
    figures.push(Figure::new(name, daemon.resident_mb()?, "MB"));
    Ok(figures)
}

pub(super) fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// `/documents/batch?wait=true`: from the first byte sent to the last document searchable.
pub(super) async fn bulk(http: &reqwest::Client, url: &str, texts: &[String]) -> anyhow::Result<Vec<Figure>> {
    let mut body = String::new();
    for (text, number) in texts.iter().zip(1..) {
        writeln!(body, "{}", json!({"text": text, "filename": format!("{number}.txt")}))?;
    }
    let begun = Instant::now();
    let response = http.post(format!("{url}/api/v1/documents/batch?wait=true")).body(body);
    let response =
        response.header("content-type", "application/x-ndjson").send().await?.error_for_status()?;
    let answer = response.text().await?;
    let seconds = begun.elapsed().as_secs_f64();
    let ready = answer.lines().filter(|line| line.contains("\"status\":\"ready\"")).count();
    ensure!(ready == texts.len(), "only {ready} of {} documents became ready", texts.len());
    let metrics = http.get(format!("{url}/metrics")).send().await?.text().await?;
    let chunks = metrics.lines().find_map(|line| line.strip_prefix("smartrag_ingest_chunks_total "));
    let chunks: f64 = chunks.context("/metrics does not count chunks")?.trim().parse()?;
    Ok(vec![
        Figure::new("documents taken in", ready as f64 / seconds, "1/s"),
        Figure::new("chunks taken in", chunks / seconds, "1/s").goal("≥ 700"),
    ])
}

pub(super) async fn search(http: &reqwest::Client, url: &str, query: &str) -> anyhow::Result<()> {
    let body = json!({"query": query, "top_k": 5});
    let response = http.post(format!("{url}/api/v1/search")).json(&body).send().await?.error_for_status()?;
    response.bytes().await?;
    Ok(())
}

async fn searches(
    http: &reqwest::Client,
    url: &str,
    texts: &[String],
    count: usize,
) -> anyhow::Result<Vec<Figure>> {
    let mut times = Vec::with_capacity(count);
    for (at, query) in queries(texts, count + WARM_UP).iter().enumerate() {
        let begun = Instant::now();
        search(http, url, query).await?;
        if at >= WARM_UP {
            times.push(ms(begun));
        }
    }
    times.sort_by(f64::total_cmp);
    let name = |share: &str| format!("hybrid search over HTTP, {} documents, {share}", texts.len());
    Ok(vec![
        Figure::new(name("p50"), quantile(&times, 0.5), "ms").goal("≤ 3"),
        Figure::new(name("p99"), quantile(&times, 0.99), "ms"),
    ])
}

/// `/documents?wait=true` with a page of Markdown: answered once a search finds it.
pub(super) async fn uploads(http: &reqwest::Client, url: &str, count: usize) -> anyhow::Result<Vec<Figure>> {
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let body = json!({"text": page(number), "filename": format!("page-{number}.md")});
        let begun = Instant::now();
        let request = http.post(format!("{url}/api/v1/documents?wait=true")).json(&body);
        let answer = request.send().await?.error_for_status()?.text().await?;
        times.push(ms(begun));
        ensure!(answer.contains("\"ready\""), "an upload did not become ready: {answer}");
    }
    times.sort_by(f64::total_cmp);
    Ok(vec![
        Figure::new("one upload to visible, p50", quantile(&times, 0.5), "ms").goal("≤ 30"),
        Figure::new("one upload to visible, p99", quantile(&times, 0.99), "ms"),
    ])
}
