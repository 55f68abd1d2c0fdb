//! Stores of earlier formats, made by scripts/make-store-fixture.py, open and answer as they did.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{PATIENCE, TestDaemon, data_dir};

/// What says when, not what: it changes when somebody asks.
const TIMES_OF_USE: [&str; 2] = ["last_active", "last_used_at"];

fn archives() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data")).unwrap();
    let is_store = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("store-");
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(is_store).collect();
    found.sort();
    found
}

fn without_times_of_use(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(fields) => {
            fields.retain(|name, _| !TIMES_OF_USE.contains(&name.as_str()));
            fields.values_mut().for_each(|value| *value = without_times_of_use(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_times_of_use(item.take())),
        _ => {}
    }
    answer
}

/// Without the fields that later versions added.
fn as_before(answer: Value, before: &Value) -> Value {
    match (answer, before) {
        (Value::Object(fields), Value::Object(known)) => fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.clone(), as_before(value, known.get(&name)?))))
            .collect(),
        (Value::Array(items), Value::Array(known)) if items.len() == known.len() => {
            items.into_iter().zip(known).map(|(item, known)| as_before(item, known)).collect()
        }
        (answer, _) => answer,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_earlier_formats_answer_as_they_did() {
    let archives = archives();
    assert!(!archives.is_empty());
    for archive in archives {
        let data = data_dir();
        let mut untar = Command::new("tar");
        untar
            .arg("-xzf")
            .arg(&archive)
            .args(["--no-same-owner", "--strip-components=1", "-C"])
            .arg(data.path());
        assert!(untar.arg("data").status().unwrap().success());
        let answers = Command::new("tar").arg("-xzOf").arg(&archive).arg("answers.json").output().unwrap();
        let recorded: Value = serde_json::from_slice(&answers.stdout).unwrap();
        let daemon = TestDaemon::start_on_with(data, "auth: {mode: keys}");
        for question in recorded["answers"].as_array().unwrap() {
            let (user, path) = (question["user"].as_str().unwrap(), question["path"].as_str().unwrap());
            let request = daemon.request("GET", &format!("/api/v1{path}")).bearer_auth(key(&recorded, user));
            let answer = daemon.send(request).await.ok();
            let before = without_times_of_use(question["answer"].clone());
            let answer = as_before(without_times_of_use(answer), &before);
            assert_eq!(answer, before, "{}: {user} {path}", archive.display());
        }
        goes_on(&daemon, &recorded).await;
        // What it made of the store opens again.
        let daemon = TestDaemon::start_on_with(daemon.kill(), "auth: {mode: keys}");
        finds(&daemon, key(&recorded, "ann"), "shelf maps", "large.html").await;
    }
}

fn key<'a>(recorded: &'a Value, user: &str) -> &'a str {
    recorded["keys"][user].as_str().unwrap()
}

/// Indexes are made anew from it, and it takes in more.
async fn goes_on(daemon: &TestDaemon, recorded: &Value) {
    let ann = key(recorded, "ann");
    finds(daemon, ann, "Who serviced the heat pump?", "pump.md").await;
    let new = json!({"filename": "owl.txt", "text": "An owl nests in the barn."});
    let request = daemon.request("POST", "/api/v1/documents?wait=true").bearer_auth(ann).json(&new);
    assert_eq!(daemon.send(request).await.ok()["status"], "ready");
    finds(daemon, ann, "owl barn", "owl.txt").await;
}

async fn finds(daemon: &TestDaemon, key: &str, query: &str, filename: &str) {
    let begun = Instant::now();
    loop {
        let request =
            daemon.request("POST", "/api/v1/search").bearer_auth(key).json(&json!({"query": query}));
        let found = daemon.send(request).await.ok();
        if found["results"][0]["document"]["filename"] == filename
            || found["results"][0]["filename"] == filename
        {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{found}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
