//! `smartrag doctor` and `smartrag health`, as operators and monitors run them.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{SMARTRAG, TestDaemon, data_dir, files_below, new_key};

/// A command on a data directory, whatever the machine's own config says; the port is any free one.
fn smartrag(arguments: &[&str], data: &Path, environment: &[(&str, &str)]) -> Output {
    let config = data.join("config.yaml");
    if !config.exists() {
        fs::write(&config, "").unwrap();
    }
    let mut command = Command::new(SMARTRAG);
    command.args(arguments).arg("--config").arg(config);
    for name in ["SMARTRAG_URL", "SMARTRAG_API_KEY", "SMARTRAG_API_PORT"] {
        command.env_remove(name);
    }
    command.env("SMARTRAG_DATA_DIR", data).env("SMARTRAG_API__BIND", "127.0.0.1:0");
    command.envs(environment.iter().copied()).output().unwrap()
}

/// A report and the exit code.
struct Report {
    code: i32,
    report: Value,
}

impl Report {
    /// The checks of this name.
    fn all(&self, name: &str) -> Vec<&Value> {
        self.report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == name).collect()
    }

    /// The worst of them.
    fn level(&self, name: &str) -> &str {
        let levels: Vec<&str> = self.all(name).iter().map(|check| check["level"].as_str().unwrap()).collect();
        let worst = ["fail", "warn", "ok"].into_iter().find(|level| levels.contains(level));
        worst.unwrap_or_else(|| panic!("no check {name} in {:#}", self.report))
    }

    /// Details and hints of the checks of this name.
    fn said(&self, name: &str) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lines =
            self.all(name).into_iter().map(|check| text(&check["detail"]) + " -> " + &text(&check["hint"]));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Exit code and `status` say the same.
    fn ends(&self, failed: bool) {
        assert_eq!(self.code, i32::from(failed), "{:#}", self.report);
        assert_eq!(self.report["status"] == "fail", failed, "{:#}", self.report);
    }
}

fn doctor_in(arguments: &[&str], data: &Path, environment: &[(&str, &str)]) -> Report {
    let output = smartrag(&[&["doctor", "--json"], arguments].concat(), data, environment);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    Report { code: output.status.code().unwrap(), report }
}

fn doctor(arguments: &[&str], data: &Path) -> Report {
    doctor_in(arguments, data, &[])
}

/// What a daemon leaves that took a document in and was stopped.
async fn stopped() -> TempDir {
    let daemon = TestDaemon::start();
    daemon.add("heron.md", "The grey heron stands in the harbour pond.").await;
    let data = daemon.end();
    chmod(data.path(), 0o700);
    data
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn what_a_stopped_daemon_leaves_is_in_order() {
    let data = stopped().await;
    let told = doctor(&["--deep"], data.path());
    for name in [
        "config",
        "data_dir",
        "permissions",
        "port",
        "listens",
        "store",
        "clock",
        "indexes",
        "backups",
        "plugins",
        "parsers",
        "model",
        "network",
    ] {
        assert_eq!(told.level(name), "ok", "{name}: {}", told.said(name));
    }
    told.ends(false);
    assert!(
        told.said("store").contains("1 documents") && told.said("store").contains("every checksum is right")
    );
    assert!(
        told.said("indexes").starts_with("1 chunks in 1 collection, as in the store"),
        "{}",
        told.said("indexes")
    );
    assert!(told.said("listens").contains("programs of this machine, without a key"));
    assert!(told.said("network").starts_with("nothing may leave this machine"), "{}", told.said("network"));
    assert!(told.all("offline").is_empty());
    let told = doctor(&["--offline"], data.path());
    assert!(told.said("offline").contains("plugin static-embed 0.1.0 sha256:"));
    assert_eq!(told.level("network"), "ok");
}

#[tokio::test]
async fn a_running_daemon_is_asked() {
    let daemon = TestDaemon::start();
    daemon.add("heron.md", "The grey heron stands in the harbour pond.").await;
    let bind = daemon.url.strip_prefix("http://").unwrap();
    chmod(daemon.data(), 0o700);
    let told = doctor_in(&[], daemon.data(), &[("SMARTRAG_API__BIND", bind)]);
    told.ends(false);
    assert!(told.said("port").contains("the daemon answers at"), "{}", told.said("port"));
    assert!(told.said("keyword").contains("1 of 1 chunks"), "{:#}", told.report);
    assert!(told.said("vector").contains("1 of 1 chunks"));
    assert_eq!(told.level("permissions"), "ok", "{}", told.said("permissions"));
    // A second one would find directory and port taken.
    let before = doctor_in(&["--pre-start"], daemon.data(), &[("SMARTRAG_API__BIND", bind)]);
    before.ends(true);
    assert_eq!([before.level("port"), before.level("store")], ["fail", "fail"]);
    assert!(before.said("store").contains("used by another smartrag process"));
}

#[tokio::test]
async fn with_keys_the_daemons_own_user_is_told_all_the_same() {
    let (daemon, []) = TestDaemon::start_with_keys([], "");
    let bind = daemon.url.strip_prefix("http://").unwrap();
    let told = doctor_in(&[], daemon.data(), &[("SMARTRAG_API__BIND", bind)]);
    assert!(told.said("keyword").contains("0 of 0 chunks"), "{:#}", told.report);
    assert!(told.said("listens").contains("with a key"));
}

#[tokio::test]
async fn a_database_that_everybody_reads_is_a_warning() {
    let data = stopped().await;
    let database = data.path().join("database");
    assert_eq!(fs::metadata(data.path().join("indexes")).unwrap().permissions().mode() & 0o777, 0o700);
    chmod(&database.join("smartrag.redb"), 0o644);
    assert_eq!(doctor(&[], data.path()).level("permissions"), "ok", "closed by its directory");
    chmod(data.path(), 0o755);
    chmod(&database, 0o755);
    let told = doctor(&[], data.path());
    told.ends(false);
    assert_eq!(told.level("permissions"), "warn");
    let said = told.said("permissions");
    assert!(said.contains("smartrag.redb") && said.contains("chmod 700 "), "{said}");
}

fn first_file(dir: &Path, extension: &str) -> PathBuf {
    let entries = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().flatten();
    let mut paths = entries.map(walkdir::DirEntry::into_path);
    paths.find(|path| path.extension().is_some_and(|found| found == extension)).unwrap()
}

#[tokio::test]
async fn a_damaged_index_is_named_and_left_to_the_daemon() {
    for (which, extension) in [("keyword", "term"), ("vector", "segment")] {
        let data = stopped().await;
        let file = first_file(&data.path().join("indexes"), extension);
        let mut bytes = fs::read(&file).unwrap();
        bytes[0] ^= 0x40;
        fs::write(&file, &bytes).unwrap();
        let told = doctor(&[], data.path());
        told.ends(false);
        assert_eq!(told.level("indexes"), "warn", "{:#}", told.report);
        let said = told.said("indexes");
        assert!(said.contains(&format!("the {which} index is damaged")), "{said}");
        assert!(said.contains("smartrag reindex"), "{said}");
        assert_eq!(fs::read(&file).unwrap(), bytes, "it only looks");
        // An index stops no start.
        doctor(&["--pre-start"], data.path()).ends(false);
        let daemon = TestDaemon::start_on(data);
        let found = daemon.search(&serde_json::json!({"query": "heron"})).await;
        assert_eq!(found.len(), 1);
    }
}

#[tokio::test]
async fn what_lies_around_of_other_collections_is_named() {
    let data = stopped().await;
    fs::create_dir_all(data.path().join("indexes/4711/keyword")).unwrap();
    let told = doctor(&[], data.path());
    assert!(told.said("indexes").contains("indexes/4711"), "{:#}", told.report);
}

/// A plugin that nobody needs, whose model file is there with other bytes.
fn plugin_with_a_damaged_model(data: &Path) {
    let shipped = Path::new(SMARTRAG).parent().unwrap().join("../plugins/static-embed");
    let (mine, models) = (data.join("mine/rotten"), data.join("other-models"));
    fs::create_dir_all(&mine).unwrap();
    fs::create_dir_all(&models).unwrap();
    for (name, bytes) in files_below(&shipped) {
        fs::write(mine.join(name), bytes).unwrap();
    }
    let manifest = fs::read_to_string(mine.join("plugin.toml")).unwrap();
    let manifest = manifest.replacen("static-embed", "rotten", 1);
    let manifest = manifest.replace("wordllama/l2_supercat_256.safetensors", "rotten.bin");
    fs::write(mine.join("plugin.toml"), manifest).unwrap();
    fs::write(models.join("rotten.bin"), "these are no weights").unwrap();
    let config =
        format!("plugins: {{extra_dirs: [{:?}]}}\nmodels: {{dir: {models:?}}}\n", mine.parent().unwrap());
    fs::write(data.join("config.yaml"), config).unwrap();
}

#[test]
fn a_damaged_model_fails_but_keeps_no_daemon_down() {
    let data = data_dir();
    plugin_with_a_damaged_model(data.path());
    let told = doctor(&[], data.path());
    told.ends(true);
    assert_eq!(told.level("model"), "fail");
    let said = told.said("model");
    assert!(said.contains("weights of rotten") && said.contains("another SHA-256"), "{said}");
    assert!(said.contains("-> bring it with `smartrag models fetch`"), "{said}");
    let before = doctor(&["--offline", "--pre-start"], data.path());
    before.ends(false);
    assert_eq!(before.level("model"), "warn");
    assert_eq!(before.level("embedder"), "ok");
    assert!(before.said("offline").contains("model weights sha256:"));
    drop(TestDaemon::start_on_with(data, ""));
}

#[test]
fn before_a_start_that_fails_which_the_daemon_needs() {
    let data = data_dir();
    fs::write(data.path().join("config.yaml"), "embedder: {plugin: gone}\n").unwrap();
    let before = doctor(&["--pre-start"], data.path());
    before.ends(true);
    assert_eq!(before.level("embedder"), "fail");

    // A backend that is missing falls back, and the daemon starts.
    let config = "backends: {default: other, other: {plugin: gone}}\n";
    fs::write(data.path().join("config.yaml"), config).unwrap();
    doctor(&[], data.path()).ends(true);
    doctor(&["--pre-start"], data.path()).ends(false);
    let daemon = TestDaemon::start_on_with(data, config);
    let data = daemon.end();

    fs::write(data.path().join("config.yaml"), "bakends: 1\n").unwrap();
    let before = doctor(&["--pre-start"], data.path());
    before.ends(true);
    assert!(before.said("config").contains("bakends"), "{}", before.said("config"));
}

#[tokio::test]
async fn a_damaged_database_stops_a_start() {
    let data = stopped().await;
    fs::write(data.path().join("database/smartrag.redb"), "this is no database").unwrap();
    for mode in [&["--pre-start"][..], &[]] {
        let told = doctor(mode, data.path());
        told.ends(true);
        assert_eq!(told.level("store"), "fail");
        assert!(told.said("store").contains("smartrag restore latest"), "{}", told.said("store"));
    }
}

#[tokio::test]
async fn a_missing_original_is_named_by_whoever_needs_it_until_it_is_uploaded_again() {
    let daemon = TestDaemon::start();
    let text = "The grey heron stands in the harbour pond.\n".repeat(3000);
    let id = daemon.add("heron.md", &text).await;
    let entries = walkdir::WalkDir::new(daemon.data().join("file_storage")).into_iter().flatten();
    let mut files = entries.filter(|entry| entry.file_type().is_file());
    let original = files.next().unwrap().into_path();
    fs::remove_file(&original).unwrap();

    let problem = daemon.get(&format!("/api/v1/documents/{id}/content")).await.problem(500, "internal");
    assert!(
        problem["detail"].as_str().unwrap().contains("is missing or cut off: upload it again"),
        "{problem}"
    );

    let data = daemon.end();
    let told = doctor(&["--offline"], data.path());
    told.ends(true);
    assert!(told.said("originals").contains(&id), "{}", told.said("originals"));
    doctor(&["--pre-start"], data.path()).ends(false);
    let backup = smartrag(&["backup", "create"], data.path(), &[]);
    let said = String::from_utf8_lossy(&backup.stderr).into_owned();
    assert!(!backup.status.success() && said.contains(&id), "{said}");

    let daemon = TestDaemon::start_on(data);
    assert_eq!(daemon.add("heron.md", &text).await, id);
    assert_eq!(fs::read_to_string(&original).unwrap(), text);
    assert_eq!(daemon.get(&format!("/api/v1/documents/{id}/content")).await.status, 200);
}

#[test]
fn a_port_that_is_taken_stops_a_start() {
    let data = data_dir();
    // It never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = listener.local_addr().unwrap().to_string();
    for mode in [&["--pre-start"][..], &["--offline"]] {
        let told = doctor_in(mode, data.path(), &[("SMARTRAG_API__BIND", &bind)]);
        told.ends(true);
        assert_eq!(told.level("port"), "fail");
        assert!(told.said("port").contains("api.bind"), "{}", told.said("port"));
    }
}

#[test]
fn a_schedule_without_backups_is_a_warning() {
    let data = data_dir();
    fs::write(data.path().join("config.yaml"), "backup: {schedule: \"03:00\"}\n").unwrap();
    let told = doctor(&["--offline"], data.path());
    assert_eq!(told.level("backups"), "warn", "{}", told.said("backups"));
    assert!(told.said("backups").contains("smartrag backup create"));
}

#[test]
fn who_could_leave_is_told_in_both_modes() {
    let data = data_dir();
    let config = "backends:\n  cloud: {plugin: openai, model: m, base_url: \"https://api.example.com/v1\"}\n";
    fs::write(data.path().join("config.yaml"), config).unwrap();
    for mode in [&["--offline"][..], &["--pre-start"]] {
        let told = doctor(mode, data.path());
        assert_eq!(told.level("network"), "warn");
        let said = told.said("network");
        assert!(said.contains("openai may ask https://api.example.com:443, elsewhere"), "{said}");
        assert!(said.contains("what may leave this machine: openai"), "{said}");
    }
}

#[test]
fn models_are_checked_without_a_daemon() {
    let data = data_dir();
    let check = || smartrag(&["models", "check", "--json"], data.path(), &[]);
    let output = check();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &told["ready"]), (Some(0), &Value::Bool(true)), "{told:#}");
    assert!(
        told["features"].as_array().unwrap().iter().all(|feature| feature["offline"] == true),
        "{told:#}"
    );
    let is_file = |item: &&Value| item["kind"] == "model_file";
    assert!(told["items"].as_array().unwrap().iter().any(|item| is_file(&item)), "{told:#}");

    plugin_with_a_damaged_model(data.path());
    let output = check();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let missing = |item: &&Value| item["plugin"] == "rotten" && item["present"] == false;
    let missing = told["items"].as_array().unwrap().iter().filter(is_file).find(missing).unwrap();
    assert!(missing["problem"].as_str().unwrap().contains("another SHA-256"), "{told:#}");
    assert_eq!((output.status.code(), &told["ready"]), (Some(1), &Value::Bool(false)));

    fs::write(data.path().join("config.yaml"), "embedder: {plugin: gone}\n").unwrap();
    let output = smartrag(&["models", "check"], data.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("is not installed"), "{output:?}");
}

fn health(arguments: &[&str], data: &Path, bind: &str) -> (i32, String, String) {
    let output = smartrag(&[&["health"], arguments].concat(), data, &[("SMARTRAG_API__BIND", bind)]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn health_of_a_daemon_that_runs_and_of_one_that_does_not() {
    let daemon = TestDaemon::start();
    let bind = daemon.url.strip_prefix("http://").unwrap().to_owned();
    let (code, out, err) = health(&[], daemon.data(), &bind);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(&format!("at {}", daemon.url)) && out.contains("keyword index"), "{out}");
    let (_, out, _) = health(&["--ready"], daemon.data(), &bind);
    assert_eq!(out.lines().count(), 1, "{out}");
    let (code, out, _) = health(&["--json"], daemon.data(), &bind);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["ready"]), (0, &Value::Bool(true)), "{told}");
    assert!(told["health"]["components"]["database"].is_object(), "{told}");

    // A mistake in the file does not make the daemon sick.
    fs::write(daemon.data().join("config.yaml"), "bakends: 1\n").unwrap();
    assert_eq!(health(&["--ready"], daemon.data(), &bind).0, 0);
    let data = daemon.end();
    fs::write(data.path().join("config.yaml"), "").unwrap();
    let (code, out, err) = health(&["--ready"], data.path(), &bind);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("no daemon at") && err.contains("smartrag serve"), "{err}");
    let (code, out, _) = health(&["--json", "--url", &format!("http://{bind}")], data.path(), "127.0.0.1:1");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["status"], &told["ready"]), (1, &"unreachable".into(), &false.into()));
}

#[test]
fn health_needs_no_key() {
    let (daemon, [key]) = TestDaemon::start_with_keys([("ann", "admin")], "");
    let bind = daemon.url.strip_prefix("http://").unwrap();
    let (code, out, err) = health(&[], daemon.data(), bind);
    assert_eq!((code, out.lines().count()), (0, 1), "{out}{err}");
    let (_, out, _) = health(&["--api-key", &key], daemon.data(), bind);
    assert!(out.contains("keyword index"), "{out}");
    let reader = new_key(daemon.data(), "bob", "reader");
    assert_eq!(health(&["--api-key", &reader], daemon.data(), bind).1.lines().count(), 1);
}
