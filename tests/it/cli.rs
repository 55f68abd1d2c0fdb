//! The command line as a person uses it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::{SMARTRAG, TestDaemon};

fn smartrag(arguments: &[&str], url: &str) -> Output {
    let mut command = Command::new(SMARTRAG);
    command.args(arguments).env("SMARTRAG_URL", url).env_remove("SMARTRAG_CONFIG");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

fn stdout(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_folder_to_an_answer() {
    let daemon = TestDaemon::start();
    let run = |arguments: &[&str]| smartrag(arguments, &daemon.url);
    let uploaded = run(&["upload", "examples/documents"]);
    assert!(uploaded.status.success(), "{}", String::from_utf8_lossy(&uploaded.stderr));
    let answer = stdout(&run(&["query", "How often are water samples taken?"]));
    assert!(answer.contains("six hours") && answer.contains("tidewater-staff-guide.docx"), "{answer}");
    let json: Value =
        serde_json::from_str(&stdout(&run(&["query", "--json", "Who calibrates the spectrometer?"])))
            .unwrap();
    assert!(json["answer"].as_str().unwrap().contains("Lindqvist"), "{json:#}");
    let hits: Value = serde_json::from_str(&stdout(&run(&["search", "--json", "Müll"]))).unwrap();
    assert_eq!(hits["results"][0]["filename"], "hausordnung.md", "{hits:#}");
    let listed = stdout(&run(&["documents", "list"]));
    assert_eq!(listed.lines().filter(|line| line.contains("ready")).count(), 5, "{listed}");
    assert!(stdout(&run(&["plugin", "list"])).contains("static-embed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn eval_measures_ones_own_questions() {
    let daemon = TestDaemon::start();
    daemon.add("pump.txt", "The pump in the cellar is checked every Monday by the caretaker.").await;
    let heron = daemon.add("heron.txt", "The heron stands in the shallow water of the bay.").await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("questions.jsonl");
    let path = file.to_str().unwrap();
    let question = |text: &str, document: &str| {
        serde_json::json!({"question": text, "documents": [document]}).to_string()
    };
    let good =
        [question("Who checks the pump?", "pump.txt"), question("Where does the heron stand?", &heron)];
    std::fs::write(&file, good.join("\n")).unwrap();
    let check = |output: &Output| {
        let rows: Value = serde_json::from_str(&stdout(output)).unwrap();
        let modes: Vec<_> =
            rows.as_array().unwrap().iter().map(|row| row["mode"].as_str().unwrap()).collect();
        assert_eq!(modes, ["keyword", "vector", "hybrid", "hybrid 0.5", "hybrid rrf"]);
        assert_eq!((&rows[2]["queries"], &rows[2]["ndcg_at_10"]), (&2.into(), &1.0.into()), "{rows:#}");
        assert_eq!(rows[2]["versus_keyword"]["mean"], 0.0, "{rows:#}");
    };
    let arguments = ["eval", "--json", "--alphas", "0.5", "--questions", path];
    check(&smartrag(&arguments, &daemon.url));

    let bad = [good[0].clone(), question("Who?", "missing.txt"), "{}".to_owned()];
    std::fs::write(&file, bad[..2].join("\n")).unwrap();
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let output = smartrag(&arguments, &daemon.url);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("line 2: there is no document \"missing.txt\""), "{}", said(&output));
    std::fs::write(&file, bad.join("\n")).unwrap();
    let output = smartrag(&arguments, &daemon.url);
    assert!(said(&output).contains("line 3: missing field `question`"), "{}", said(&output));

    std::fs::write(&file, good.join("\n")).unwrap();
    let data = daemon.kill();
    let offline = [&arguments[..], &["--data-dir", data.path().to_str().unwrap()]].concat();
    check(&smartrag(&offline, ""));
}

#[test]
fn without_a_daemon_it_says_how_to_start_one() {
    let output = smartrag(&["query", "anything"], "http://127.0.0.1:1");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("smartrag serve"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn wrong_usage_is_exit_code_2() {
    assert_eq!(smartrag(&["qurey"], "").status.code(), Some(2));
    assert_eq!(smartrag(&["search"], "").status.code(), Some(2));
}

#[test]
fn a_config_that_does_not_check_names_line_and_nearest_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, "api:\n  bnd: 127.0.0.1:1\nsearch: {alpha: 3}\n").unwrap();
    let output = smartrag(&["config", "check", "--config", file.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    for expected in ["config.yaml", "2", "bnd", "bind", "alpha"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    let schema: Value = serde_json::from_str(&stdout(&smartrag(&["config", "schema"], ""))).unwrap();
    assert!(schema["properties"]["backends"].is_object());
}

#[test]
fn a_config_that_names_a_plugin_nobody_has_does_not_check() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    let check = |text: &str, plugins: Option<&str>| {
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(SMARTRAG);
        command.args(["config", "check", "--offline", "--config"]).arg(&file);
        command.envs(plugins.map(|dir| ("SMARTRAG_PLUGINS_DIR", dir))).output().unwrap()
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let wrong = "\nembedder: {plugin: statc-embed}\n";
    let output = check(wrong, None);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let expected =
        "config.yaml:2: embedder: no embedder \"statc-embed\" is installed; did you mean `static-embed`?";
    assert!(said(&output).contains(expected), "{output:?}");
    let output = check(wrong, Some("/nonexistent/plugins"));
    assert!(
        output.status.success() && said(&output).contains("note: names of plugins were not checked"),
        "{output:?}"
    );
    let output = check("plugins: {grants: {pfd: {deadline: 9s}}}\n", None);
    assert!(output.status.success() && said(&output).contains("note: "), "{output:?}");
    let output = check(include_str!("../../deploy/config.yaml"), None);
    assert!(output.status.success() && said(&output).is_empty(), "{output:?}");
}

#[test]
fn what_is_no_component_is_told_in_a_sentence() {
    let output = smartrag(&["plugin", "inspect", "README.md"], "");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("error: README.md is no WebAssembly component") && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn the_readme_names_no_command_that_does_not_exist() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let help = stdout(&smartrag(&["--help"], ""));
    let named = readme.split("`smartrag ").skip(1);
    let named =
        named.filter_map(|rest| rest.split([' ', '\n', '`']).next()).filter(|name| !name.starts_with('-'));
    let unknown: Vec<_> = named.filter(|name| !help.contains(&format!("  {name} "))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_benchmark_of_calls_into_plugins_runs() {
    let json: Value = serde_json::from_str(&stdout(&smartrag(&["bench", "plugins", "--json"], ""))).unwrap();
    let figures = json.as_array().unwrap();
    let named = |name: &str| figures.iter().any(|figure| figure["name"].as_str().unwrap().starts_with(name));
    for name in ["wasmtime alone: typed call", "the same from the pool", "warm start of 14 plugins"] {
        assert!(named(name), "{name}: {json:#}");
    }
    assert!(figures.iter().all(|figure| figure["value"].as_f64().unwrap() >= 0.0), "{json:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_remembers_what_was_said() {
    let daemon = TestDaemon::start();
    daemon.add("pond.md", "# Pond\n\nThe heron stands in the pond and waits for a fish.").await;
    let home = tempfile::tempdir().unwrap();
    let lines = "Where does the heron stand?\n/sources\n/backend\n/nonsense\n/backend nobody\nwhere?\n/backend extractive\n\nAnd what for?\n/new\n/quit\n";
    let mut command = Command::new(SMARTRAG);
    command.args(["chat", "--url", &daemon.url]).env("HOME", home.path()).env_remove("XDG_STATE_HOME");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("The heron stands in the pond") && out.contains("[1] pond.md"), "{out}");
    assert!(out.contains("extractive (default)"), "{out}");
    assert!(err.contains("there is no /nonsense") && err.contains("there is no backend \"nobody\""), "{err}");
    let kept = daemon.get("/api/v1/conversations").await.ok();
    let kept = kept["items"].as_array().unwrap();
    assert_eq!(kept.len(), 1, "one conversation: {kept:?}");
    let path = format!("/api/v1/conversations/{}", kept[0]["conversation_id"].as_str().unwrap());
    assert_eq!(daemon.get(&path).await.ok()["messages"].as_array().unwrap().len(), 4);
    let history = std::fs::read_to_string(home.path().join(".local/state/smartrag/chat_history")).unwrap();
    assert!(history.contains("And what for?"), "{history}");
}
