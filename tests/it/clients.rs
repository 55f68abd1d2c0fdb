//! The client libraries that people use, in their own language. `scripts/fetch-llm.sh` brings them.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::model_server::ModelServer;
use crate::support::{TestDaemon, llm_tool};

#[tokio::test(flavor = "multi_thread")]
async fn openai_and_langchain() {
    let Some(python) = llm_tool("python/bin/python") else { return };
    let server = ModelServer::start();
    let config = format!(
        "backends:\n  default: server\n  server: {{plugin: openai, model: plain, base_url: \"{}\"}}\n",
        server.url()
    );
    let daemon = TestDaemon::start_with(&config);
    daemon.add("pond.md", "# Pond\n\nThe heron stands in the pond and waits for a fish.").await;
    let other = json!({"filename": "b.txt", "text": "A pelican.", "collection": "birds"});
    daemon.post("/api/v1/documents?wait=true", &other).await.ok();
    daemon.post("/api/v1/query", &json!({"query": "Is the server there?"})).await.ok();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/openai_client.py");
    let output = Command::new(python).arg(script).arg(&daemon.url).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("all of it works"), "{said}");
}
