//! The way of a plugin's author, from nothing to a plugin that the daemon runs, with the real program.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::TestDaemon;
use crate::support::author::{assert_has, done, failed, json, root, smartrag, target_dir};

/// Files of the released interface, all together. A release is frozen: components that people built for it must load
/// for ever.
const WIT_0_1_0: &str = "df06e501a46eb3f4774cd5e7f8714b2fceaa9a56d7f0344184b0d35ec136ed62";

fn golden() -> PathBuf {
    root().join("tests/it/data/wit-0.1.0/golden-reranker")
}

/// A copy of the golden component with a manifest changed in one place.
fn golden_with(from: &str, to: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let manifest = fs::read_to_string(golden().join("plugin.toml")).unwrap();
    assert!(manifest.contains(from));
    fs::write(dir.path().join("plugin.toml"), manifest.replacen(from, to, 1)).unwrap();
    fs::copy(golden().join("plugin.wasm"), dir.path().join("plugin.wasm")).unwrap();
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_a_plugin_that_the_daemon_runs() {
    let dir = tempfile::tempdir().unwrap();
    let made = done(dir.path(), &["new", "--role", "parser", "notes"]);
    assert_has(&made, &["smartrag plugin build"]);
    let project = dir.path().join("notes");
    // With the versions of the repository's lock file there is nothing to download.
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    assert_has(&failed(&project, &["check"]), &["not built yet", "smartrag plugin build"]);
    assert_has(&done(&project, &["build"]), &["built notes"]);
    assert_has(
        &done(&project, &["check"]),
        &["ok      invalid UTF-8", "ok      huge input", "ok      same twice"],
    );
    assert_has(&done(&project, &["test"]), &["ok      sample", "ok      damaged"]);
    assert_has(&done(&project, &["run", "golden/sample.in.notes"]), &["heading 1     Opening hours"]);
    assert_has(
        &failed(&project, &["run", "golden/damaged.in.notes"]),
        &["[corrupt]", "save the file as UTF-8"],
    );
    let mark = r#"{"heading_mark": "The"}"#;
    let run = done(&project, &["run", "golden/sample.in.notes", "--settings", mark]);
    assert_has(&run, &["heading 1     garden opens"]);
    let typo = r#"{"heading_mrk": "The"}"#;
    let refused = failed(&project, &["run", "golden/sample.in.notes", "--settings", typo]);
    assert_has(&refused, &["plugins.settings.notes", "`heading_mrk`; did you mean `heading_mark`?"]);

    let dirs = project.join("target/plugins");
    let daemon =
        TestDaemon::start_with(&format!("plugins: {{extra_dirs: [{:?}]}}\n", dirs.to_str().unwrap()));
    let sample = fs::read(project.join("golden/sample.in.notes")).unwrap();
    let items = daemon.upload("", &[("garden.notes", sample)]).await;
    assert_eq!(items[0]["status"], "ready", "{:#}", items[0]);
    let id = items[0]["document_id"].as_str().unwrap();
    let document = daemon.get(&format!("/api/v1/documents/{id}")).await.ok();
    assert_eq!(document["provenance"]["parser"]["name"], "notes", "{document:#}");

    a_change_for_the_worse_is_noticed(&project);
}

fn a_change_for_the_worse_is_noticed(project: &Path) {
    let file = project.join("src/lib.rs");
    let code = fs::read_to_string(&file).unwrap();
    let worse = code.replace("out.heading(1, heading)", "out.heading(2, heading)");
    let worse = worse.replace("let mut out =", "assert!(!text.is_empty());\n        let mut out =");
    fs::write(&file, worse).unwrap();
    assert_has(&done(project, &["test"]), &["the sources are newer than the component"]);
    done(project, &["build", "--quiet"]);
    let checked = failed(project, &["check"]);
    assert_has(&checked, &["failed  empty input", "[trap]", "ok      huge input"]);
    let tested = failed(project, &["test"]);
    assert_has(&tested, &["failed  sample", "blocks[0].level: expected 1, got 2", "--bless"]);
    done(project, &["test", "--bless"]);
    done(project, &["test"]);
}

#[test]
fn shipped_plugins_of_every_role_keep_their_contract() {
    for name in ["markdown", "language", "static-embed", "lexical", "extractive"] {
        let dir = target_dir().join("plugins").join(name);
        let report = json(root(), &["check", dir.to_str().unwrap()]);
        let checks = report.as_array().unwrap();
        assert!(checks.len() >= 10, "{name}: {report:#}");
        assert!(checks.iter().all(|check| check["ok"] == true), "{name}: {report:#}");
    }
    let markdown = target_dir().join("plugins/markdown");
    let sample = root().join("examples/documents/hausordnung.md");
    let report = done(root(), &["check", markdown.to_str().unwrap(), "--input", sample.to_str().unwrap()]);
    assert_has(&report, &["hausordnung.md: ", "offsets in range", "ok      cut input"]);
}

#[test]
fn a_plugin_that_lies_is_found_out() {
    let version = golden_with("version = \"0.1.0\"", "version = \"9.9.9\"");
    let report = failed(version.path(), &["check"]);
    assert_has(&report, &["failed  loads", "version \"0.1.0\"", "\"9.9.9\""]);
    let role = golden_with("role = \"reranker\"", "role = \"enricher\"");
    assert_has(&failed(role.path(), &["check", "--json"]), &["\"ok\": false", "enricher-plugin"]);
    let name = golden_with("name = \"golden-reranker\"", "name = \"silver\"");
    assert_has(&failed(name.path(), &["run", "x", "--passage", "y"]), &["did not load", "silver"]);
}

#[test]
fn what_can_not_be_is_said_plainly() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    assert_has(&failed(here, &["new", "--role", "parser", "Notes"]), &["lower-case"]);
    fs::create_dir(here.join("notes")).unwrap();
    fs::write(here.join("notes/mine"), "kept").unwrap();
    assert_has(&failed(here, &["new", "--role", "parser", "notes"]), &["exists", "--dir"]);
    assert_eq!(smartrag(here, &["new", "--role", "parser", "--lang", "cobol", "a"]).status.code(), Some(2));
    assert_eq!(smartrag(here, &["new", "--role", "barser", "a"]).status.code(), Some(2));
    assert_has(&failed(here, &["run", "nowhere", "x"]), &["nowhere/plugin.toml", "plugin new"]);
    assert_has(&failed(here, &["run", "--name", "nothing", "x"]), &["no plugin \"nothing\"", "plugin list"]);
    let golden = golden();
    let golden = golden.to_str().unwrap();
    assert_has(&failed(here, &["run", golden, "x"]), &["--passage"]);
    assert_has(&failed(here, &["test", golden]), &["no golden file", "--bless"]);
    let settings = ["run", golden, "x", "--passage", "y", "--settings", "[]"];
    assert_has(&failed(here, &settings), &["no JSON object"]);
    fs::write(here.join("in.json"), r#"{"query": "x", "passage": []}"#).unwrap();
    assert_has(&failed(here, &["run", golden, "@in.json"]), &["in.json", "passage"]);
}

#[test]
fn a_released_interface_is_frozen() {
    let mut files: Vec<PathBuf> =
        fs::read_dir(root().join("wit/0.1.0")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(file.file_name().unwrap().as_encoded_bytes());
        hasher.update([0]);
        hasher.update(fs::read(&file).unwrap());
    }
    let hash: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hash, WIT_0_1_0,
        "wit/0.1.0 is released and must not change: undo the change, and make it in a copy of the folder with the \
         next version, with bindings of its own in host/src/plugins/bindings"
    );
}

#[test]
fn components_of_a_released_interface_keep_loading() {
    let golden = golden();
    let golden = golden.to_str().unwrap();
    let query = ["run", golden, "When does the garden open?", "--passage", "The garden.", "--passage", "No."];
    let scores = json(root(), &query);
    assert_eq!(scores["scores"], serde_json::json!([0.4, 0.0]));
    let inspected = json(root(), &["inspect", golden]);
    assert_eq!(inspected["role"], "reranker");
    assert_eq!(inspected["undeclared_imports"], serde_json::json!([]));
    assert!(inspected["compile_ms"].is_u64() && inspected["size_bytes"].as_u64() > Some(1000));
}
