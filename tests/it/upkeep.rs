//! Giving room back and building indexes anew, with a daemon and without.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::support::{SMARTRAG, TestDaemon, data_dir};

fn smartrag(arguments: &[&str], data: Option<&Path>, url: Option<&str>) -> Output {
    let mut command = Command::new(SMARTRAG);
    command.args(arguments).env_remove("SMARTRAG_CONFIG").env_remove("SMARTRAG_URL");
    if let Some(data) = data {
        command.arg("--data-dir").arg(data);
    }
    if let Some(url) = url {
        command.env("SMARTRAG_URL", url);
    }
    command.output().unwrap()
}

fn report(output: &Output) -> Value {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
}

/// Texts of some length, all different.
fn text(nth: usize) -> String {
    let lines = (0..200)
        .map(|line| format!("Reading {line} of buoy number{nth} was {}.\n", line * 7919 % 1000 + nth));
    lines.collect()
}

/// The documents, best first.
async fn hits(daemon: &TestDaemon, nth: usize, mode: &str) -> Vec<String> {
    let hits = daemon.search(&json!({"query": format!("number{nth}"), "mode": mode, "top_k": 5})).await;
    let mut names: Vec<_> = hits.iter().map(|hit| hit["filename"].as_str().unwrap().to_owned()).collect();
    names.dedup();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn room_comes_back_and_indexes_can_be_built_anew() {
    let daemon = TestDaemon::start_on(data_dir());
    let mut ids = Vec::new();
    for nth in 0..24 {
        ids.push(daemon.add(&format!("{nth}.txt"), &text(nth)).await);
    }
    for id in &ids[1..20] {
        assert_eq!(daemon.delete(&format!("/api/v1/documents/{id}")).await.status, 200);
    }
    let done = daemon.post("/api/v1/admin/optimize", &json!({})).await.ok();
    // Of 19 the last stays: it says how far the journal goes.
    assert_eq!((&done["journal_lines"], &done["compacted"]), (&json!(18), &json!(true)), "{done}");
    assert!(done["bytes_after"].as_u64() < done["bytes_before"].as_u64(), "{done}");
    assert_eq!(hits(&daemon, 0, "keyword").await, ["0.txt"]);
    assert_eq!(hits(&daemon, 5, "keyword").await, [""; 0]);

    let built = report(&smartrag(&["reindex", "--json"], None, Some(&daemon.url)));
    let expected = json!([{"owner": "anonymous", "collection": "default", "documents": 5}]);
    let mut found = built["collections"].clone();
    found[0].as_object_mut().unwrap().remove("chunks");
    assert_eq!(found, expected);
    assert_eq!(hits(&daemon, 22, "keyword").await, ["22.txt"]);
    assert!(!hits(&daemon, 22, "vector").await.is_empty());
    daemon
        .post("/api/v1/admin/reindex?collection=nowhere", &json!({}))
        .await
        .problem(422, "unknown_collection");

    let data = daemon.kill();
    // A daemon that is not there is an error only where it was named.
    let refused = smartrag(&["optimize"], None, Some("http://127.0.0.1:9"));
    assert_eq!(refused.status.code(), Some(1));
    let done = report(&smartrag(&["optimize", "--json"], Some(data.path()), None));
    assert_eq!((&done["rows"], &done["files"]), (&json!(0), &json!(0)), "{done}");
    let built = report(&smartrag(&["reindex", "--json", "--collection", "default"], Some(data.path()), None));
    assert_eq!(built["collections"][0]["documents"], 5);
    assert!(!smartrag(&["reindex", "--collection", "nowhere"], Some(data.path()), None).status.success());
    let elsewhere = tempfile::tempdir().unwrap();
    let none = smartrag(&["optimize"], Some(elsewhere.path()), None);
    assert!(String::from_utf8_lossy(&none.stderr).contains("there are no data in"), "{none:?}");

    let daemon = TestDaemon::start_on(data);
    for mode in ["keyword", "hybrid"] {
        assert_eq!(hits(&daemon, 23, mode).await[0], "23.txt");
    }
    assert_eq!(hits(&daemon, 5, "keyword").await, [""; 0]);
    let id = daemon.add("again.txt", &text(5)).await;
    assert_eq!(hits(&daemon, 5, "keyword").await, ["again.txt"], "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_on_the_command_line_wins_over_the_environment() {
    let daemon = TestDaemon::start();
    let elsewhere = tempfile::tempdir().unwrap();
    let config = elsewhere.path().join("config.yaml");
    std::fs::write(
        &config,
        format!("data_dir: {}\napi: {{bind: \"127.0.0.1:1\"}}\n", elsewhere.path().display()),
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let users = |arguments: &[&str], data: Option<&Path>, url: Option<&str>| -> Vec<String> {
        let listed = report(&smartrag(&[&["users", "list", "--json"], arguments].concat(), data, url));
        let name = |user: &Value| user["user_id"].as_str().unwrap().to_owned();
        listed.as_array().unwrap().iter().map(name).collect()
    };
    let url = Some(daemon.url.as_str());
    let made = smartrag(&["users", "create", "ann"], Some(elsewhere.path()), url);
    assert!(made.status.success(), "{made:?}");
    let made = smartrag(&["users", "create", "bob", "--config", config], None, url);
    assert!(made.status.success(), "{made:?}");
    assert_eq!(users(&[], None, url), [""; 0]);
    assert_eq!(users(&[], Some(elsewhere.path()), url), ["ann", "bob"]);
    // An address on the command line is what it says.
    assert_eq!(users(&["--config", config, "--url", &daemon.url], None, None), [""; 0]);
    let health = smartrag(&["health", "--config", config], None, url);
    assert_eq!(health.status.code(), Some(1), "{health:?}");
}
