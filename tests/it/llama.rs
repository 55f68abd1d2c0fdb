//! A real model server: llama.cpp's own, with a small model. `scripts/fetch-llm.sh` brings both.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{TestDaemon, llm_tool};

struct LlamaServer {
    child: Child,
    url: String,
}

impl LlamaServer {
    /// `None` where it is not installed; says so.
    fn start() -> Option<Self> {
        Self::start_for(&[])
    }

    fn start_for(purpose: &[&str]) -> Option<Self> {
        let (python, weights) = (llm_tool("python/bin/python")?, llm_tool("smollm2.gguf")?);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/llama_server.py");
        let mut command = Command::new(python);
        command.arg(script).arg(weights).args(purpose);
        // It ends with its stdin, and so with this test, however that ends.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.map_while(Result::ok).find(|line| line.starts_with("http")).expect("an address");
        Some(Self { child, url })
    }

    fn config(&self, more: &str) -> String {
        format!(
            "backends:\n  default: llama\n  llama: {{plugin: openai, base_url: \"{}/v1\"{more}}}\n",
            self.url
        )
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn daemon(config: &str) -> TestDaemon {
    let daemon = TestDaemon::start_with(config);
    daemon.add("pond.md", "# Pond\n\nThe heron stands in the pond and waits for a fish.").await;
    daemon
}

fn question(tokens: u32) -> Value {
    json!({
        "query": "Where does the heron stand?",
        "options": {"max_tokens": tokens, "temperature": 0.0, "seed": 1},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn llama_cpp_answers_whole_and_as_a_stream() {
    let Some(server) = LlamaServer::start() else { return };
    let daemon = daemon(&server.config("")).await;
    let whole = daemon.post("/api/v1/query", &question(24)).await.ok();
    let answer = whole["answer"].as_str().unwrap();
    assert!(answer.to_lowercase().contains("pond"), "{answer}");
    assert_eq!(whole["model"], "smollm2");
    let used = whole["usage"]["completion_tokens"].as_u64().unwrap();
    assert!((1..=24).contains(&used) && whole["usage"]["prompt_tokens"].as_u64().unwrap() > 50, "{whole}");

    let stream = daemon.post("/api/v1/query/stream", &question(24)).await;
    let events: Vec<Value> = stream.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let chunks = events.iter().filter(|event| event["type"] == "chunk");
    let (count, text) = chunks.fold((0, String::new()), |(count, text), event| {
        (count + 1, text + event["chunk"].as_str().unwrap())
    });
    assert!(count > 3, "{count} pieces");
    assert_eq!(events.last().unwrap()["answer"], text.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_the_window_is_left_out() {
    let Some(server) = LlamaServer::start() else { return };
    let daemon = daemon(&server.config(", context_window: 1024")).await;
    for number in 0..12 {
        let text = format!("Heron {number} stands by the river. ").repeat(60);
        daemon.add(&format!("{number}.txt"), &text).await;
    }
    let mut body = question(8);
    body["top_k"] = json!(40);
    let answer = daemon.post("/api/v1/query", &body).await.ok();
    assert_eq!(answer["truncated"], true);
    let prompt = answer["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!((500..1016).contains(&prompt), "{prompt} tokens of a window of 1024");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_told_and_replaced() {
    let Some(server) = LlamaServer::start() else { return };
    let daemon = daemon(&server.config(", fallback: extractive")).await;
    drop(server);
    let answer = daemon.post("/api/v1/query", &question(8)).await.ok();
    assert_eq!(answer["backend"], "extractive");
}

#[tokio::test(flavor = "multi_thread")]
async fn llama_cpp_makes_vectors() {
    let Some(server) = LlamaServer::start_for(&["embeddings"]) else { return };
    let config = format!("embedder: {{plugin: openai-embed, base_url: \"{}/v1\"}}\n", server.url);
    let daemon = daemon(&config).await;
    let models = daemon.get("/api/v1/models").await.ok();
    let is_embedder = |model: &&Value| model["role"] == "embedder";
    let embedder = models["items"].as_array().unwrap().iter().find(is_embedder).unwrap();
    assert_eq!(embedder["model"], "smollm2");
    // A paragraph of more tokens than the server takes at once: it counts them, so the pieces fit.
    let long: Vec<String> = (0..50)
        .map(|nth| format!("Lamp number {nth} of the lighthouse was lit at dusk by its keeper."))
        .collect();
    daemon.add("lamps.txt", &long.join(" ")).await;
    let body = json!({"query": "Where does the heron stand?", "mode": "vector", "top_k": 1});
    assert_eq!(daemon.search(&body).await[0]["filename"], "pond.md");
}
