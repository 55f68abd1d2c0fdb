//! Bad input gets one clear error; the daemon stays up and nothing is half-written.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{PATIENCE, SMARTRAG, TestDaemon, data_dir, serve, test_data, wait};

async fn upload_one(daemon: &TestDaemon, name: &str, bytes: &[u8]) -> Value {
    daemon.upload("", &[(name, bytes.to_vec())]).await.remove(0)
}

/// Nothing is left of a refused upload, and the next one works.
async fn assert_unharmed(daemon: &TestDaemon) {
    let listed = daemon.get("/api/v1/documents").await.ok();
    assert_eq!(listed["items"], json!([]), "{listed:#}");
    daemon.add("after.txt", "Still alive.").await;
}

#[tokio::test]
async fn files_refused_at_the_door_do_not_stop_the_others() {
    let daemon = TestDaemon::start();
    let files: &[(&str, Vec<u8>)] = &[
        ("empty.txt", Vec::new()),
        ("program", [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 120]].concat()),
        ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".to_vec()),
        ("noise.bin", (0..2000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()),
        ("good.txt", b"A good one.".to_vec()),
        ("twins.txt", b"MZ twins are monozygotic.".to_vec()),
    ];
    let items = daemon.upload("", files).await;
    let codes: Vec<_> = items.iter().map(|item| item["code"].as_str().unwrap_or("")).collect();
    assert_eq!(codes, ["empty", "executable", "unsupported_type", "unsupported_type", "", ""], "{items:#?}");
    for item in &items[..4] {
        assert_eq!(item["status"], "rejected");
        assert!(item["detail"].as_str().unwrap().len() > 20, "{item}");
    }
    assert!(items[4..].iter().all(|item| item["status"] == "ready"), "{items:#?}");
}

#[tokio::test]
async fn a_wrong_extension_does_not_matter() {
    let daemon = TestDaemon::start();
    let pdf = std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/documents/nordlicht-handbuch.pdf"),
    );
    let item = upload_one(&daemon, "handbuch.txt", &pdf.unwrap()).await;
    let document =
        daemon.get(&format!("/api/v1/documents/{}", item["document_id"].as_str().unwrap())).await.ok();
    assert_eq!((&document["file_type"], &document["status"]), (&json!("pdf"), &json!("ready")));
    let item = upload_one(&daemon, "text.pdf", b"Only words.").await;
    assert_eq!(item["status"], "ready", "{item}");
}

#[tokio::test]
async fn broken_files_fail_alone_with_a_reason() {
    let daemon = TestDaemon::start();
    let item = upload_one(&daemon, "broken.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Cata").await;
    assert_eq!((&item["status"], &item["code"]), (&json!("failed"), &json!("corrupt")), "{item}");
    let item = upload_one(&daemon, "broken.docx", b"PK\x03\x04 and then nothing of a zip").await;
    assert_eq!((&item["status"], &item["code"]), (&json!("failed"), &json!("corrupt")), "{item}");
    let document =
        daemon.get(&format!("/api/v1/documents/{}", item["document_id"].as_str().unwrap())).await.ok();
    let error = &document["error"];
    assert_eq!((&error["stage"], &error["plugin"]), (&json!("parsing"), &json!("docx")), "{error}");
    daemon.add("after.txt", "Still alive.").await;
}

#[tokio::test]
async fn encrypted_files_say_so() {
    let Some(dir) = test_data("docs/docling/pdf_password/sources") else { return };
    let daemon = TestDaemon::start();
    let mut encrypted = 0;
    for (name, bytes) in crate::support::files_below(&dir) {
        let item = upload_one(&daemon, &name, &bytes).await;
        encrypted += usize::from(item["code"] == "encrypted");
        assert!(item["status"] == "ready" || item["code"] == "encrypted", "{item}");
    }
    assert!(encrypted > 0);
}

#[tokio::test]
async fn names_lose_their_directories() {
    let daemon = TestDaemon::start();
    let body = json!({"filename": "../../etc/passwd.txt", "text": "A name."});
    let item = daemon.post("/api/v1/documents?wait=true", &body).await.ok();
    assert_eq!(item["filename"], "passwd.txt");
    let body = json!({"filename": "a\u{0}b.txt", "text": "Another."});
    let refused = daemon.post("/api/v1/documents?wait=true", &body).await;
    assert!(refused.body.contains("invalid_value"), "{}", refused.body);
    assert_eq!(daemon.search(&json!({"query": "another", "mode": "keyword"})).await.len(), 0);
}

#[tokio::test]
async fn too_large_files_are_refused_without_being_kept() {
    let daemon = TestDaemon::start_with("api: {upload_bytes_max: 1MiB}\n");
    let item = upload_one(&daemon, "large.txt", &vec![b'a'; 3 << 20]).await;
    assert_eq!((&item["status"], &item["code"]), (&json!("rejected"), &json!("too_large")), "{item}");
    assert_unharmed(&daemon).await;
}

#[tokio::test]
async fn requests_that_make_no_sense_are_told_why() {
    let daemon = TestDaemon::start();
    let unknown = daemon.post("/api/v1/search", &json!({"query": "x", "topk": 5})).await;
    let problem = unknown.problem(400, "unknown_field");
    assert!(problem["detail"].as_str().unwrap().contains("topk"), "{problem}");
    let raw = |body: &str| {
        let request = daemon.request("POST", "/api/v1/search").header("content-type", "application/json");
        daemon.send(request.body(body.to_owned()))
    };
    raw("{\"query\": ").await.problem(400, "invalid_json");
    let text = daemon.request("POST", "/api/v1/search").header("content-type", "text/plain").body("x");
    daemon.send(text).await.problem(415, "unsupported_media_type");
    daemon.post("/api/v1/search", &json!({"query": " "})).await.problem(422, "invalid_value");
    let many = daemon.post("/api/v1/search", &json!({"query": "x", "top_k": 101})).await;
    assert!(many.problem(422, "invalid_value").to_string().contains("/top_k"), "{}", many.body);
    daemon
        .post("/api/v1/query", &json!({"query": "x", "backend": "nobody"}))
        .await
        .problem(422, "unknown_backend");
    daemon
        .post("/api/v1/search", &json!({"query": "x", "collection": "none"}))
        .await
        .problem(422, "unknown_collection");
    daemon.get("/api/v1/nothing").await.problem(404, "not_found");
    daemon.get("/api/v1/documents/nonsense").await.problem(404, "not_found");
    daemon.delete("/api/v1/search").await.problem(405, "method_not_allowed");
    let rebound = daemon.request("GET", "/health").header("host", "evil.example");
    daemon.send(rebound).await.problem(403, "host_not_allowed");
    let foreign = daemon.request("GET", "/api/v1/documents").header("origin", "http://evil.example");
    daemon.send(foreign).await.problem(403, "origin_not_allowed");
}

#[tokio::test]
async fn a_query_of_a_megabyte_is_refused() {
    let daemon = TestDaemon::start();
    let answer = daemon.post("/api/v1/search", &json!({"query": "word ".repeat(200_000)})).await;
    assert!(answer.status == 413 || answer.status == 422, "{}: {}", answer.status, answer.body);
    assert_unharmed(&daemon).await;
}

fn failing(mut command: Command) -> String {
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let status = wait(&mut child);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    said
}

#[test]
fn a_missing_plugin_directory_is_named() {
    let data = data_dir();
    let mut command = serve(data.path());
    command.env("SMARTRAG_PLUGINS_DIR", "/nonexistent/plugins");
    let said = failing(command);
    assert!(said.contains("/nonexistent/plugins") && said.contains("plugins.dir"), "{said}");
}

#[test]
fn absent_and_foreign_weights_are_named_with_the_command_that_brings_them() {
    let data = data_dir();
    let models = tempfile::tempdir().unwrap();
    // A build tree's own models would be found next; run the program from elsewhere.
    let moved = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(moved.path().join("bin")).unwrap();
    let program = moved.path().join("bin/smartrag");
    std::fs::copy(SMARTRAG, &program).unwrap();
    let elsewhere = |models: &Path| {
        let mut command = Command::new(&program);
        command.args(["serve", "--bind", "127.0.0.1:0", "--data-dir"]).arg(data.path());
        let plugins = Path::new(SMARTRAG).parent().unwrap().join("../plugins");
        command.env("SMARTRAG_PLUGINS_DIR", plugins).env("SMARTRAG_MODELS_DIR", models);
        failing(command)
    };
    let said = elsewhere(models.path());
    assert!(said.contains("`smartrag models fetch`"), "{said}");
    let dir = models.path().join("wordllama");
    std::fs::create_dir_all(&dir).unwrap();
    for name in ["l2_supercat_256.safetensors", "l2_supercat_tokenizer_config.json"] {
        std::fs::write(dir.join(name), b"something else").unwrap();
    }
    let said = elsewhere(models.path());
    assert!(said.contains("another SHA-256") && said.contains("`smartrag models fetch`"), "{said}");
}

#[test]
fn a_port_in_use_is_named() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let data = data_dir();
    let mut command = Command::new(SMARTRAG);
    command.args(["serve", "--bind", &address, "--data-dir"]).arg(data.path());
    let said = failing(command);
    assert!(said.contains("in use") && said.contains("--bind"), "{said}");
}

#[tokio::test]
async fn two_daemons_do_not_share_a_data_directory() {
    let daemon = TestDaemon::start();
    let said = failing(serve(daemon.data()));
    assert!(said.contains("another smartrag"), "{said}");
    daemon.add("after.txt", "Still alive.").await;
}

/// A small file system of our own; `None`, visibly, where we may not mount one.
fn small_disk(dir: &Path) -> Option<()> {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=120m", "tmpfs"]).arg(dir).output();
    if mounted.is_ok_and(|output| output.status.success()) {
        return Some(());
    }
    eprintln!("SKIPPED: a tmpfs can't be mounted here (root is needed)");
    None
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let mount = tempfile::tempdir().unwrap();
    let Some(()) = small_disk(mount.path()) else { return };
    let data = tempfile::tempdir_in(mount.path()).unwrap();
    let template = data_dir();
    let copied =
        Command::new("cp").arg("-a").arg(template.path().join("cache")).arg(data.path()).status().unwrap();
    assert!(copied.success());
    let daemon = TestDaemon::start_on(data);
    let kept = daemon.add("kept.txt", "A heron was here before the disk was full.").await;
    let filler = mount.path().join("filler");
    // Ends with an error, as it should, when the disk is full.
    let mut fill = Command::new("dd");
    fill.args(["if=/dev/zero", "bs=64k", "status=none"]).arg(format!("of={}", filler.display()));
    assert!(!fill.stderr(std::process::Stdio::null()).status().unwrap().success());
    let body = json!({"filename": "late.txt", "text": "word ".repeat(100_000)});
    daemon.post("/api/v1/documents", &body).await.problem(507, "storage_full");
    assert_eq!(daemon.search(&json!({"query": "heron"})).await[0]["document_id"], kept.as_str());
    std::fs::remove_file(&filler).unwrap();
    daemon.add("after.txt", "There is room again.").await;
    drop(daemon);
    let unmounted = Command::new("umount").arg("-l").arg(mount.path()).status().unwrap();
    assert!(unmounted.success());
}

/// The body comes a moment after the head, as from many clients.
#[test]
fn an_answer_before_the_body_keeps_the_connection() {
    let daemon = TestDaemon::start();
    let address = daemon.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..2 {
        let head = format!("POST /nowhere HTTP/1.1\r\nHost: {address}\r\nContent-Length: 5\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        stream.write_all(b"hello").unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"}") {
            let mut part = [0; 4096];
            let len = stream.read(&mut part).unwrap();
            assert!(len > 0, "closed after {:?}", String::from_utf8_lossy(&heard));
            heard.extend(&part[..len]);
        }
        let heard = String::from_utf8(heard).unwrap().to_lowercase();
        assert!(heard.starts_with("http/1.1 404") && !heard.contains("connection: close"), "{heard}");
    }
}
