//! From one embedder to another while everything runs: the shipped one, and the sample of a native one.

use std::time::Instant;

use serde_json::{Value, json};

use super::native::{NAME, config, library, sha256sum};
use super::support::{PATIENCE, TestDaemon};

const DOCUMENTS: usize = 150;

fn name(nth: usize) -> String {
    format!("{nth}.txt")
}

/// Each has a word of its own.
fn text(nth: usize) -> String {
    format!("The buoy sends its position every hour. Its name is Kennwort{nth}x{}.", nth * 7919 % 997)
}

async fn fill(daemon: &TestDaemon) {
    let line = |nth| json!({"filename": name(nth), "text": text(nth)}).to_string() + "\n";
    let body: String = (0..DOCUMENTS).map(line).collect();
    let request = daemon.request("POST", "/api/v1/documents/batch?wait=true").body(body);
    let answer = daemon.send(request).await;
    let ready = |line: &str| serde_json::from_str::<Value>(line).unwrap()["status"] == "ready";
    assert!(answer.body.lines().filter(|line| ready(line)).count() == DOCUMENTS, "{}", answer.body);
}

/// The embedder's record.
async fn embedder(daemon: &TestDaemon) -> Value {
    let models = daemon.get("/api/v1/models").await.ok();
    let items = models["items"].as_array().unwrap();
    items.iter().find(|model| model["role"] == "embedder").unwrap().clone()
}

/// Every document is found by its own text, whatever the embedder is doing.
async fn check(daemon: &TestDaemon, modes: &[&str]) {
    for nth in [0, 1, DOCUMENTS / 2, DOCUMENTS - 1] {
        for mode in modes {
            let hits = daemon.search(&json!({"query": text(nth), "mode": mode, "top_k": 3})).await;
            assert!(hits.iter().any(|hit| hit["filename"] == name(nth)), "{mode} {nth}: {hits:?}");
        }
    }
}

/// Searches until the migration is over.
async fn finish(daemon: &TestDaemon, modes: &[&str]) {
    let begun = Instant::now();
    while embedder(daemon).await.get("migrations").is_some() {
        assert!(begun.elapsed() < PATIENCE, "{}", embedder(daemon).await);
        check(daemon, modes).await;
    }
    check(daemon, &["keyword", "vector", "hybrid"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_go_on_while_a_collection_changes_to_another_embedder() {
    let (_dir, path) = library();
    let native = config(NAME, &path, &sha256sum(&path));
    let daemon = TestDaemon::start();
    fill(&daemon).await;
    check(&daemon, &["keyword", "vector", "hybrid"]).await;
    let before = embedder(&daemon).await;

    // There and killed at once, so that the next one goes on.
    let mut data = daemon.kill();
    for _ in 0..2 {
        let daemon = TestDaemon::start_on_with(data, &native);
        check(&daemon, &["hybrid"]).await;
        data = daemon.kill();
    }
    let daemon = TestDaemon::start_on_with(data, &native);
    let extra = daemon.add("extra.txt", "The lighthouse keeper is called Quarzstein.").await;
    finish(&daemon, &["keyword", "vector", "hybrid"]).await;
    let after = embedder(&daemon).await;
    assert!(after["plugin"] == NAME && before["plugin"] != NAME, "{before} {after}");
    // Only the sample knows parts of words.
    let body = json!({"query": "Quarzsteine", "mode": "vector", "top_k": 1});
    assert_eq!(daemon.search(&body).await[0]["document_id"], extra.as_str());
    let health = daemon.get("/api/v1/health").await.ok();
    assert_eq!(health["components"]["vector_index"]["status"], "healthy", "{health}");

    // Back, and the library is not there any more: keywords do until the switch.
    let data = daemon.kill();
    let daemon = TestDaemon::start_on_with(data, "");
    finish(&daemon, &["keyword", "hybrid", "vector"]).await;
    assert_eq!(embedder(&daemon).await["plugin"], before["plugin"]);
    let done = daemon.post("/api/v1/admin/optimize", &json!({})).await.ok();
    assert_eq!(done["rows"], 0, "vectors of the former embedder are gone by themselves: {done}");
}
