//! Lists that are long: every page of them by its cursor.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;

use super::daemon::Daemon;
use super::run::ms;
use super::search::take_in;
use super::{Figure, quantile};
use crate::store::Store;
use crate::types::*;

/// Rows of the log that are written at once.
const ROWS: usize = 20_000;
/// Items of a page.
const LIMIT: usize = 100;
/// How often a list is asked for that has one page.
const ROUNDS: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Documents to list
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    documents: usize,
    /// Logged queries to list
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    queries: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Vec<Figure>> {
    let mut daemon = Daemon::start().await?;
    let http = reqwest::Client::builder().tcp_nodelay(true).build()?;
    eprintln!("taking in {} documents", args.documents);
    let texts: Vec<String> =
        (0..args.documents).map(|at| format!("Note {at} is about a matter of its own.")).collect();
    take_in(&http, &daemon.url, &texts).await?;
    daemon.stop().await?;
    eprintln!("logging {} queries", args.queries);
    let (directory, queries) = (daemon.data().to_owned(), args.queries);
    tokio::task::spawn_blocking(move || log(&directory, queries)).await??;
    daemon.start_again().await?;
    let mut figures = Vec::new();
    for (name, path) in [
        ("documents", "documents"),
        ("documents, oldest first", "documents?sort=upload_time"),
        ("documents of which none has the tag", "documents?tag=none"),
        ("documents of which none failed", "documents?status=failed"),
        ("logged queries", "analytics/queries"),
    ] {
        eprintln!("{name}");
        let (mut times, items) = pages(&http, &daemon.url, path).await?;
        while times.len() < ROUNDS {
            times.extend(pages(&http, &daemon.url, path).await?.0);
        }
        times.sort_by(f64::total_cmp);
        for (share, at) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
            let figure =
                Figure::new(format!("a page of {items} {name}, {share}"), quantile(&times, at), "ms");
            figures.push(figure.goal("≤ 20"));
        }
    }
    Ok(figures)
}

/// Writes a log as long as a daemon has after years, without asking anything.
fn log(directory: &Path, count: usize) -> anyhow::Result<()> {
    let store = Store::open(directory)?;
    let query = |at: usize| LoggedQuery {
        id: QueryId::new(),
        user: UserId::anonymous(),
        kind: QueryKind::Search,
        text: Some(format!("what is said of matter {at}?")),
        collection: Some("default".to_owned()),
        at: jiff::Timestamp::now().as_millisecond(),
        took_ms: 3.0,
        results: 5,
        documents: (0..5).map(|_| DocumentId::new()).collect(),
        backend: None,
        outcome: QueryOutcome::Answered,
    };
    for first in (0..count).step_by(ROWS) {
        let rows: Vec<_> = (first..count.min(first + ROWS)).map(|at| (query(at), Instant::now())).collect();
        store.log_queries(&rows)?;
    }
    Ok(())
}

/// Milliseconds of each page of a list, and how many items there were.
async fn pages(http: &reqwest::Client, url: &str, path: &str) -> anyhow::Result<(Vec<f64>, usize)> {
    #[derive(serde::Deserialize)]
    struct Page {
        items: Vec<serde_json::Value>,
        next_cursor: Option<String>,
    }
    let (mut times, mut items, mut cursor) = (Vec::new(), 0, None::<String>);
    loop {
        let mut request = http.get(format!("{url}/api/v1/{path}")).query(&[("limit", LIMIT)]);
        if let Some(cursor) = &cursor {
            request = request.query(&[("cursor", cursor)]);
        }
        let begun = Instant::now();
        let answer = request.send().await?.error_for_status()?.bytes().await?;
        times.push(ms(begun));
        let page: Page = serde_json::from_slice(&answer).context("no list")?;
        items += page.items.len();
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok((times, items)),
        }
    }
}
