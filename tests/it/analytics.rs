//! What was asked, kept and told.

use std::process::Command;

use serde_json::{Value, json};

use super::support::{SMARTRAG, TestDaemon};

async fn ask_all(daemon: &TestDaemon) {
    daemon.add("pond.md", "The heron stands in the pond and waits for a fish.").await;
    for _ in 0..3 {
        daemon.post("/api/v1/search", &json!({"query": "heron", "mode": "keyword"})).await.ok();
    }
    daemon.post("/api/v1/search", &json!({"query": "zeppelin", "mode": "keyword"})).await.ok();
    daemon
        .post("/api/v1/search", &json!({"query": "x", "collection": "none"}))
        .await
        .problem(422, "unknown_collection");
    daemon.post("/api/v1/query", &json!({"query": "Where does the heron stand?"})).await.ok();
}

async fn get(daemon: &TestDaemon, path: &str) -> Value {
    daemon.get(&format!("/api/v1{path}")).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_counted_and_listed_and_survive() {
    let daemon = TestDaemon::start();
    ask_all(&daemon).await;
    let figures = get(&daemon, "/analytics").await;
    assert_eq!((&figures["queries"], &figures["user_id"]), (&json!(6), &json!("anonymous")), "{figures}");
    let day = &figures["days"][0];
    assert_eq!(
        (&day["searches"], &day["questions"], &day["no_hit"], &day["failed"]),
        (&json!(5), &json!(1), &json!(1), &json!(1)),
        "{figures}"
    );
    assert_eq!(figures["latency_ms"]["search"]["count"], 4);
    assert_eq!(figures["without_hit"], json!([{"query": "zeppelin", "count": 1}]));
    assert_eq!(
        (&figures["top_documents"][0]["filename"], &figures["top_documents"][0]["uses"]),
        (&json!("pond.md"), &json!(4))
    );
    assert_eq!(figures["backends"]["extractive"], 1);
    assert_eq!(get(&daemon, "/analytics?from=2020-01-01&to=2020-02-01").await["queries"], 0);
    daemon.get("/api/v1/analytics?from=2020-01-01&to=2019-01-01").await.problem(422, "invalid_value");
    daemon.get("/api/v1/analytics?from=soon").await.problem(422, "invalid_value");

    // By pages, newest first.
    let first = get(&daemon, "/analytics/queries?limit=4").await;
    let second = get(
        &daemon,
        &format!("/analytics/queries?limit=4&cursor={}", first["next_cursor"].as_str().unwrap()),
    )
    .await;
    assert_eq!(second["next_cursor"], Value::Null);
    let all: Vec<&Value> =
        first["items"].as_array().unwrap().iter().chain(second["items"].as_array().unwrap()).collect();
    let asked: Vec<_> = all.iter().map(|one| one["query"].as_str().unwrap()).collect();
    assert_eq!(asked, ["Where does the heron stand?", "x", "zeppelin", "heron", "heron", "heron"]);
    assert_eq!(
        (&all[0]["kind"], &all[0]["backend"], &all[0]["outcome"]),
        (&json!("question"), &json!("extractive"), &json!("answered"))
    );

    // What is of others is theirs.
    let request = daemon.request("GET", "/api/v1/analytics").header("x-smartrag-user", "bob");
    assert_eq!(daemon.send(request).await.ok()["queries"], 0);
    assert_eq!(get(&daemon, "/analytics?user_id=*").await["queries"], 6);

    // The end of the daemon writes down the rest.
    daemon.post("/api/v1/search", &json!({"query": "last", "mode": "keyword"})).await.ok();
    let daemon = TestDaemon::start_on(daemon.end());
    assert_eq!(get(&daemon, "/analytics").await["queries"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_see_what_everybody_asks() {
    let users = [("root", "admin"), ("ann", "user"), ("bob", "reader")];
    let (daemon, [root, ann, bob]) = TestDaemon::start_with_keys(users, "");
    let call = |method: &str, path: &str, key: &str| {
        daemon.request(method, &format!("/api/v1{path}")).bearer_auth(key)
    };
    daemon.send(call("POST", "/search", &ann).json(&json!({"query": "zyxophant"}))).await.ok();
    for path in [
        "/analytics?user_id=*",
        "/analytics?user_id=ann",
        "/analytics/queries?user_id=*",
        "/analytics/queries?user_id=ann",
    ] {
        daemon.send(call("GET", path, &bob)).await.problem(403, "forbidden");
    }
    for path in ["/analytics", "/analytics/queries"] {
        let told = daemon.send(call("GET", path, &bob)).await.ok().to_string();
        assert!(!told.contains("zyxophant"), "{told}");
        let told = daemon.send(call("GET", &format!("{path}?user_id=*"), &root)).await.ok().to_string();
        assert!(told.contains("zyxophant"), "{told}");
    }
    let report = |key: &str, arguments: &[&str]| {
        let mut command = Command::new(SMARTRAG);
        command.args(["report", "--url", &daemon.url, "--api-key", key]).args(arguments);
        command.env_remove("SMARTRAG_CONFIG").output().unwrap()
    };
    let own = report(&ann, &["--last-week"]);
    assert!(
        own.status.success() && String::from_utf8_lossy(&own.stdout).contains("1 queries of ann"),
        "{own:?}"
    );
    assert!(String::from_utf8_lossy(&own.stderr).contains("the queries of ann"), "{own:?}");
    let all: Value = serde_json::from_slice(&report(&root, &["--json"]).stdout).unwrap();
    assert_eq!((&all["user_id"], &all["queries"]), (&Value::Null, &json!(1)));
    assert_eq!(report(&ann, &["--of", "bob"]).status.code(), Some(1));
    // With the user the log goes.
    daemon.send(call("DELETE", "/admin/users/ann?purge=true", &root)).await.ok();
    assert_eq!(daemon.send(call("GET", "/analytics?user_id=*", &root)).await.ok()["queries"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_can_be_turned_off_or_keep_no_texts() {
    let daemon = TestDaemon::start_with("analytics: {log: false}\n");
    ask_all(&daemon).await;
    assert_eq!(get(&daemon, "/analytics?user_id=*").await["queries"], 0);
    drop(daemon);
    let daemon = TestDaemon::start_with("analytics: {texts: false}\n");
    ask_all(&daemon).await;
    let listed = get(&daemon, "/analytics/queries").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 6);
    assert!(listed["items"].as_array().unwrap().iter().all(|one| one["query"].is_null()));
    assert_eq!(get(&daemon, "/analytics").await["without_hit"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_for_people_and_machines() {
    let daemon = TestDaemon::start();
    ask_all(&daemon).await;
    let smartrag = |arguments: &[&str]| {
        let mut command = Command::new(SMARTRAG);
        command.args(arguments).args(["--url", &daemon.url]).env_remove("SMARTRAG_CONFIG");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let markdown = smartrag(&["report", "--last-week"]);
    assert!(markdown.contains("6 queries") && markdown.contains("| pond.md | default | 4 |"), "{markdown}");
    assert!(markdown.contains("| zeppelin | 1 |") && markdown.contains("| state | healthy |"), "{markdown}");
    let file = daemon.data().join("report.html");
    smartrag(&["report", "--last-week", "--format", "html", "--out", file.to_str().unwrap()]);
    let html = std::fs::read_to_string(file).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("zeppelin"), "{html}");
    let figures: Value = serde_json::from_str(&smartrag(&["report", "--json"])).unwrap();
    assert_eq!(figures["queries"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_of_the_machine_are_kept() {
    let daemon = TestDaemon::start();
    let samples = loop {
        // The first is taken beside the start.
        let samples = get(&daemon, "/metrics?format=json").await;
        if samples["items"] != json!([]) {
            break samples;
        }
    };
    let sample = &samples["items"][0];
    assert!(sample["memory_bytes"].as_u64().unwrap() > 1 << 20, "{samples}");
    assert_eq!((&sample["backends"], &sample["backends_ready"]), (&json!(1), &json!(1)));
    // A start takes one: so there are two after another.
    let daemon = TestDaemon::start_on(daemon.end());
    while get(&daemon, "/metrics?format=json").await["items"].as_array().unwrap().len() < 2 {}
}
