//! The library in the real daemon, `SMARTRAG_BIN`, as an operator installs it: by path and hash.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What the test needs; `None` where it is not there, which is said.
fn given(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os(name).map(PathBuf::from);
    if path.is_none() {
        eprintln!("SKIPPED: {name} is not set; scripts/test-llama-native.sh sets it");
    }
    path
}

struct Daemon {
    child: Child,
    bin: PathBuf,
    url: String,
}

impl Daemon {
    fn start(bin: &Path, data: &Path, config: &Path) -> Self {
        let mut command = Command::new(bin);
        command.args(["serve", "--bind", "127.0.0.1:0", "--data-dir"]).arg(data).arg("--config").arg(config);
        command.env_remove("SMARTRAG_CONFIG").env_remove("SMARTRAG_URL");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("http://")).expect("the line that says where it listens");
        let url = line[line.find("http://").unwrap()..].split_whitespace().next().unwrap().to_owned();
        Self { child, bin: bin.to_owned(), url }
    }

    /// A command of the client, successful; what it prints.
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.bin);
        let output = command.args(arguments).env("SMARTRAG_URL", &self.url).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        out.into_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn the_daemon_answers_with_it() {
    let (Some(bin), Some(library), Some(weights)) =
        (given("SMARTRAG_BIN"), given("LLAMA_NATIVE_LIB"), given("LLAMA_NATIVE_GGUF"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let installed = root.join("libllama_native.so");
    fs::copy(&library, &installed).unwrap();
    fs::set_permissions(&installed, fs::Permissions::from_mode(0o644)).unwrap();
    let config = root.join("config.yaml");
    let (library, hash, weights) = (installed.display(), sha256(&installed), weights.display());
    fs::write(
        &config,
        format!(
            "plugins:\n  native:\n    llama-native: {{role: generator, path: {library}, sha256: \"{hash}\"}}\n\
             backends:\n  default: local\n  local: {{plugin: llama-native, model_path: {weights}, context: 2048}}\n"
        ),
    )
    .unwrap();
    let pond = root.join("pond.md");
    fs::write(&pond, "# Pond\n\nThe heron stands in the pond and waits for a fish.\n").unwrap();

    let daemon = Daemon::start(&bin, &root.join("data"), &config);
    daemon.run(&["upload", "--wait", pond.to_str().unwrap()]);
    let listed = daemon.run(&["plugin", "list"]);
    assert!(listed.lines().any(|line| line.contains("llama-native") && line.contains("native")), "{listed}");
    let models = daemon.run(&["models", "list"]);
    assert!(models.to_lowercase().contains("smollm2"), "{models}");

    let answer = daemon.run(&[
        "query",
        "--json",
        "--temperature",
        "0",
        "--max-tokens",
        "24",
        "Where does the heron stand?",
    ]);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["backend"], "local", "{answer:#}");
    assert!(answer["answer"].as_str().unwrap().to_lowercase().contains("pond"), "{answer:#}");
    assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() > 50, "{answer:#}");
}
