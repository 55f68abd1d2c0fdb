//! Embedders with a server: what becomes of documents and searches while it works, fails, is away and is back.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::model_server::ModelServer;
use crate::support::{PATIENCE, TestDaemon, data_dir, serve};

/// How often a call is made before it is given up.
const TRIES: usize = 4;
const POND: &str = "# Pond\n\nThe heron stands in the pond and waits for a fish.";

fn config(server: &ModelServer, more: &str) -> String {
    format!("embedder: {{plugin: openai-embed, model: plain, base_url: \"{}\"{more}}}\n", server.url())
}

async fn embedder(daemon: &TestDaemon) -> Value {
    let models = daemon.get("/api/v1/models").await.ok();
    let items = models["items"].as_array().unwrap();
    items.iter().find(|model| model["role"] == "embedder").unwrap().clone()
}

/// The first result.
async fn first(daemon: &TestDaemon, query: &str, mode: &str) -> Value {
    let hits = daemon.search(&json!({"query": query, "mode": mode, "top_k": 1})).await;
    hits.first().map_or(Value::Null, |hit| hit["filename"].clone())
}

async fn until_it_is(daemon: &TestDaemon, document: &str, status: &str) {
    let until = Instant::now() + PATIENCE;
    while daemon.get(document).await.ok()["status"] != status {
        assert!(Instant::now() < until, "{}", daemon.get(document).await.body);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A document that can't be taken in: its id, and why.
async fn fails(daemon: &TestDaemon, filename: &str, text: &str) -> (String, Value) {
    let body = json!({"filename": filename, "text": text});
    let item = daemon.post("/api/v1/documents?wait=true", &body).await.ok();
    assert_eq!(item["status"], "failed", "{item}");
    (item["document_id"].as_str().unwrap().to_owned(), item)
}

async fn three_documents(daemon: &TestDaemon) {
    daemon.add("pond.md", POND).await;
    daemon.add("lamp.md", "# Lamp\n\nThe keeper lights the lamp of the tower at dusk.").await;
    daemon.add("bread.md", "# Bread\n\nThe baker kneads dough before the sun rises.").await;
    for mode in ["vector", "hybrid", "keyword"] {
        assert_eq!(first(daemon, "keeper lights the lamp", mode).await, "lamp.md", "{mode}");
        assert_eq!(first(daemon, "baker kneads dough", mode).await, "bread.md", "{mode}");
    }
}

/// Texts of all requests.
fn inputs(embeds: &[Value]) -> Vec<String> {
    let texts = embeds.iter().flat_map(|body| body["input"].as_array().unwrap());
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_found_by_vectors_of_a_server() {
    let server = ModelServer::start();
    let more = ", query_prefix: \"query: \", passage_prefix: \"passage: \"";
    let daemon = TestDaemon::start_with(&config(&server, more));
    three_documents(&daemon).await;
    let record = embedder(&daemon).await;
    assert_eq!((&record["plugin"], &record["model"]), (&json!("openai-embed"), &json!("plain")), "{record}");
    let embeds = server.embeds();
    let known = |body: &Value| body["model"] == "plain" && body["encoding_format"] == "float";
    assert!(embeds.iter().all(known), "{embeds:?}");
    let inputs = inputs(&embeds);
    assert!(inputs.iter().any(|text| text.starts_with("passage: Pond\nThe heron stands")), "{inputs:?}");
    assert!(inputs.iter().any(|text| text == "query: baker kneads dough"), "{inputs:?}");
    assert!(inputs.iter().all(|text| text.starts_with("passage: ") || text.starts_with("query: ")));
}

/// No Ollama can be had for the tests: this is the form that its documentation shows.
#[tokio::test(flavor = "multi_thread")]
async fn documents_are_found_by_vectors_of_ollama() {
    let server = ModelServer::start();
    let daemon = TestDaemon::start_with(&format!(
        "embedder: {{plugin: ollama-embed, base_url: \"{}\"}}\n",
        server.ollama_url()
    ));
    three_documents(&daemon).await;
    let record = embedder(&daemon).await;
    assert_eq!((&record["plugin"], &record["model"]), (&json!("ollama-embed"), &json!("plain:latest")));
    assert!(server.embeds().iter().all(|body| body["truncate"] == true));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_code_and_the_next_document_works() {
    let server = ModelServer::start();
    let daemon = TestDaemon::start_with(&config(&server, ", timeout_s: 1"));
    daemon.add("pond.md", POND).await;
    for (model, code, says) in [
        ("few", "backend_error", "asked for vectors of 1 texts and answered with 0"),
        ("narrow", "backend_error", "of 32 numbers, not of 64"),
        ("holes", "backend_error", "more than numbers"),
        ("broken", "backend_error", "out of memory"),
        ("page", "backend_error", "a page for people"),
        ("unknown", "unknown_model", "does not have that model"),
        ("small", "limit", "ingest.chunker.tokens"),
    ] {
        server.embeds_as(Some(model));
        let (_, item) = fails(&daemon, "other.md", &format!("A text for the model {model}.")).await;
        assert_eq!(item["code"], code, "{model}: {item}");
        assert!(item["detail"].as_str().unwrap().contains(says), "{model}: {item}");
        assert_eq!(first(&daemon, "heron pond", "hybrid").await, "pond.md", "{model}");
        server.embeds_as(None);
        assert_eq!(first(&daemon, "heron pond", "vector").await, "pond.md", "after {model}");
    }
    daemon.add("last.md", "And one more text.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_by_vectors_alone_say_what_is_wrong() {
    let server = ModelServer::start();
    let daemon = TestDaemon::start_with(&config(&server, ", query_timeout_s: 1"));
    daemon.add("pond.md", POND).await;
    let body = json!({"query": "heron pond", "mode": "vector"});
    for (model, status, code) in [
        ("few", 502, "backend_error"),
        ("narrow", 502, "backend_error"),
        ("broken", 502, "backend_error"),
        ("page", 502, "backend_error"),
        ("busy", 503, "backend_unavailable"),
        ("silent", 504, "backend_timeout"),
    ] {
        server.embeds_as(Some(model));
        daemon.post("/api/v1/search", &body).await.problem(status, code);
        let begun = Instant::now();
        for mode in ["hybrid", "keyword"] {
            assert_eq!(first(&daemon, "heron pond", mode).await, "pond.md", "{model} {mode}");
        }
        assert!(begun.elapsed() < PATIENCE, "{model}");
    }
    server.embeds_as(None);
    assert_eq!(first(&daemon, "heron pond", "vector").await, "pond.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_waits_for_a_server_that_is_starting() {
    let server = ModelServer::start();
    let daemon = TestDaemon::start_with(&config(&server, ""));
    server.embeds();
    server.embeds_as(Some("loading"));
    daemon.add("pond.md", POND).await;
    assert_eq!(server.embeds().len(), 3, "two were refused");
    assert_eq!(first(&daemon, "heron pond", "vector").await, "pond.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_goes_and_comes() {
    let server = ModelServer::start();
    let port = server.port;
    let daemon = TestDaemon::start_with(&config(&server, ""));
    daemon.add("pond.md", POND).await;
    server.embeds();
    server.embeds_as(Some("starting"));
    let body = json!({"filename": "river.md", "text": "The otter swims in the river."});
    let river = daemon.post("/api/v1/documents", &body).await.ok()["document_id"].clone();
    let path = format!("/api/v1/documents/{}", river.as_str().unwrap());
    // More often than a call is repeated: the document waits, and is not given up.
    let (until, mut tries) = (Instant::now() + PATIENCE, 0);
    while tries <= 2 * TRIES {
        assert!(Instant::now() < until, "{}", daemon.get(&path).await.body);
        tokio::time::sleep(Duration::from_millis(50)).await;
        tries += server.embeds().len();
    }
    drop(server);
    until_it_is(&daemon, &path, "embedding").await;
    assert_eq!(daemon.get(&path).await.ok()["error"], Value::Null);
    for mode in ["keyword", "hybrid"] {
        assert_eq!(first(&daemon, "heron pond", mode).await, "pond.md", "{mode}");
    }
    let body = json!({"query": "heron pond", "mode": "vector"});
    daemon.post("/api/v1/search", &body).await.problem(503, "backend_unavailable");

    let _server = ModelServer::start_on(port);
    assert_eq!(first(&daemon, "heron pond", "vector").await, "pond.md");
    until_it_is(&daemon, &path, "ready").await;
    assert_eq!(first(&daemon, "otter swims river", "vector").await, "river.md");
}

#[test]
fn a_first_start_without_the_server_says_so() {
    let server = ModelServer::start();
    let text = config(&server, "");
    drop(server);
    let data = data_dir();
    let file = data.path().join("config.yaml");
    std::fs::write(&file, text).unwrap();
    let mut command = serve(data.path());
    command.arg("--config").arg(&file).stderr(Stdio::piped());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("can't be reached"), "{said}");
}

/// Searches until the migration is over.
async fn finish(daemon: &TestDaemon) {
    let begun = Instant::now();
    while embedder(daemon).await.get("migrations").is_some() {
        assert!(begun.elapsed() < PATIENCE, "{}", embedder(daemon).await);
        assert_eq!(first(daemon, "keeper lights the lamp", "hybrid").await, "lamp.md");
    }
    for mode in ["vector", "hybrid", "keyword"] {
        assert_eq!(first(daemon, "keeper lights the lamp", mode).await, "lamp.md", "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_changes_to_the_vectors_of_a_server_and_back() {
    let server = ModelServer::start();
    let daemon = TestDaemon::start();
    three_documents(&daemon).await;

    // It tells its dimension and then has no vectors for documents: searches use the old ones.
    server.embeds_as(Some("shy"));
    let daemon = TestDaemon::start_on_with(daemon.kill(), &config(&server, ""));
    let begun = Instant::now();
    while !embedder(&daemon).await["migrations"][0]["problem"].is_string() {
        assert!(begun.elapsed() < PATIENCE, "{}", embedder(&daemon).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let record = embedder(&daemon).await;
    let problem = record["migrations"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("out of memory"), "{record}");
    assert_eq!(first(&daemon, "baker kneads dough", "hybrid").await, "bread.md");
    server.embeds_as(None);
    finish(&daemon).await;
    assert!(inputs(&server.embeds()).iter().any(|text| text.starts_with("Bread\nThe baker")));

    // Another prefix makes other vectors, so all are made anew; the former ones are had with the former settings.
    let daemon = TestDaemon::start_on_with(daemon.kill(), &config(&server, ", passage_prefix: \"p: \""));
    finish(&daemon).await;
    assert!(inputs(&server.embeds()).iter().any(|text| text.starts_with("p: Bread\nThe baker")));

    // Back. Nothing grants the server's origin any more: keywords do until the switch.
    let daemon = TestDaemon::start_on_with(daemon.kill(), "");
    finish(&daemon).await;
    assert_eq!(embedder(&daemon).await["plugin"], "static-embed");
}

/// Another embedder is taken up at the next start; until then the one in use keeps what it needs.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_server_is_none_of_the_running_embedders_business() {
    let (server, other) = (ModelServer::start(), ModelServer::start());
    let daemon = TestDaemon::start_with(&config(&server, ""));
    daemon.add("pond.md", POND).await;
    std::fs::write(daemon.data().join("config.yaml"), config(&other, "")).unwrap();
    let report = daemon.post("/api/v1/admin/reload", &json!({})).await.ok();
    assert_eq!(report["needs_restart"], json!(["embedder"]), "{report}");
    daemon.add("lamp.md", "# Lamp\n\nThe keeper lights the lamp of the tower at dusk.").await;
    assert_eq!(first(&daemon, "keeper lights the lamp", "vector").await, "lamp.md");
    assert!(other.embeds().is_empty());
}
