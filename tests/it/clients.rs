//! The client libraries that people use, in their own language. `scripts/fetch-llm.sh` brings them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::model_server::ModelServer;
use crate::support::{SMARTRAG, TestDaemon, free_port, llm_tool};

/// A daemon that knows a document and a collection, with a backend of a scripted server.
async fn daemon(server: &ModelServer, api: &str) -> TestDaemon {
    let config = format!(
        "api: {{{api}}}\nbackends:\n  default: server\n  server: {{plugin: openai, model: plain, base_url: \"{}\"}}\n",
        server.url()
    );
    let daemon = TestDaemon::start_with(&config);
    daemon.add("pond.md", "# Pond\n\nThe heron stands in the pond and waits for a fish.").await;
    let other = json!({"filename": "b.txt", "text": "A pelican.", "collection": "birds"});
    daemon.post("/api/v1/documents?wait=true", &other).await.ok();
    daemon.post("/api/v1/query", &json!({"query": "Is the server there?"})).await.ok();
    daemon
}

fn works(script: &str, arguments: &[&str]) {
    let Some(python) = llm_tool("python/bin/python") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data").join(script);
    let mut command = Command::new(python);
    command.arg(script).args(arguments).env_remove(OsStr::new("SMARTRAG_URL"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("all of it works"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_and_langchain() {
    let server = ModelServer::start();
    let daemon = daemon(&server, "").await;
    works("openai_client.py", &[&daemon.url]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ollama() {
    let server = ModelServer::start();
    let port = free_port();
    let daemon = daemon(&server, &format!("ollama_port: {port}")).await;
    works("ollama_client.py", &[&format!("http://127.0.0.1:{port}")]);
    // OpenAI's clients find what they know of Ollama there, too.
    let models = reqwest::get(format!("http://127.0.0.1:{port}/v1/models")).await.unwrap();
    assert_eq!(models.status(), 200);
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp() {
    let server = ModelServer::start();
    let daemon = daemon(&server, "").await;
    works("mcp_client.py", &[&daemon.url, SMARTRAG]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_rpc_is_told_in_json_rpc() {
    let daemon = TestDaemon::start();
    for body in ["{", "[]", "{}", "{\"jsonrpc\": \"2.0\", \"id\": 1}"] {
        let request = daemon.request("POST", "/mcp").header("accept", "application/json, text/event-stream");
        let answer = daemon.send(request.header("content-type", "application/json").body(body)).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        assert_eq!(answer.json()["error"]["code"], -32700, "{body}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_backend_is_a_model() {
    let daemon = TestDaemon::start();
    let models = daemon.get("/v1/models").await.ok();
    let ids: Vec<&str> =
        models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["smartrag", "extractive/extractive"]);
    assert_eq!(daemon.get("/v1/models/extractive/extractive").await.ok()["owned_by"], "extractive");
}
