//! The sample native plugin in the real daemon.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{PATIENCE, SMARTRAG, TestDaemon, data_dir, serve, wait};

pub const NAME: &str = "hashing";

/// The sample's library, built here, in a directory that nobody else can write to.
pub fn library() -> (tempfile::TempDir, PathBuf) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("native");
    let output = Command::new(cargo)
        .args(["build", "--locked", "--package", "smartrag-native-embedder", "--target-dir"])
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("libnative_embedder.so");
    fs::copy(target.join("debug/libnative_embedder.so"), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    (dir, path)
}

/// As the documentation says to find it.
pub fn sha256sum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

pub fn config(name: &str, path: &Path, sha256: &str) -> String {
    let path = path.display();
    format!(
        "plugins:\n  native:\n    {name}: {{role: embedder, path: {path}, sha256: \"{sha256}\"}}\n\
         embedder: {{plugin: {name}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_embeds_documents_and_queries() {
    let (_dir, path) = library();
    let sha256 = sha256sum(&path);
    let daemon = TestDaemon::start_with(&config(NAME, &path, &sha256));
    daemon.add("harbour.txt", "Wasserproben werden alle sechs Stunden am Pegel genommen.").await;
    daemon.add("garden.txt", "Die Beete im Garten werden abends gegossen.").await;

    // No word in common: only the vectors know that parts of words are.
    let body = json!({"query": "Wasserprobenentnahme", "mode": "vector"});
    let hits = daemon.search(&body).await;
    assert_eq!(hits[0]["filename"], "harbour.txt", "{hits:?}");

    let embedded = daemon.post("/api/v1/embed", &json!({"input": ["Pegel", ""]})).await.ok();
    assert_eq!(embedded["dimension"], 512, "{embedded}");

    let plugin = daemon.get(&format!("/api/v1/plugins/{NAME}")).await.ok();
    assert_eq!(plugin["kind"], "native");
    assert_eq!((&plugin["state"], &plugin["role"]), (&json!("ready"), &json!("embedder")));
    assert_eq!(plugin["sha256"], sha256.as_str());
    assert!(plugin["calls"].as_u64().unwrap() >= 4, "{plugin}");
    let metrics = daemon.get("/metrics").await.body;
    assert!(
        metrics.lines().any(|line| line.starts_with("smartrag_plugin") && line.contains(NAME)),
        "{metrics}"
    );
    let wasm = daemon.get("/api/v1/plugins/static-embed").await.ok();
    assert_eq!(wasm["kind"], "wasm");

    let run = |arguments: &[&str]| {
        let mut command = Command::new(SMARTRAG);
        command.args(arguments).arg("--config").arg(daemon.data().join("config.yaml"));
        let output = command.env("SMARTRAG_URL", &daemon.url).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = run(&["plugin", "list"]);
    assert!(listed.lines().any(|line| line.contains(NAME) && line.contains("native")), "{listed}");
    let inspected: Value = serde_json::from_str(&run(&["plugin", "inspect", "--json", NAME])).unwrap();
    assert_eq!(inspected["sha256"], sha256.as_str());
    assert!(run(&["doctor", "--offline"]).contains("nothing keeps it from the network"));
}

/// The generator of `tests/native/plugin.c`, which quotes the first passage.
fn quoter() -> (tempfile::TempDir, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("quoter.so");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-std=c11", "-DGENERATOR", "-DSALT=0", "-shared", "-fPIC", "-I"])
        .arg(root.join("sdk/native"));
    compiler.arg("-o").arg(&path).arg(root.join("tests/native/plugin.c"));
    assert!(compiler.status().unwrap().success());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    (dir, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generator_in_c_answers() {
    let (_dir, path) = quoter();
    let (shown, sha256) = (path.display(), sha256sum(&path));
    let daemon = TestDaemon::start_with(&format!(
        "plugins: {{native: {{quoter: {{role: generator, path: {shown}, sha256: \"{sha256}\"}}}}}}\n\
         backends: {{default: quoting, quoting: {{plugin: quoter}}}}\n"
    ));
    let text = "The tide gauge at the harbour is read every six hours.";
    daemon.add("harbour.txt", text).await;
    let ask = json!({"query": "How often is the tide gauge read?"});
    let answer = daemon.post("/api/v1/query", &ask).await.ok();
    assert_eq!((&answer["answer"], &answer["backend"]), (&json!(format!("{text} [1]")), &json!("quoting")));
    assert_eq!(answer["finish_reason"], "stop", "{answer:#}");
    let models = daemon.get("/api/v1/models").await.ok();
    assert!(models.to_string().contains("quoter"), "{models}");
}

/// What a daemon says that can't start.
fn refusal(config: &str) -> String {
    let data = data_dir();
    let file = data.path().join("config.yaml");
    fs::write(&file, config).unwrap();
    let mut child =
        serve(data.path()).arg("--config").arg(file).stderr(std::process::Stdio::piped()).spawn().unwrap();
    assert!(!wait(&mut child).success(), "it started, or did not end within {PATIENCE:?}");
    std::io::read_to_string(child.stderr.take().unwrap()).unwrap()
}

#[test]
fn a_library_that_can_not_be_trusted_is_not_loaded() {
    let (dir, path) = library();
    let sha256 = sha256sum(&path);

    let said = refusal(&config(NAME, &path, &"0".repeat(64)));
    assert!(said.contains(&sha256) && said.contains("the config pins 0000"), "{said}");

    let said = refusal(&config(NAME, Path::new("libnative_embedder.so"), &sha256));
    assert!(said.contains("config.yaml:3: plugins.native.hashing.path: must be absolute"), "{said}");

    let said = refusal(&config("static-embed", &path, &sha256));
    assert!(said.contains("a WebAssembly plugin of the same name is installed"), "{said}");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    let said = refusal(&config(NAME, &path, &sha256));
    assert!(said.contains("chmod go-w"), "{said}");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let said = refusal(&config(NAME, &path, &sha256));
    assert!(said.contains("chmod o-w"), "{said}");
}
