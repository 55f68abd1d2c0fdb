//! What SmartRAG adds to the time of a model's server, and how fast it answers without one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::corpus::{queries, texts};
use super::daemon::Daemon;
use super::run::{bulk, ms};
use super::{Figure, quantile};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Documents to answer from
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    documents: usize,
    /// Take the texts of a retrieval set instead of made-up ones
    #[arg(long, value_name = "DIR")]
    corpus: Option<std::path::PathBuf>,
    /// Questions of each kind
    #[arg(long, value_name = "N", default_value_t = 200)]
    questions: usize,
    /// Streams at once
    #[arg(long, value_name = "N", default_value_t = 32)]
    streams: usize,
    /// Tokens of an answer of the scripted server
    #[arg(long, value_name = "N", default_value_t = 100)]
    tokens: usize,
    /// Its pause between two tokens
    #[arg(long, value_name = "MS", default_value_t = 2)]
    pause_ms: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Times in milliseconds.
#[derive(Default)]
struct Times {
    first: Vec<f64>,
    total: Vec<f64>,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Vec<Figure>> {
    let texts = texts(args.corpus.as_deref(), args.documents.max(1))?;
    let server =
        model_server(Script { tokens: args.tokens, pause: Duration::from_millis(args.pause_ms) }).await?;
    let backend = json!({"plugin": "openai", "model": "scripted", "base_url": format!("http://{server}/v1")});
    let config = json!({"backends": {"scripted": backend}});
    let mut daemon = Daemon::start_with(&config).await?;
    daemon.restart().await?;
    let http = reqwest::Client::builder().tcp_nodelay(true).build()?;
    eprintln!("taking in {} documents", texts.len());
    bulk(&http, &daemon.url, &texts).await?;
    let questions = queries(&texts, args.questions + 20);
    let mut figures = extractive(&http, &daemon.url, &questions).await?;
    figures.extend(overhead(&http, &daemon.url, &format!("http://{server}/v1"), &questions).await?);
    figures.extend(streams(&http, &daemon, args, &questions).await?);
    Ok(figures)
}

async fn extractive(http: &reqwest::Client, url: &str, questions: &[String]) -> anyhow::Result<Vec<Figure>> {
    eprintln!("{} answers without a model", questions.len());
    let mut times = Vec::new();
    for question in questions {
        let begun = Instant::now();
        let body = json!({"query": question, "backend": "extractive"});
        let answer = http.post(format!("{url}/api/v1/query")).json(&body).send().await?.error_for_status()?;
        answer.bytes().await?;
        times.push(ms(begun));
    }
    times.drain(..times.len().min(20));
    times.sort_by(f64::total_cmp);
    Ok(vec![
        Figure::new("extractive answer over HTTP, p50", quantile(&times, 0.5), "ms").goal("≤ 10"),
        Figure::new("extractive answer over HTTP, p99", quantile(&times, 0.99), "ms"),
    ])
}

/// The same server asked directly and through SmartRAG, by turns.
async fn overhead(
    http: &reqwest::Client,
    url: &str,
    server: &str,
    questions: &[String],
) -> anyhow::Result<Vec<Figure>> {
    eprintln!("{} answers of the scripted server, directly and through the daemon", questions.len());
    let (mut bare, mut ours) = (Times::default(), Times::default());
    let (mut retrieval, mut added) = (Vec::new(), Vec::new());
    for (at, question) in questions.iter().enumerate() {
        let (bare_first, bare_total) = direct(http, server, question).await?;
        let begun = Instant::now();
        let (first, timings, _) = through(http, url, question, begun).await?;
        let total = ms(begun);
        if at < 20 {
            continue;
        }
        let searched: f64 =
            ["embed", "search", "fetch", "rerank"].iter().filter_map(|stage| timings.get(*stage)).sum();
        bare.first.push(bare_first);
        bare.total.push(bare_total);
        ours.first.push(first);
        ours.total.push(total);
        retrieval.push(searched);
        added.push(first - bare_first - searched);
    }
    let mut figures = Vec::new();
    let mut say = |name: &str, mut times: Vec<f64>, goal: Option<&'static str>| {
        times.sort_by(f64::total_cmp);
        let figure = Figure::new(format!("{name}, p50"), quantile(&times, 0.5), "ms");
        figures.push(Figure { goal, ..figure });
        figures.push(Figure::new(format!("{name}, p99"), quantile(&times, 0.99), "ms"));
    };
    say("first token of the server alone", bare.first, None);
    say("first token through the daemon", ours.first, None);
    say("retrieval", retrieval, None);
    say("first token: added beside retrieval", added, Some("≤ 15"));
    say("whole answer of the server alone", bare.total, None);
    say("whole answer through the daemon", ours.total, None);
    Ok(figures)
}

/// First token and end.
async fn direct(http: &reqwest::Client, server: &str, question: &str) -> anyhow::Result<(f64, f64)> {
    let messages = json!([{"role": "user", "content": question}]);
    let body = json!({"model": "scripted", "stream": true, "messages": messages});
    let begun = Instant::now();
    let mut response =
        http.post(format!("{server}/chat/completions")).json(&body).send().await?.error_for_status()?;
    let mut first = None;
    while let Some(piece) = response.chunk().await? {
        if first.is_none() && piece.windows(9).any(|window| window == b"\"content\"") {
            first = Some(ms(begun));
        }
    }
    Ok((first.context("the scripted server said nothing")?, ms(begun)))
}

/// When the first token came, what took how long, and the whole text.
async fn through(
    http: &reqwest::Client,
    url: &str,
    question: &str,
    begun: Instant,
) -> anyhow::Result<(f64, BTreeMap<String, f64>, String)> {
    let body = json!({"query": question, "backend": "scripted"});
    let mut response =
        http.post(format!("{url}/api/v1/query/stream")).json(&body).send().await?.error_for_status()?;
    let (mut first, mut text, mut rest) = (None, String::new(), Vec::new());
    while let Some(piece) = response.chunk().await? {
        rest.extend_from_slice(&piece);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line)?;
            match event["type"].as_str() {
                Some("chunk") => {
                    first.get_or_insert_with(|| ms(begun));
                    text.push_str(event["chunk"].as_str().unwrap_or_default());
                }
                Some("done") => {
                    let timings = serde_json::from_value(event["timings"].clone())?;
                    return Ok((first.context("an answer without a word")?, timings, text));
                }
                Some("error") => anyhow::bail!("an answer failed: {}", event["detail"]),
                _ => {}
            }
        }
    }
    anyhow::bail!("an answer broke off")
}

/// Many answers at once, in rounds: nothing may be lost, and memory may not grow.
async fn streams(
    http: &reqwest::Client,
    daemon: &Daemon,
    args: &Args,
    questions: &[String],
) -> anyhow::Result<Vec<Figure>> {
    const ROUNDS: usize = 10;
    eprintln!("{} answers at once, {ROUNDS} times", args.streams);
    let expected: String = (0..args.tokens).map(token).collect();
    let (mut first, mut memory) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    for round in 0..ROUNDS {
        let asked = (0..args.streams).map(|at| {
            let question = &questions[(round * args.streams + at) % questions.len()];
            through(http, &daemon.url, question, Instant::now())
        });
        for heard in futures_util::future::join_all(asked).await {
            let (at, _, text) = heard?;
            // A note on weak evidence may stand before it.
            let whole = text.trim_end().ends_with(expected.trim_end());
            ensure!(whole, "tokens were lost or out of order: {text}");
            first.push(at);
        }
        memory.push(daemon.resident_mb()?);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let tokens = (ROUNDS * args.streams * args.tokens) as f64;
    first.sort_by(f64::total_cmp);
    let name = |what: &str| format!("{} streams at once: {what}", args.streams);
    Ok(vec![
        Figure::new(name("tokens passed on"), tokens / seconds, "1/s"),
        Figure::new(name("first token, p50"), quantile(&first, 0.5), "ms"),
        Figure::new(name("first token, p99"), quantile(&first, 0.99), "ms"),
        Figure::new(name("memory after the second round"), memory[1], "MB"),
        Figure::new(name("memory after the last round"), memory[ROUNDS - 1], "MB"),
    ])
}

/// What the scripted server answers.
#[derive(Clone, Copy)]
struct Script {
    tokens: usize,
    pause: Duration,
}

/// A server that speaks OpenAI's chat API and counts; ends with the process.
async fn model_server(script: Script) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let service = service_fn(move |request| answer(request, script));
            // Without it the kernel collects small pieces, and the peer would look slower than it is.
            let _ = connection.set_nodelay(true);
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
        }
    });
    Ok(address)
}

type Pieces = BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

async fn answer(request: Request<Incoming>, script: Script) -> hyper::Result<Response<StreamBody<Pieces>>> {
    let is_list = request.uri().path() == "/v1/models";
    request.into_body().collect().await?;
    let pieces = match is_list {
        true => stream::once(async { json!({"data": [{"id": "scripted"}]}).to_string() }).boxed(),
        false => chat(script).boxed(),
    };
    let kind = if is_list { "application/json" } else { "text/event-stream" };
    let pieces = pieces.map(|text| Ok(Frame::data(Bytes::from(text)))).boxed();
    let mut response = Response::new(StreamBody::new(pieces));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(kind));
    Ok(response)
}

fn chat(script: Script) -> impl stream::Stream<Item = String> {
    let tokens = stream::iter(0..script.tokens).then(move |number| async move {
        if number > 0 && !script.pause.is_zero() {
            tokio::time::sleep(script.pause).await;
        }
        json!({"choices": [{"delta": {"content": token(number)}}]}).to_string()
    });
    let end = json!({"choices": [{"delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": script.tokens}});
    let end = [end.to_string(), "[DONE]".to_owned()];
    tokens.chain(stream::iter(end)).map(|data| format!("data: {data}\n\n"))
}

fn token(number: usize) -> String {
    format!("{number} ")
}
