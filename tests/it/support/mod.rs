//! A daemon of a test's own.

pub mod author;
mod cache;
pub mod model_server;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub const SMARTRAG: &str = env!("CARGO_BIN_EXE_smartrag");

/// How long anything may take before a test gives up; the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running daemon on a free port. Its drop ends it and fails the test if it had died or does not end cleanly.
pub struct TestDaemon {
    child: Option<Child>,
    pub url: String,
    data: Option<TempDir>,
    http: reqwest::Client,
}

/// A response with its body read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The body of a success.
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        self.json()
    }

    /// Checks that this is a problem with this status and code, whole as the contract has it.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        assert_eq!(problem["request_id"].as_str().unwrap(), self.headers["x-request-id"]);
        problem
    }
}

/// An empty data directory whose cache has the compiled plugins.
pub fn data_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    cache::warm(dir.path());
    dir
}

/// The daemon's command line on a data directory.
pub fn serve(data: &Path) -> Command {
    let mut command = Command::new(SMARTRAG);
    command.args(["serve", "--bind", "127.0.0.1:0", "--data-dir"]).arg(data);
    command.env_remove("SMARTRAG_CONFIG").env_remove("SMARTRAG_URL");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

impl TestDaemon {
    pub fn start() -> Self {
        Self::start_on(data_dir())
    }

    pub fn start_on(data: TempDir) -> Self {
        let command = serve(data.path());
        Self::spawn(command, data)
    }

    /// With a config file of this text.
    pub fn start_with(config: &str) -> Self {
        Self::start_on_with(data_dir(), config)
    }

    /// The same on a data directory.
    pub fn start_on_with(data: TempDir, config: &str) -> Self {
        let file = data.path().join("config.yaml");
        std::fs::write(&file, config).unwrap();
        let mut command = serve(data.path());
        command.arg("--config").arg(file);
        Self::spawn(command, data)
    }

    /// The same in another environment.
    pub fn start_on_in(data: TempDir, environment: &[(&str, &OsStr)]) -> Self {
        let mut command = serve(data.path());
        command.envs(environment.iter().copied());
        Self::spawn(command, data)
    }

    fn spawn(mut command: Command, data: TempDir) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("smartrag is ready at ").unwrap_or_else(|| {
            panic!("no ready line but {line:?}: are the plugins built (scripts/build-plugins.sh)?")
        });
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { child: Some(child), url: url.to_owned(), data: Some(data), http }
    }

    /// In keys mode, with keys that were made before its start; `config` may say more.
    pub fn start_with_keys<const N: usize>(users: [(&str, &str); N], config: &str) -> (Self, [String; N]) {
        let data = data_dir();
        let keys = users.map(|(user, role)| new_key(data.path(), user, role));
        (Self::start_on_with(data, &format!("auth: {{mode: keys}}\n{config}")), keys)
    }

    pub fn data(&self) -> &Path {
        self.data.as_ref().unwrap().path()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Ends it as a service manager does, and leaves the data.
    pub fn end(mut self) -> TempDir {
        let mut child = self.child.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(wait(&mut child).success(), "the daemon did not end cleanly");
        self.data.take().unwrap()
    }

    /// Ends it like a power cut ends a process, and leaves the data.
    pub fn kill(mut self) -> TempDir {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.data.take().unwrap()
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("{}{path}", self.url))
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("POST", path).json(body)).await
    }

    /// Uploads files and waits; the items of the answer.
    pub async fn upload(&self, query: &str, files: &[(&str, Vec<u8>)]) -> Vec<Value> {
        let form = files.iter().fold(reqwest::multipart::Form::new(), |form, (name, bytes)| {
            form.part("file", reqwest::multipart::Part::bytes(bytes.clone()).file_name((*name).to_owned()))
        });
        let path = format!("/api/v1/documents/upload?wait=true{query}");
        let answer = self.send(self.request("POST", &path).multipart(form)).await;
        answer.ok()["items"].as_array().unwrap().clone()
    }

    /// A text as a document, searchable on return; its id.
    pub async fn add(&self, filename: &str, text: &str) -> String {
        let body = serde_json::json!({"filename": filename, "text": text});
        let item = self.post("/api/v1/documents?wait=true", &body).await.ok();
        assert_eq!(item["status"], "ready", "{item}");
        item["document_id"].as_str().unwrap().to_owned()
    }

    /// The hits of a search.
    pub async fn search(&self, body: &Value) -> Vec<Value> {
        self.post("/api/v1/search", body).await.ok()["results"].as_array().unwrap().clone()
    }
}

impl Drop for TestDaemon {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if std::thread::panicking() {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        assert!(child.try_wait().unwrap().is_none(), "the daemon died during the test");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(wait(&mut child).success(), "the daemon did not end cleanly");
    }
}

/// Makes a key in a data directory.
pub fn new_key(data: &Path, user: &str, role: &str) -> String {
    let mut command = Command::new(SMARTRAG);
    command.args(["keys", "create", "--user", user, "--role", role, "--data-dir"]).arg(data);
    let output = command.env_remove("SMARTRAG_CONFIG").env_remove("SMARTRAG_URL").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Waits for a process to end; kills it when patience does.
pub fn wait(child: &mut Child) -> std::process::ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the process did not end within {PATIENCE:?}");
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Foreign test data below `path`; `None`, with a visible line, where it is absent.
pub fn test_data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SMARTRAG_TEST_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("SKIPPED: no test data at {path}; set SMARTRAG_TEST_DATA to run this test");
    None
}

/// Something of a real model server or its clients; says so where it is missing.
pub fn llm_tool(path: &str) -> Option<PathBuf> {
    let target = Path::new(SMARTRAG).ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
    let found = Some(target.join("llm").join(path)).filter(|path| path.exists());
    if found.is_none() {
        eprintln!("SKIPPED: no {path}; ./scripts/fetch-llm.sh brings it");
    }
    found
}

/// Our own sample documents, by name.
pub fn samples() -> Vec<(String, Vec<u8>)> {
    files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/documents"))
}

/// Free a moment ago, and below those that the system gives to whoever asks for any.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let from = 10_000 + (std::process::id() % 20_000) as u16;
    let next = || from + NEXT.fetch_add(1, Ordering::Relaxed);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(next).find(is_free).unwrap()
}

/// Files of a directory, by name.
pub fn files_below(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}
