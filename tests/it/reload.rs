//! Plugins are exchanged while the daemon answers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, SMARTRAG, TestDaemon};

/// A daemon with plugins of its own, which can be changed.
fn daemon() -> (TestDaemon, TempDir) {
    let plugins = tempfile::tempdir().unwrap();
    let built = Path::new(SMARTRAG).ancestors().nth(2).unwrap().join("plugins");
    for plugin in std::fs::read_dir(built).unwrap() {
        let plugin = plugin.unwrap();
        let to = plugins.path().join(plugin.file_name());
        std::fs::create_dir(&to).unwrap();
        for file in ["plugin.toml", "plugin.wasm"] {
            std::fs::copy(plugin.path().join(file), to.join(file)).unwrap();
        }
    }
    let config = format!("plugins: {{dir: {:?}}}\n", plugins.path());
    (TestDaemon::start_with(&config), plugins)
}

fn manifest(plugins: &TempDir, plugin: &str) -> PathBuf {
    plugins.path().join(plugin).join("plugin.toml")
}

/// A change of the manifest that the component does not contradict.
fn describe(plugins: &TempDir, plugin: &str, words: &str) {
    let path = manifest(plugins, plugin);
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.starts_with("description")).unwrap();
    std::fs::write(path, text.replace(line, &format!("description = {words:?}"))).unwrap();
}

async fn plugin(daemon: &TestDaemon, name: &str) -> Value {
    daemon.get(&format!("/api/v1/plugins/{name}")).await.ok()
}

async fn reload(daemon: &TestDaemon) -> Value {
    daemon.send(daemon.request("POST", "/api/v1/plugins/reload")).await.ok()
}

#[tokio::test]
async fn an_update_is_taken_up_and_a_broken_one_refused() {
    let (daemon, plugins) = daemon();
    daemon.add("heron.md", "The heron stands in the pond.").await;
    let question = json!({"query": "Where does the heron stand?"});
    let ask = || async { daemon.post("/api/v1/query", &question).await.ok()["answer"].to_string() };
    assert!(ask().await.contains("pond"));

    for name in ["extractive", "static-embed", "markdown"] {
        describe(&plugins, name, "anew");
    }
    // While it is exchanged, it answers.
    let (answer, report) = tokio::join!(ask(), reload(&daemon));
    assert!(answer.contains("pond"));
    assert_eq!(report["loaded"], json!(["extractive", "markdown", "static-embed"]));
    assert!(ask().await.contains("pond"));
    assert_eq!(plugin(&daemon, "extractive").await["description"], "anew");

    let wasm = plugins.path().join("extractive/plugin.wasm");
    let whole = std::fs::read(&wasm).unwrap();
    std::fs::write(&wasm, &whole[..whole.len() / 2]).unwrap();
    let report = reload(&daemon).await;
    assert!(report["refused"]["extractive"].is_string(), "{report}");
    let shown = plugin(&daemon, "extractive").await;
    assert_eq!(shown["state"], "ready");
    assert!(shown["notice"].as_str().unwrap().contains("refused"), "{shown}");
    assert!(ask().await.contains("pond"));
}

#[tokio::test]
async fn files_are_watched_and_sighup_heard() {
    let (daemon, plugins) = daemon();
    describe(&plugins, "lexical", "seen");
    wait_for(&daemon, "lexical", "seen").await;
    describe(&plugins, "keywords", "heard");
    assert!(Command::new("kill").args(["-HUP", &daemon.pid().to_string()]).status().unwrap().success());
    wait_for(&daemon, "keywords", "heard").await;
}

async fn wait_for(daemon: &TestDaemon, name: &str, description: &str) {
    let until = Instant::now() + PATIENCE;
    while plugin(daemon, name).await["description"] != description {
        assert!(Instant::now() < until, "{name} is not taken up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
