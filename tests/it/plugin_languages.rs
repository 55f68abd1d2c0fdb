//! Plugins in Python and JavaScript: from nothing to one that runs, and the samples in a daemon. Needs their tools.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::author::{assert_has, command, done, ended, root, target_dir};
use crate::support::{TestDaemon, data_dir};

/// `smartrag plugin build` with the tools of `scripts/fetch-guest-tools.sh`, or those of the machine.
fn build(dir: &Path, arguments: &[&str]) -> Command {
    let tools = target_dir().join("guest-tools");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(tools.join("bin")).chain(std::env::split_paths(&path)));
    let mut command = command(dir, &["build"]);
    command.args(arguments).env("PATH", path.unwrap());
    match tools.join("node/node_modules") {
        packages if packages.is_dir() => command.env("NODE_PATH", packages),
        _ => &mut command,
    };
    command
}

/// What a build says that succeeds.
pub fn built(dir: &Path, arguments: &[&str]) -> String {
    let output = build(dir, arguments).output().unwrap();
    let said = crate::support::author::said(&output);
    assert!(output.status.success(), "{said}\nthe tests need ./scripts/fetch-guest-tools.sh first");
    said
}

fn change(file: &Path, from: &str, to: &str) {
    let code = fs::read_to_string(file).unwrap();
    assert!(code.contains(from), "{from:?} is not in {}", file.display());
    fs::write(file, code.replacen(from, to, 1)).unwrap();
}

/// A model server that knows one answer; for as long as the test lasts.
fn model_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            let mut reader = BufReader::new(stream);
            let head: Vec<String> =
                reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            let answer = format!("{{\"answer\": \"I was asked {}\"}}", head[0].replace('"', "'"));
            let length = answer.len();
            let mut stream = reader.into_inner();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
            );
        }
    });
    origin
}

/// Has a generator's project ask for HTTP, and grants it; answers the config's path.
fn grant_http(project: &Path, origin: &str) -> String {
    let manifest = project.join("plugin.toml");
    let asked = fs::read_to_string(&manifest).unwrap()
        + "\n[capabilities]\nhttp = { why = \"asks the model server\" }\n";
    fs::write(&manifest, asked).unwrap();
    let config = project.join("grants.yaml");
    let name = project.file_name().unwrap().to_str().unwrap();
    fs::write(&config, format!("plugins: {{grants: {{{name}: {{http: [\"{origin}\"]}}}}}}\n")).unwrap();
    config.to_str().unwrap().to_owned()
}

#[test]
fn from_nothing_to_a_generator_in_python() {
    let dir = tempfile::tempdir().unwrap();
    let made = done(dir.path(), &["new", "--role", "generator", "--lang", "python", "quoter"]);
    assert_has(&made, &["in Python", "pip install -r requirements.txt", "smartrag plugin build"]);
    let project = dir.path().join("quoter");
    let file = project.join("src/plugin.py");
    let working = fs::read_to_string(&file).unwrap();

    change(&file, "def info(self):", "def info(self:");
    let refused = ended(1, build(&project, &[]));
    assert_has(&refused, &["SyntaxError", "src/plugin.py", "componentize-py failed"]);
    assert!(!refused.to_lowercase().contains("backtrace"), "{refused}");

    fs::write(&file, working).unwrap();
    change(&file, "import re\n", "import json\nimport re\n");
    change(
        &file,
        "from wit_world import exports\n",
        "from wit_world import exports\nfrom wit_world.imports import http\n",
    );
    change(
        &file,
        "        best = max(",
        "        print(\"looking for the best of\", len(request.passages))\n        best = max(",
    );
    change(
        &file,
        "    def generate(self, request):\n",
        r#"    def generate(self, request):
        if request.question == "boom":
            raise ValueError("no such question")
        if request.question.startswith("http"):
            with http.send(http.Request("GET", request.question, [], b"", None, None)) as response:
                text = json.loads(response.read(65536))["answer"]
                return Generation([Event_Text(f"{response.status()} {text}"), Event_Finish(FinishReason.STOP)])
"#,
    );
    let origin = model_server();
    let config = grant_http(&project, &origin);
    assert_has(&built(&project, &[]), &["componentize-py", "built quoter"]);

    let done = |arguments: &[&str]| done(&project, &[arguments, &["--config", &config]].concat());
    let checked = done(&["check"]);
    assert_has(&checked, &["ok      same twice", "ok      huge input", "ok      cancellation"]);
    assert_has(&done(&["test"]), &["ok      sample", "ok      nothing-found"]);
    let question = ["run", ".", "When does it open?", "--passage", "At nine o'clock.", "--passage", "Free."];
    // What is printed is a line of the plugin's log.
    assert_has(&done(&question), &["At nine o'clock. [1]", "looking for the best of 2"]);
    let short = [&question[..], &["--settings", r#"{"words_max": 1}"#]].concat();
    assert_has(&done(&short), &["At  [1]"]);

    let url = format!("http://{origin}/one");
    assert_has(&done(&["run", ".", &url]), &["200 I was asked GET /one HTTP/1.1"]);
    let refused = |question: &str| ended(1, command(&project, &["run", ".", question, "--config", &config]));
    assert_has(&refused("http://localhost:1/"), &["[denied]", "http://localhost:1 is not granted"]);
    assert_has(&refused("boom"), &["[trap]", "ValueError: no such question", "plugin.py"]);
    assert_has(&ended(1, command(&project, &["run", ".", "x"])), &["http", "is not granted"]);
}

#[test]
fn from_nothing_to_an_enricher_in_javascript() {
    let dir = tempfile::tempdir().unwrap();
    let made = done(dir.path(), &["new", "--role", "enricher", "--lang", "javascript", "counter"]);
    assert_has(&made, &["in JavaScript", "npm install", "smartrag plugin build"]);
    let project = dir.path().join("counter");
    let file = project.join("src/plugin.js");
    let working = fs::read_to_string(&file).unwrap();

    change(&file, "export const enricher = plugin({", "export const enricher = plugin({{");
    let refused = ended(1, build(&project, &[]));
    assert_has(&refused, &["SyntaxError", "export const enricher = plugin({{", "componentize-js failed"]);

    fs::write(&file, working).unwrap();
    change(
        &file,
        "    const speed =",
        "    console.log(`reading ${document.filename}`);\n    \
         if (document.text === \"boom\") undefined.length;\n    const speed =",
    );
    assert_has(&built(&project, &[]), &["componentize-js", "built counter"]);
    let checked = done(&project, &["check"]);
    assert_has(&checked, &["ok      same twice", "ok      many chunks", "ok      odd Unicode"]);
    assert_has(&done(&project, &["test"]), &["ok      sample"]);
    assert_has(
        &done(&project, &["run", "The garden opens at nine."]),
        &["{\"words\":5}", "reading input.txt"],
    );
    let slow = ["run", "One two three four five.", "--settings", r#"{"words_per_minute": 2}"#];
    assert_has(&done(&project, &slow), &["{\"minutes\":3}"]);
    let defect = ended(1, command(&project, &["run", "boom"]));
    assert_has(&defect, &["[internal]", "TypeError", "enrichDocument@src/plugin.js"]);
}

/// Half a minute each: `cargo nextest run --test it --run-ignored only every_template`.
#[test]
#[ignore = "takes minutes; the roles that differ most are in the other tests"]
fn every_template_works_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for language in ["python", "javascript"] {
        for role in ["parser", "enricher", "embedder", "reranker", "generator"] {
            let name = format!("{language}-{role}");
            done(dir.path(), &["new", "--role", role, "--lang", language, &name]);
            let project = dir.path().join(&name);
            built(&project, &[]);
            done(&project, &["check"]);
            done(&project, &["test"]);
        }
    }
}

/// The command with a cache that a daemon on this data directory shares: nothing is compiled twice.
fn with_cache_of(data: &Path, mut command: Command) -> Command {
    let home = data.join("author");
    fs::create_dir_all(&home).unwrap();
    let link = home.join("smartrag");
    if !link.exists() {
        symlink(data.join("cache"), link).unwrap();
    }
    command.env("XDG_CACHE_HOME", home);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_reads_notebooks_with_python_and_subtitles_with_javascript() {
    let samples = ["python-notebook", "javascript-subtitles"].map(|name| root().join("examples").join(name));
    let data = data_dir();
    let plugins = data.path().join("plugins");
    let [python, javascript] = samples.each_ref().map(|dir| dir.to_str().unwrap());
    built(root(), &[python, javascript, "--out", plugins.to_str().unwrap()]);
    for (sample, name) in samples.iter().zip(["notebook", "subtitles"]) {
        the_golden_files_fit(data.path(), sample, &plugins.join(name));
    }
    let config = format!("plugins: {{extra_dirs: [{:?}]}}\n", plugins.to_str().unwrap());
    let daemon = TestDaemon::start_on_with(data, &config);
    let notebook = fs::read(samples[0].join("golden/sample.in.ipynb")).unwrap();
    let subtitles = fs::read(samples[1].join("golden/sample.in.srt")).unwrap();
    let items = daemon.upload("", &[("buoys.ipynb", notebook), ("station.srt", subtitles)]).await;
    for (item, parser) in items.iter().zip(["notebook", "subtitles"]) {
        assert_eq!(item["status"], "ready", "{item:#}");
        let id = item["document_id"].as_str().unwrap();
        let document = daemon.get(&format!("/api/v1/documents/{id}")).await.ok();
        assert_eq!(document["provenance"]["parser"]["name"], parser, "{document:#}");
    }
    for (query, expected) in
        [("oxygen mean", "7.9 mg/l"), ("Tidewater samples", "We take samples every six hours.")]
    {
        let hits = daemon.search(&json!({"query": query, "mode": "keyword"})).await;
        assert_has(&Value::from(hits).to_string(), &[expected]);
    }
    let damaged = daemon.upload("", &[("broken.ipynb", b"{\"cells\": [".to_vec())]).await;
    assert_has(&damaged[0].to_string(), &["corrupt", "save the notebook again"]);
}

fn the_golden_files_fit(data: &Path, sample: &Path, plugin: &Path) {
    let golden = plugin.join("golden");
    fs::create_dir(&golden).unwrap();
    for entry in fs::read_dir(sample.join("golden")).unwrap() {
        let file = entry.unwrap().path();
        fs::copy(&file, golden.join(file.file_name().unwrap())).unwrap();
    }
    let plugin = plugin.to_str().unwrap();
    let tested = ended(0, with_cache_of(data, command(root(), &["test", plugin])));
    assert_has(&tested, &["ok      damaged", "ok      sample"]);
    let checked = ended(0, with_cache_of(data, command(root(), &["check", plugin])));
    assert_has(&checked, &["ok      same twice", "ok      invalid UTF-8", "ok      random bytes"]);
}

#[test]
fn missing_tools_are_named_with_the_way_to_get_them() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("bin");
    fs::create_dir(&empty).unwrap();
    let project = |language: &str| -> PathBuf {
        done(dir.path(), &["new", "--role", "parser", "--lang", language, language]);
        dir.path().join(language)
    };
    let refused = |project: &Path| {
        let mut command = command(project, &["build"]);
        command.env("PATH", &empty).env_remove("VIRTUAL_ENV").env_remove("NODE_PATH");
        ended(1, command)
    };
    let python = project("python");
    let way = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";
    assert_has(&refused(&python), &["componentize-py is missing", "python3-venv", way]);
    script(&python.join(".venv/bin/componentize-py"), "echo componentize-py 0.13.0");
    assert_has(&refused(&python), &["componentize-py 0.13.0", "0.25 or newer", way]);

    let javascript = project("javascript");
    assert_has(&refused(&javascript), &["node is missing", "Node.js 20 or newer"]);
    script(&empty.join("node"), "echo v18.20.4");
    assert_has(&refused(&javascript), &["v18.20.4", "20 or newer"]);
    script(&empty.join("node"), "echo v22.1.0");
    assert_has(&refused(&javascript), &["componentize-js is missing", "`npm install` in "]);

    fs::remove_file(javascript.join("package.json")).unwrap();
    assert_has(
        &refused(&javascript),
        &["neither Cargo.toml (Rust), src/plugin.py (Python) nor package.json"],
    );
}

fn script(path: &Path, line: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
