//! What operators see of a request: spans at a collector, lines of the log.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::model_server::ModelServer;
use super::support::{PATIENCE, TestDaemon, data_dir};

/// An OpenTelemetry collector that keeps what it is sent.
struct Collector {
    port: u16,
    batches: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let batches: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = batches.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                std::thread::spawn(move || {
                    while let Some(batch) = accept(&stream) {
                        kept.lock().unwrap().push(batch);
                    }
                });
            }
        });
        Self { port, batches }
    }

    fn spans(&self) -> Vec<Value> {
        let batches = self.batches.lock().unwrap();
        let scopes = batches.iter().flat_map(|batch| items(&batch["resourceSpans"]));
        let scopes = scopes.flat_map(|resource| items(&resource["scopeSpans"]));
        scopes.flat_map(|scope| items(&scope["spans"])).cloned().collect()
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The next request of a connection; answers it.
fn accept(stream: &TcpStream) -> Option<Value> {
    let (mut reader, mut length, mut line) = (BufReader::new(stream), 0, String::new());
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    assert!(line.starts_with("POST /v1/traces "), "{line}");
    while line.trim() != "" {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    (&mut { stream }).write_all(answer.as_bytes()).unwrap();
    Some(serde_json::from_slice(&body).unwrap())
}

fn attribute<'a>(span: &'a Value, name: &str) -> &'a Value {
    items(&span["attributes"])
        .iter()
        .find(|attribute| attribute["key"] == name)
        .map_or(&Value::Null, |it| &it["value"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_one_trace_from_the_request_to_the_plugin() {
    let collector = Collector::start();
    let config = format!("log: {{level: error, traces: \"http://127.0.0.1:{}\"}}", collector.port);
    let daemon = TestDaemon::start_with(&config);
    daemon.add("pump.md", "The heat pump was serviced in May.").await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request =
        daemon.request("POST", "/api/v1/query").json(&json!({"query": "When was the heat pump serviced?"}));
    let request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer = daemon.send(request.header("x-request-id", "asked-by-a-test")).await;
    answer.ok();
    daemon.end();

    let spans: Vec<Value> = collector.spans().into_iter().filter(|span| span["traceId"] == trace).collect();
    let named = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    let root = named("POST /api/v1/query");
    assert_eq!(root.len(), 1, "{spans:#?}");
    assert_eq!(root[0]["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!(attribute(root[0], "request_id")["stringValue"], "asked-by-a-test");
    assert_eq!(
        attribute(root[0], "status")["intValue"].to_string().trim_matches('"'),
        "200",
        "{:#}",
        root[0]
    );
    for stage in ["wait", "embed", "search", "fetch", "prepare", "generate", "persist"] {
        assert!(!named(stage).is_empty(), "no span of {stage}: {spans:#?}");
    }
    let embeds = named("embed")[0];
    assert_eq!(embeds["parentSpanId"], root[0]["spanId"]);
    let of_embedder = |span: &&Value| {
        span["parentSpanId"] == embeds["spanId"] && attribute(span, "plugin")["stringValue"] == "static-embed"
    };
    assert!(named("plugin").iter().any(of_embedder), "{spans:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_keeps_nobody_waiting_and_is_told_once() {
    let data = data_dir();
    let logs = data.path().join("logs");
    let config =
        format!("log: {{level: warn, dir: {:?}, traces: \"http://127.0.0.1:1\"}}", logs.to_str().unwrap());
    let daemon = TestDaemon::start_on_with(data, &config);
    let begun = Instant::now();
    while lines(&logs, "spans can't be sent").is_empty() {
        assert!(begun.elapsed() < PATIENCE, "nobody was told");
        daemon.get("/api/v1/documents").await.ok();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let begun = Instant::now();
    let data = daemon.end();
    assert!(begun.elapsed() < PATIENCE);
    // The last spans are lost like the others.
    assert_eq!(lines(&data.path().join("logs"), "spans can't be sent").len(), 1);
}

/// The lines of today's log with this word.
fn lines(dir: &Path, word: &str) -> Vec<String> {
    let is_log = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with("daemon");
    let files =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| is_log(path));
    let text: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    text.lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_of_the_log_follows_a_reload() {
    let data = data_dir();
    let logs = data.path().join("logs");
    let config =
        |level: &str| format!("log: {{level: {level}, dir: {:?}, format: json}}", logs.to_str().unwrap());
    let daemon = TestDaemon::start_on_with(data, &config("warn"));
    let ask = async |id: &str| {
        daemon.send(daemon.request("GET", "/api/v1/documents").header("x-request-id", id)).await.ok();
    };
    ask("before").await;
    std::fs::write(daemon.data().join("config.yaml"), config("debug")).unwrap();
    let answer = daemon.post("/api/v1/admin/reload", &json!({})).await.ok();
    assert_eq!(answer["needs_restart"], json!([]), "{answer}");
    ask("after").await;
    let wrong = daemon.data().join("config.yaml");
    std::fs::write(&wrong, config("loud")).unwrap();
    daemon.post("/api/v1/admin/reload", &json!({})).await.problem(422, "invalid_value");
    ask("still").await;
    let data = daemon.end();
    let logs = data.path().join("logs");
    assert_eq!(lines(&logs, "\"before\"").len(), 0);
    assert!(!lines(&logs, "\"after\"").is_empty() && !lines(&logs, "\"still\"").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_on_the_way_name_the_request() {
    let (data, server) = (data_dir(), ModelServer::start());
    let logs = data.path().join("logs");
    let config = format!(
        "log: {{level: warn, dir: {:?}}}\nbackends: {{default: slow, extractive: {{plugin: extractive}}, \
         slow: {{plugin: openai, model: starting, base_url: \"http://127.0.0.1:{}/v1\", fallback: extractive}}}}",
        logs.to_str().unwrap(),
        server.port
    );
    let daemon = TestDaemon::start_on_with(data, &config);
    daemon.add("pump.md", "The heat pump was serviced in May.").await;
    let request =
        daemon.request("POST", "/api/v1/query").json(&json!({"query": "When was the pump serviced?"}));
    let answer = daemon.send(request.header("x-request-id", "asks-a-model-that-starts")).await;
    assert_eq!(answer.ok()["backend"], "extractive");
    let data = daemon.end();
    let said = lines(&data.path().join("logs"), "asks-a-model-that-starts");
    assert!(said.iter().any(|line| line.contains("WARN") && line.contains("smartrag::answer")), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_the_memory_of_plugins() {
    let daemon = TestDaemon::start();
    daemon.add("pump.md", "The heat pump was serviced in May.").await;
    let metrics = daemon.get("/metrics").await.body;
    let of_embedder = "smartrag_plugin_memory_bytes{plugin=\"static-embed\"} ";
    let bytes: u64 =
        metrics.lines().find_map(|line| line.strip_prefix(of_embedder)).unwrap().parse().unwrap();
    assert!(bytes >= 64 << 10, "{bytes}");
}
