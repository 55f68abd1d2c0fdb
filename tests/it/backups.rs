//! Backups of a daemon at work, and the way back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{PATIENCE, SMARTRAG, TestDaemon, data_dir};

fn command(arguments: &[&str], data: Option<&Path>) -> Command {
    let mut command = Command::new(SMARTRAG);
    command.args(arguments).env_remove("SMARTRAG_CONFIG").env_remove("SMARTRAG_URL");
    if let Some(data) = data {
        command.arg("--data-dir").arg(data);
    }
    command
}

fn smartrag(arguments: &[&str], data: Option<&Path>) -> Output {
    command(arguments, data).output().unwrap()
}

fn report(output: &Output) -> Value {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
}

/// What a command says that fails.
fn refusal(arguments: &[&str], data: &Path) -> String {
    let output = smartrag(arguments, Some(data));
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

const SUBJECTS: [&str; 5] = ["heron", "harbour", "lantern", "granite", "violin"];

/// A text with a word of its own; every third one is a file of its own in the store.
fn text(nth: usize) -> String {
    let subject = SUBJECTS[nth % 5];
    let first = format!("The {subject} of entry unique{nth} was measured at {} metres.\n", nth * 37 % 101);
    let more =
        |line: usize| format!("Line {line} about the {subject} notes the value {}.\n", line * 7919 + nth);
    let lines = if nth.is_multiple_of(3) { 1600 } else { 3 };
    std::iter::once(first).chain((0..lines).map(more)).collect()
}

async fn add(daemon: &TestDaemon, nth: usize) -> String {
    daemon.add(&format!("{nth}.txt"), &text(nth)).await
}

/// Everything that a caller sees of an instance, but for what differs between two of the same: times and ids of answers.
async fn seen(daemon: &TestDaemon) -> Value {
    let mut seen = BTreeMap::new();
    for word in SUBJECTS {
        for mode in ["keyword", "vector", "hybrid"] {
            let body = json!({"query": format!("How high was the {word}?"), "mode": mode, "top_k": 20});
            let hits = daemon.search(&body).await;
            let hit = |hit: &Value| json!([hit["chunk_id"], hit["score"], hit["text"]]);
            seen.insert(format!("{mode} {word}"), json!(hits.iter().map(hit).collect::<Vec<_>>()));
        }
        let body = json!({"query": format!("At how many metres was the {word} measured?")});
        let answer = daemon.post("/api/v1/query", &body).await.ok();
        let sources: Vec<_> =
            answer["sources"].as_array().unwrap().iter().map(|source| source["chunk_id"].clone()).collect();
        seen.insert(format!("answer {word}"), json!([answer["answer"], sources]));
    }
    json!(seen)
}

async fn documents(daemon: &TestDaemon) -> BTreeMap<String, Value> {
    let begun = Instant::now();
    loop {
        let (mut all, mut cursor) = (BTreeMap::new(), String::new());
        loop {
            let page = daemon.get(&format!("/api/v1/documents?limit=200{cursor}")).await.ok();
            for item in page["items"].as_array().unwrap() {
                all.insert(item["document_id"].as_str().unwrap().to_owned(), item.clone());
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        if all.values().all(|item| item["status"] == "ready") {
            return all;
        }
        assert!(begun.elapsed() < PATIENCE, "documents are stuck: {all:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Uploads and deletes until it is told to stop.
async fn load(url: String, from: usize, stop: Arc<AtomicBool>) {
    let http = reqwest::Client::new();
    let mut mine: Vec<String> = Vec::new();
    for nth in from.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let line = |nth: usize| format!("{}\n", json!({"filename": format!("{nth}.txt"), "text": text(nth)}));
        let body: String = (0..6).map(|other| line(from + (nth - from) * 6 + other)).collect();
        let request = http.post(format!("{url}/api/v1/documents/batch")).body(body);
        let answer = request.header("content-type", "application/x-ndjson").send().await.unwrap();
        let answer = answer.text().await.unwrap();
        let ids = answer.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        mine.extend(ids.filter_map(|line| Some(line["document_id"].as_str()?.to_owned())));
        while mine.len() > 20 {
            let path = format!("{url}/api/v1/documents/{}", mine.remove(0));
            http.delete(path).send().await.unwrap();
        }
    }
}

/// Restores a backup to a new directory.
fn restored(backup: &str) -> TempDir {
    let data = data_dir();
    let done = report(&smartrag(&["restore", backup, "--json"], Some(data.path())));
    assert_eq!(done["missing"], json!([]), "{done}");
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_restored_whole() {
    let daemon = TestDaemon::start();
    let mut kept = BTreeMap::new();
    for nth in 0..12 {
        kept.insert(add(&daemon, nth).await, nth);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let loads =
        [10_000, 20_000, 30_000].map(|from| tokio::spawn(load(daemon.url.clone(), from, stop.clone())));
    let mut made = Vec::new();
    for nth in 0..4 {
        kept.insert(add(&daemon, 100 + nth).await, 100 + nth);
        let answer = daemon.post("/api/v1/admin/backup", &json!({})).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let record = answer.json();
        made.push((record["path"].as_str().unwrap().to_owned(), kept.clone(), record));
        // Questions are answered all the while.
        assert!(!daemon.search(&json!({"query": "unique3", "mode": "keyword"})).await.is_empty());
    }
    stop.store(true, Ordering::Release);
    for load in loads {
        load.await.unwrap();
    }
    let listed = daemon.get("/api/v1/admin/backups").await.ok();
    let names =
        |records: &mut dyn Iterator<Item = Value>| records.map(|one| one["name"].clone()).collect::<Vec<_>>();
    let newest_first = names(&mut made.iter().rev().map(|(_, _, record)| record.clone()));
    assert_eq!(names(&mut listed["items"].as_array().unwrap().iter().cloned()), newest_first);
    for (path, kept, record) in &made {
        let verified = report(&smartrag(&["backup", "verify", path, "--json"], None));
        assert_eq!(verified["ok"], true, "{verified}");
        let again = TestDaemon::start_on(restored(path));
        // What was under way in the snapshot goes on to its end.
        let listed = documents(&again).await;
        assert_eq!(listed.len() as u64, record["documents"].as_u64().unwrap());
        for (id, nth) in kept {
            assert!(listed.contains_key(id), "{nth} was ready before the backup");
            let content = again.get(&format!("/api/v1/documents/{id}/content")).await;
            assert_eq!(content.body, text(*nth));
        }
        for item in listed.values() {
            let name = item["filename"].as_str().unwrap();
            let nth: usize = name.strip_suffix(".txt").unwrap().parse().unwrap();
            let hits = again.search(&json!({"query": format!("unique{nth}"), "mode": "keyword"})).await;
            assert_eq!(hits[0]["filename"], name, "{hits:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_instance_answers_identically() {
    let daemon = TestDaemon::start();
    for nth in 0..25 {
        add(&daemon, nth).await;
    }
    let gone = add(&daemon, 500).await;
    daemon.delete(&format!("/api/v1/documents/{gone}")).await.ok();
    let asked = daemon.post("/api/v1/query", &json!({"query": "How high was the heron?"})).await.ok();
    let conversation = format!("/api/v1/conversations/{}", asked["conversation_id"].as_str().unwrap());
    let record = daemon.post("/api/v1/admin/backup", &json!({})).await.ok();
    let conversations = daemon.get(&conversation).await.ok();
    let before = seen(&daemon).await;
    let again = TestDaemon::start_on(restored(record["path"].as_str().unwrap()));
    assert_eq!(again.get(&conversation).await.ok(), conversations);
    assert_eq!(seen(&again).await, before);
    assert_eq!(documents(&again).await, documents(&daemon).await);
    // It goes its own way from there.
    let id = add(&again, 600).await;
    assert_eq!(daemon.get(&format!("/api/v1/documents/{id}")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_backup_at_a_time() {
    let daemon = TestDaemon::start();
    add(&daemon, 0).await;
    let dir = daemon.data().join("backups");
    fs::create_dir_all(&dir).unwrap();
    let lock = fs::File::create(dir.join(".lock")).unwrap();
    lock.lock().unwrap();
    daemon.post("/api/v1/admin/backup", &json!({})).await.problem(409, "conflict");
    drop(lock);
    daemon.post("/api/v1/admin/backup", &json!({})).await.ok();
    let metrics = daemon.get("/metrics").await.body;
    assert!(metrics.contains("smartrag_backup_bytes"), "{metrics}");
    assert!(!metrics.contains("smartrag_backup_last_success_timestamp_seconds 0\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_lists_verifies_and_restores() {
    let daemon = TestDaemon::start();
    add(&daemon, 0).await;
    let url = |command: &mut Command| command.env("SMARTRAG_URL", &daemon.url).output().unwrap();
    let by_daemon = report(&url(&mut command(&["backup", "create", "--json"], None)));
    assert_eq!(by_daemon["documents"], 1);
    let listed = report(&url(&mut command(&["backup", "list", "--json"], None)));
    assert_eq!(listed[0]["name"], by_daemon["name"]);
    let said = refusal(&["restore", by_daemon["path"].as_str().unwrap(), "--replace"], daemon.data());
    assert!(said.contains("stop the daemon first"), "{said}");
    add(&daemon, 1).await;
    let data = daemon.kill();

    // Without a daemon.
    let path = data.path();
    let by_itself = report(&smartrag(&["backup", "create", "--json"], Some(path)));
    assert_eq!(by_itself["documents"], 2);
    let listed = report(&smartrag(&["backup", "list", "--json"], Some(path)));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let table = smartrag(&["backup", "list"], Some(path)).stdout;
    assert!(String::from_utf8_lossy(&table).contains(by_itself["name"].as_str().unwrap()));
    for named in ["latest", by_daemon["name"].as_str().unwrap(), by_daemon["path"].as_str().unwrap()] {
        let verified = report(&smartrag(&["backup", "verify", named, "--json"], Some(path)));
        assert_eq!(verified["ok"], true, "{verified}");
    }
    let listed = report(&smartrag(&["backup", "list", "--json"], Some(path)));
    assert!(listed[1]["verified_at"].is_string(), "{listed}");
    assert!(refusal(&["backup", "verify", "nothing"], path).contains("smartrag backup list"));

    let said = refusal(&["restore", "latest"], path);
    assert!(said.contains("holds documents already") && said.contains("--replace"), "{said}");
    // Back to one document; the backups, which lie in the directory, stay.
    let done = report(&smartrag(
        &["restore", by_daemon["name"].as_str().unwrap(), "--replace", "--json"],
        Some(path),
    ));
    assert_eq!(done["documents"], 1);
    assert_eq!(report(&smartrag(&["backup", "list", "--json"], Some(path))).as_array().unwrap().len(), 2);

    let newest = Path::new(by_itself["path"].as_str().unwrap());
    let database = newest.join("database/smartrag.redb");
    let mut bytes = fs::read(&database).unwrap();
    bytes[9000] ^= 1;
    fs::write(&database, bytes).unwrap();
    let said = refusal(&["backup", "verify"], path);
    assert!(said.contains("the bytes of database/smartrag.redb changed"), "{said}");
    let said = refusal(&["restore", "latest", "--replace"], path);
    assert!(said.contains("can't be used"), "{said}");

    let daemon = TestDaemon::start_on(data);
    let listed = documents(&daemon).await;
    let names: Vec<_> = listed.values().map(|item| item["filename"].as_str().unwrap()).collect();
    assert_eq!(names, ["0.txt"]);
    assert!(daemon.search(&json!({"query": "unique1", "mode": "keyword"})).await.is_empty());
    assert_eq!(daemon.search(&json!({"query": "unique0", "mode": "keyword"})).await[0]["filename"], "0.txt");
}

/// Names of whole backups, and of what is not whole.
fn on_the_shelf(dir: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let entries = fs::read_dir(dir).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let names = entries.iter().map(|entry| entry.file_name().into_string().unwrap());
    let names = names.filter(|name| name != "latest" && name != ".lock");
    names.partition(|name| !name.starts_with('.'))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backup_leaves_none_by_halves() {
    let mut data = data_dir();
    let shelf = data.path().join("backups");
    let mut was_cut = 0;
    for round in 0..8u64 {
        let daemon = TestDaemon::start_on(data);
        for nth in 0..12 {
            add(&daemon, round as usize * 100 + nth).await;
        }
        let (url, before) = (daemon.url.clone(), on_the_shelf(&shelf).0);
        let asked = tokio::spawn(async move {
            let _ = reqwest::Client::new()
                .post(format!("{url}/api/v1/admin/backup"))
                .json(&json!({}))
                .send()
                .await;
        });
        // Once something is there; a little later each time.
        let begun = Instant::now();
        while on_the_shelf(&shelf) == (before.clone(), BTreeSet::new()) {
            assert!(begun.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(round * 4));
        data = daemon.kill();
        let _ = asked.await;
        was_cut += usize::from(!on_the_shelf(&shelf).1.is_empty());
    }
    assert!(was_cut > 0, "every backup was faster than its kill");
    let daemon = TestDaemon::start_on(data);
    let record = daemon.post("/api/v1/admin/backup", &json!({})).await.ok();
    assert_eq!(record["documents"], 96);
    let (whole, halves) = on_the_shelf(&shelf);
    assert_eq!(halves, BTreeSet::new(), "the next backup removes what was left");
    for name in whole {
        let path = shelf.join(name);
        let verified = report(&smartrag(&["backup", "verify", path.to_str().unwrap(), "--json"], None));
        assert_eq!(verified["ok"], true, "{verified}");
    }
    assert_eq!(fs::read_link(shelf.join("latest")).unwrap(), PathBuf::from(record["name"].as_str().unwrap()));
}

/// Documents of a directory that no daemon uses, after a look at all of it.
fn count(data: &Path) -> u64 {
    let made = report(&smartrag(&["backup", "create", "--json"], Some(data)));
    let path = made["path"].as_str().unwrap();
    assert_eq!(report(&smartrag(&["backup", "verify", path, "--json"], None))["ok"], true);
    fs::remove_dir_all(path).unwrap();
    made["documents"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_restore_leaves_the_old_or_the_new() {
    let daemon = TestDaemon::start();
    for nth in 0..12 {
        add(&daemon, nth).await;
    }
    let new = daemon.post("/api/v1/admin/backup", &json!({})).await.ok();
    let aside = tempfile::tempdir().unwrap();
    let backup = aside.path().join("20260101T000000Z");
    let copied =
        Command::new("cp").arg("-r").arg(new["path"].as_str().unwrap()).arg(&backup).status().unwrap();
    assert!(copied.success());
    for nth in 100..107 {
        add(&daemon, nth).await;
    }
    let old = daemon.post("/api/v1/admin/backup", &json!({})).await.ok();
    let data = daemon.kill();
    let backup = backup.to_str().unwrap();
    let begun = Instant::now();
    report(&smartrag(&["restore", backup, "--replace", "--json"], Some(data.path())));
    let whole = begun.elapsed();
    let mut found = BTreeSet::new();
    for round in 0..16 {
        report(&smartrag(
            &["restore", old["path"].as_str().unwrap(), "--replace", "--json"],
            Some(data.path()),
        ));
        let mut restore = command(&["restore", backup, "--replace"], Some(data.path()));
        let mut restore = restore.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * round / 15);
        let _ = restore.kill();
        restore.wait().unwrap();
        let left = count(data.path());
        assert!([12, 19].contains(&left), "{left} documents");
        found.insert(left);
    }
    assert!(found.contains(&19), "no kill came early enough");
    report(&smartrag(&["restore", backup, "--replace", "--json"], Some(data.path())));
    let daemon = TestDaemon::start_on(data);
    assert_eq!(documents(&daemon).await.len(), 12);
    for nth in 0..12 {
        let hits = daemon.search(&json!({"query": format!("unique{nth}"), "mode": "keyword"})).await;
        assert_eq!(hits[0]["filename"], format!("{nth}.txt"));
    }
    assert!(daemon.search(&json!({"query": "unique101", "mode": "keyword"})).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_makes_up_for_what_was_missed() {
    let shelf = tempfile::tempdir().unwrap();
    let dir = shelf.path().join("b");
    let old = dir.join("20200101T000000Z");
    fs::create_dir_all(&old).unwrap();
    let config = format!("backup: {{dir: {}, keep_days: 2, schedule: \"03:00\"}}\n", dir.display());
    let daemon = TestDaemon::start_with(&config);
    let begun = Instant::now();
    let record = loop {
        let listed = daemon.get("/api/v1/admin/backups").await.ok();
        if let Some(made) = listed["items"].as_array().unwrap().iter().find(|one| one["problem"].is_null()) {
            break made.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{listed}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    // The config file goes along, what is too old goes.
    let made = Path::new(record["path"].as_str().unwrap());
    assert_eq!(fs::read_to_string(made.join("config.yaml")).unwrap(), config);
    let begun = Instant::now();
    while old.exists() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let manifest: Value = serde_json::from_slice(&fs::read(made.join("manifest.json")).unwrap()).unwrap();
    let plugins = manifest["plugins"].as_array().unwrap();
    assert!(plugins.iter().any(|plugin| plugin["name"] == "static-embed"), "{manifest}");
}
