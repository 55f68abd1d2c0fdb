//! Versions of a file, many documents at once, conditions, and work that is stopped.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::model_server::ModelServer;
use crate::support::{PATIENCE, TestDaemon};

async fn add(daemon: &TestDaemon, path: Option<&str>, text: &str) -> Value {
    let mut body = json!({"filename": "a.md", "text": text});
    if let Some(path) = path {
        body["path"] = path.into();
    }
    daemon.post("/api/v1/documents?wait=true", &body).await.ok()
}

/// Texts of all hits for a word.
async fn found(daemon: &TestDaemon, word: &str) -> Vec<String> {
    let hits = daemon.search(&json!({"query": word, "mode": "keyword", "fold": false, "top_k": 50})).await;
    let mut texts: Vec<String> = hits.iter().map(|hit| hit["content"].as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

async fn listed(daemon: &TestDaemon) -> Vec<Value> {
    daemon.get("/api/v1/documents").await.ok()["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_takes_the_place_of_the_old_one() {
    let daemon = TestDaemon::start();
    let first = add(&daemon, Some("/notes/a.md"), "Heron one.").await["document_id"].clone();
    let same = add(&daemon, Some("/notes/a.md"), "Heron one.").await;
    assert_eq!((&same["document_id"], &same["duplicate"]), (&first, &json!(true)));
    let second = add(&daemon, Some("/notes/a.md"), "Heron two.").await["document_id"].clone();
    assert_ne!(first, second);
    assert_eq!(found(&daemon, "heron").await, ["Heron two."]);
    daemon.get(&format!("/api/v1/documents/{}", first.as_str().unwrap())).await.problem(404, "not_found");
    let document = daemon.get(&format!("/api/v1/documents/{}", second.as_str().unwrap())).await.ok();
    assert_eq!(document["path"], "/notes/a.md");
    let by_path = daemon.get("/api/v1/documents?path=/notes/a.md").await.ok();
    assert_eq!(by_path["items"].as_array().unwrap().len(), 1);

    // Without a path, and in another collection, nothing is replaced.
    add(&daemon, None, "Heron three.").await;
    let other = json!({"filename": "a.md", "text": "Heron four.", "path": "/notes/a.md", "collection": "c"});
    daemon.post("/api/v1/documents?wait=true", &other).await.ok();
    assert_eq!(found(&daemon, "heron").await, ["Heron three.", "Heron two."]);

    // A version that fails leaves the old one.
    let form = reqwest::multipart::Form::new().text("path", "/notes/a.md");
    let broken = reqwest::multipart::Part::bytes(b"%PDF-1.7 nothing".to_vec()).file_name("a.pdf");
    let request = daemon.request("POST", "/api/v1/documents/upload?wait=true");
    let item = daemon.send(request.multipart(form.part("file", broken))).await.ok()["items"][0].clone();
    assert_eq!(item["status"], "failed");
    assert_eq!(found(&daemon, "heron").await, ["Heron three.", "Heron two."]);
    // The next one that is fit replaces both.
    add(&daemon, Some("/notes/a.md"), "Heron five.").await;
    assert_eq!(found(&daemon, "heron").await, ["Heron five.", "Heron three."]);
    assert_eq!(listed(&daemon).await.len(), 3);

    // Bytes that are there from elsewhere are what stands there now; they stay while one place has them.
    add(&daemon, Some("/notes/b.md"), "Heron six.").await;
    let moved = add(&daemon, Some("/notes/a.md"), "Heron six.").await;
    assert_eq!(moved["duplicate"], true);
    assert_eq!(found(&daemon, "heron").await, ["Heron six.", "Heron three."]);
    add(&daemon, Some("/notes/b.md"), "Heron seven.").await;
    assert_eq!(found(&daemon, "heron").await, ["Heron seven.", "Heron six.", "Heron three."]);
    add(&daemon, Some("/notes/a.md"), "Heron eight.").await;
    assert_eq!(found(&daemon, "heron").await, ["Heron eight.", "Heron seven.", "Heron three."]);

    // A large original goes with its version.
    let large = "Heron nine. ".repeat(20_000);
    add(&daemon, Some("/notes/large.md"), &large).await;
    let files = |dir: &std::path::Path| {
        let all = walkdir::WalkDir::new(dir.join("file_storage")).into_iter().flatten();
        all.filter(|entry| entry.file_type().is_file()).count()
    };
    assert_eq!(files(daemon.data()), 1);
    add(&daemon, Some("/notes/large.md"), "Heron ten.").await;
    assert_eq!(files(daemon.data()), 0);

    // After a crash all that holds.
    let daemon = TestDaemon::start_on(daemon.kill());
    assert_eq!(found(&daemon, "heron").await, ["Heron eight.", "Heron seven.", "Heron ten.", "Heron three."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_versions_at_once_leave_the_newest() {
    let daemon = TestDaemon::start();
    let lines: String = (0..300)
        .map(|nth| {
            json!({"filename": "a.md", "path": "/a.md", "text": format!("Otter {nth}.")}).to_string() + "\n"
        })
        .collect();
    let request = daemon.request("POST", "/api/v1/documents/batch").body(lines);
    assert_eq!(daemon.send(request).await.status, 200);
    let until = Instant::now() + PATIENCE;
    while !listed(&daemon).await.iter().all(|document| document["status"] == "ready")
        || listed(&daemon).await.len() > 1
    {
        assert!(Instant::now() < until, "{:?}", listed(&daemon).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(found(&daemon, "otter").await, ["Otter 299."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_go_by_a_filter_after_a_look() {
    let daemon = TestDaemon::start();
    for nth in 0..7 {
        let tag = if nth % 2 == 0 { "even" } else { "odd" };
        let body = json!({"filename": format!("{nth}.md"), "text": format!("Crane {nth}."), "tags": [tag],
            "metadata": {"nth": nth}});
        daemon.post("/api/v1/documents?wait=true", &body).await.ok();
    }
    let filter = json!({"tags": ["even"], "metadata.nth": {"gte": 2}});
    let delete = |body: Value| {
        let daemon = &daemon;
        async move { daemon.post("/api/v1/documents/delete", &body).await }
    };
    let looked = delete(json!({"filter": filter, "dry_run": true})).await.ok();
    assert_eq!((&looked["documents"], &looked["dry_run"]), (&json!(3), &json!(true)), "{looked}");
    assert_eq!(found(&daemon, "crane").await.len(), 7);
    let deleted = delete(json!({"filter": filter})).await.ok();
    assert_eq!(deleted["document_ids"], looked["document_ids"]);
    assert_eq!(found(&daemon, "crane").await, ["Crane 0.", "Crane 1.", "Crane 3.", "Crane 5."]);
    assert_eq!(delete(json!({"filter": filter})).await.ok()["documents"], 0);
    delete(json!({"filter": {}})).await.problem(422, "invalid_value");
    delete(json!({"filter": {"colour": "red"}})).await.problem(400, "unknown_filter_key");
    delete(json!({"filter": filter, "collection": "bob/c"})).await.problem(422, "unknown_collection");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_tell_what_was_changed_meanwhile() {
    let daemon = TestDaemon::start();
    let id = add(&daemon, None, "Swans fly.").await["document_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/documents/{id}");
    let tag = daemon.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
    let known = daemon.send(daemon.request("GET", &path).header("if-none-match", &tag)).await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    let refused = daemon.send(daemon.request("DELETE", &path).header("if-match", "\"other\"")).await;
    refused.problem(412, "precondition_failed");
    assert_eq!(daemon.send(daemon.request("DELETE", &path).header("if-match", &tag)).await.status, 200);

    let asked = daemon.post("/api/v1/query", &json!({"query": "Do swans fly?"})).await.ok();
    let path = format!("/api/v1/conversations/{}", asked["conversation_id"].as_str().unwrap());
    let tag = daemon.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
    let change = |title: &str, tag: &str| {
        let request = daemon.request("PATCH", &path).header("if-match", tag);
        daemon.send(request.json(&json!({"title": title})))
    };
    assert_eq!(change("Swans", &tag).await.status, 200);
    change("Geese", &tag).await.problem(412, "precondition_failed");
    assert_eq!(daemon.get(&path).await.ok()["title"], "Swans");
    // Of many who change it at once, knowing the same, one may.
    let tag = daemon.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
    let names: Vec<String> = (0..8).map(|nth| format!("Duck {nth}")).collect();
    let answers = futures_util::future::join_all(names.iter().map(|name| change(name, &tag))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_on_a_document_can_be_stopped() {
    let server = ModelServer::start();
    let config = format!(
        "embedder: {{plugin: openai-embed, model: plain, base_url: \"{}\"}}\ningest: {{workers: 1}}\n",
        server.url()
    );
    let daemon = TestDaemon::start_with(&config);
    let done = add(&daemon, None, "Geese rest.").await["document_id"].as_str().unwrap().to_owned();
    daemon.post(&format!("/api/v1/documents/{done}/cancel"), &Value::Null).await.problem(409, "conflict");
    // It waits for its vectors as long as there is no server.
    drop(server);
    let body = json!({"filename": "b.md", "text": "Ducks dive."});
    let id = daemon.post("/api/v1/documents", &body).await.ok()["document_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/documents/{id}");
    let stopped = daemon.post(&format!("{path}/cancel"), &Value::Null).await.ok();
    assert_eq!((&stopped["status"], &stopped["error"]["code"]), (&json!("failed"), &json!("cancelled")));
    daemon.post(&format!("{path}/cancel"), &Value::Null).await.problem(409, "conflict");
    // Also after a restart, and until somebody wants it again.
    let waits = daemon.get("/api/v1/health").await.ok()["metrics"]["documents_queued"].clone();
    assert_eq!(waits, 0);
    let again = daemon.post(&format!("{path}/reprocess"), &Value::Null).await;
    assert_eq!(again.status, 202);
    assert_ne!(again.json()["status"], "failed");
}
