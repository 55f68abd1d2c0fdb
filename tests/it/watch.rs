//! A collection that follows folders.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{PATIENCE, SMARTRAG, TestDaemon};

fn smartrag(url: &str, arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(SMARTRAG);
    command.args(arguments).arg(folder).args(["--url", url]).env_remove("SMARTRAG_CONFIG");
    command.stdout(Stdio::null());
    command
}

/// Ends with the test.
struct Watcher(Child);

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Names of the documents in the end.
async fn until(daemon: &TestDaemon, wanted: &[&str]) {
    let until = Instant::now() + PATIENCE;
    loop {
        let hits =
            daemon.search(&json!({"query": "bird", "mode": "keyword", "fold": false, "top_k": 50})).await;
        let mut texts: Vec<String> =
            hits.iter().map(|hit| hit["content"].as_str().unwrap().to_owned()).collect();
        texts.sort();
        if texts == wanted {
            return;
        }
        assert!(Instant::now() < until, "{texts:?} instead of {wanted:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_a_folder_changes_in_the_collection() {
    let daemon = TestDaemon::start();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.md", "Bird one.");
    write("b.md", "Bird two.");
    let watch = ["watch", "--delete", "--interval", "1"];
    let watcher = Watcher(smartrag(&daemon.url, &watch, folder.path()).spawn().unwrap());
    until(&daemon, &["Bird one.", "Bird two."]).await;
    write("a.md", "Bird three, changed.");
    write("c.md", "Bird four.");
    until(&daemon, &["Bird four.", "Bird three, changed.", "Bird two."]).await;
    std::fs::remove_file(folder.path().join("b.md")).unwrap();
    until(&daemon, &["Bird four.", "Bird three, changed."]).await;
    drop(watcher);

    // What went while nobody watched goes with the next look; a second look changes nothing.
    std::fs::remove_file(folder.path().join("c.md")).unwrap();
    for _ in 0..2 {
        let once = smartrag(&daemon.url, &["watch", "--delete", "--once"], folder.path()).status().unwrap();
        assert!(once.success());
        until(&daemon, &["Bird three, changed."]).await;
    }
    // Without --delete documents stay.
    std::fs::remove_file(folder.path().join("a.md")).unwrap();
    assert!(smartrag(&daemon.url, &["watch", "--once"], folder.path()).status().unwrap().success());
    until(&daemon, &["Bird three, changed."]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_goes_takes_its_documents_along_and_one_that_is_away_does_not() {
    let daemon = TestDaemon::start();
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("notes");
    std::fs::create_dir_all(root.join("sub/deep")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
    write("a.md", "Bird one.");
    write("sub/b.md", "Bird two.");
    write("sub/deep/c.md", "Bird three.");
    // By a relative path, which tells nothing of what is gone.
    let watch = |arguments: &[&str]| {
        let mut command = smartrag(&daemon.url, arguments, Path::new("notes"));
        command.current_dir(home.path()).stderr(Stdio::piped());
        command
    };
    let mut watcher = Watcher(watch(&["watch", "--delete", "--interval", "1"]).spawn().unwrap());
    let mut said = BufReader::new(watcher.0.stderr.take().unwrap()).lines();
    until(&daemon, &["Bird one.", "Bird three.", "Bird two."]).await;
    std::fs::remove_dir_all(root.join("sub")).unwrap();
    until(&daemon, &["Bird one."]).await;
    let elsewhere = home.path().join("elsewhere");
    std::fs::rename(&root, &elsewhere).unwrap();
    assert!(said.any(|line| line.unwrap().contains("notes is away: documents from there stay")));
    until(&daemon, &["Bird one."]).await;
    std::fs::rename(&elsewhere, &root).unwrap();
    write("d.md", "Bird four.");
    until(&daemon, &["Bird four.", "Bird one."]).await;
    std::fs::remove_file(root.join("a.md")).unwrap();
    until(&daemon, &["Bird four."]).await;
    drop(watcher);

    // An empty folder is what a drive leaves behind that is not mounted.
    std::fs::remove_file(root.join("d.md")).unwrap();
    let output = watch(&["watch", "--delete", "--once"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("is empty"), "{output:?}");
    until(&daemon, &["Bird four."]).await;
    std::fs::remove_dir(&root).unwrap();
    let output = watch(&["watch", "--once"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("notes: no such file"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_deletes_by_a_filter_and_checks_models() {
    let daemon = TestDaemon::start();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(SMARTRAG);
        command.args(arguments).args(["--url", &daemon.url]).env_remove("SMARTRAG_CONFIG");
        command.output().unwrap()
    };
    for nth in 0..3 {
        let body =
            json!({"filename": format!("{nth}.md"), "text": format!("Bird {nth}."), "tags": ["draft"]});
        daemon.post("/api/v1/documents?wait=true", &body).await.ok();
    }
    let filter = "{\"tags\": [\"draft\"]}";
    let looked = run(&["documents", "delete", "--filter", filter, "--dry-run"]);
    assert_eq!(String::from_utf8_lossy(&looked.stdout), "would delete 3 documents, 21 B\n");
    let looked = run(&["documents", "delete", "--filter", filter, "--dry-run", "--json"]);
    let looked: Value = serde_json::from_slice(&looked.stdout).unwrap();
    let ids: Vec<&str> =
        looked["document_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let would = run(&["documents", "delete", ids[0], ids[1], "--dry-run"]);
    let would = String::from_utf8_lossy(&would.stdout).into_owned();
    assert!(would.starts_with(&format!("would delete {}: 2.md, ", ids[0])), "{would}");
    let would = run(&["documents", "delete", ids[0], "nobody", "--dry-run", "--json"]);
    assert_eq!(would.status.code(), Some(1), "one that is not there");
    let would: Value = serde_json::from_slice(&would.stdout).unwrap();
    let expected = json!({"documents": 1, "bytes": 7, "document_ids": [ids[0]], "dry_run": true});
    assert_eq!(would, expected);
    let again = run(&["documents", "reprocess", ids[0], "--json"]);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again[0]["document_id"], ids[0], "{again}");
    let gone = run(&["documents", "delete", ids[2], "--json"]);
    let gone: Value = serde_json::from_slice(&gone.stdout).unwrap();
    assert_eq!((&gone["document_ids"], &gone["dry_run"]), (&json!([ids[2]]), &json!(false)));
    let deleted = run(&["documents", "delete", "--filter", filter, "--json"]);
    let deleted: Value = serde_json::from_slice(&deleted.stdout).unwrap();
    assert_eq!(deleted["documents"], 2);
    let checked = run(&["models", "check"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    assert!(String::from_utf8_lossy(&checked.stdout).contains("keyword_search"));
    let dir = tempfile::tempdir().unwrap();
    let man = Command::new(SMARTRAG).args(["man", "--out"]).arg(dir.path()).output().unwrap();
    assert!(man.status.success());
    let page = std::fs::read_to_string(dir.path().join("smartrag-documents-delete.1")).unwrap();
    assert!(page.contains("dry") && page.starts_with(".ie"), "{page}");
}
