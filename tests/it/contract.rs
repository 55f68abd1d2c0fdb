//! The API against its own document: schemathesis makes requests of it, good ones and bad ones, and judges the answers.
//! `scripts/fetch-contract.sh` brings it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{SMARTRAG, TestDaemon, free_port};

/// Not tried out, and why.
const EXCLUDED: &[(&str, &str)] = &[
    ("^/ws/", "sockets are no requests: see sockets.rs"),
    ("^/api/v1/events$", "answers without end: see events.rs"),
    ("^/mcp$", "the protocol has a client of its own: see clients.rs"),
    ("^/api/v1/admin/reload$", "reads what nobody changed: see reload.rs"),
];

/// What there is for requests to name.
struct There {
    daemon: TestDaemon,
    names: Value,
}

async fn fill(daemon: TestDaemon, key: Option<&str>) -> There {
    let post = async |path: &str, body: Value| {
        let request = daemon.request("POST", path).json(&body);
        let request = match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        daemon.send(request).await.ok()
    };
    let text = "# Pond\n\nThe heron stands in the pond and waits for a fish.";
    // With a key the daemon chooses the id.
    let named = if key.is_none() { json!({"session_id": "pond"}) } else { json!({}) };
    let session = post("/api/v1/sessions", named).await["session_id"].clone();
    let created = json!({"filename": "pond.md", "text": text, "tags": ["birds"], "session_id": session});
    let document = post("/api/v1/documents?wait=true", created).await;
    post(
        "/api/v1/documents?wait=true",
        json!({"filename": "b.txt", "text": "A pelican.", "collection": "birds"}),
    )
    .await;
    let conversation = post("/api/v1/conversations", json!({"session_id": session, "title": "Birds"})).await;
    let names = json!({
        "session_id": session,
        "document_id": document["document_id"],
        "conversation_id": conversation["conversation_id"],
        "collection": "birds",
        "enricher": "keywords",
    });
    There { daemon, names }
}

impl There {
    /// Runs schemathesis and fails with its own report.
    fn holds(&self, url: &str, arguments: &[&str]) {
        let Some(python) = tool() else { return };
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data");
        let mut command = Command::new(python.with_file_name("schemathesis"));
        command.arg("--config-file").arg(data.join("contract.toml"));
        command.args(["run", "--no-color", "--checks", "all", "--url", url]);
        // Of several filters of a kind only the last counts.
        let excluded: Vec<&str> = EXCLUDED.iter().map(|(path, _)| *path).collect();
        command.args(["--exclude-path-regex", &excluded.join("|")]);
        command.args(arguments).arg(format!("{}/openapi.json", self.daemon.url));
        command.env("SCHEMATHESIS_HOOKS", data.join("contract_hooks.py"));
        command.env("CONTRACT_THERE", self.names.to_string());
        command.current_dir(self.daemon.data());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{errors}");
        println!("{}", said.lines().rev().take(12).collect::<Vec<_>>().join("\n"));
    }
}

/// The interpreter that has it; says so where it is missing.
fn tool() -> Option<PathBuf> {
    let target = Path::new(SMARTRAG).ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
    let found = Some(target.join("contract/python/bin/python")).filter(|path| path.exists());
    if found.is_none() {
        eprintln!("SKIPPED: no schemathesis; ./scripts/fetch-contract.sh brings it");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_holds() {
    let there = fill(TestDaemon::start(), None).await;
    there.holds(
        &there.daemon.url,
        &["--exclude-tag", "ollama", "--phases", "examples,coverage,fuzzing", "--max-examples", "4"],
    );
}

/// What one request made, others ask for.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_holds_from_one_request_to_the_next() {
    let there = fill(TestDaemon::start(), None).await;
    there.holds(
        &there.daemon.url,
        &["--exclude-tag", "ollama", "--phases", "stateful", "--max-examples", "100"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_holds_at_the_door_of_ollama() {
    let port = free_port();
    let there = fill(TestDaemon::start_with(&format!("api: {{ollama_port: {port}}}")), None).await;
    let url = format!("http://127.0.0.1:{port}");
    there.holds(
        &url,
        &["--include-tag", "ollama", "--phases", "examples,coverage,fuzzing", "--max-examples", "4"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_answers_without_a_key_that_wants_one() {
    let (daemon, [key]) = TestDaemon::start_with_keys([("ann", "user")], "");
    let there = fill(daemon, Some(&key)).await;
    let header = format!("Authorization: Bearer {key}");
    let arguments =
        ["--exclude-tag", "ollama", "--phases", "fuzzing", "--mode", "positive", "--max-examples", "2"];
    there.holds(&there.daemon.url, &[&arguments[..], &["--header", &header]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_text_is_the_name_of_nothing() {
    let daemon = TestDaemon::start();
    for path in ["/api/v1/collections/default/grants/%ff", "/api/v1/sessions/%ff"] {
        daemon.delete(path).await.problem(404, "not_found");
    }
    assert_eq!(daemon.get("/v1/models/%ff").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_be_cut_before_its_first_word() {
    let daemon = TestDaemon::start();
    let asked = json!({"query": "What is there?", "options": {"max_tokens": 1}});
    let answer = daemon.post("/api/v1/query", &asked).await.ok();
    assert_eq!(answer["finish_reason"], "length", "{answer}");
    assert_eq!(answer["answer"], "");
}
