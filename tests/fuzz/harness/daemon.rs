//! A running product without sockets, and what must be true of each of its answers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request, header};
use futures_util::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

use crate::api::in_process;
use crate::app::App;
use crate::config::{AuthMode, Config, GrantConfig};
use crate::types::{UserId, UserRole};
use crate::wire::Problem;

/// Those that take a document in and answer from it, without a server.
const PLUGINS: [&str; 5] = ["extractive", "keywords", "lexical", "static-embed", "text"];
/// Requests until all that they left is forgotten.
const REQUESTS_MAX: u32 = 3000;
/// Streams without an end are left after it.
const MOMENT: Duration = Duration::from_millis(2);
const BODY_BYTES_MAX: usize = 64 << 20;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("a runtime")
});

/// Whose form the answers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Native,
    Ollama,
}

/// What requests can name.
pub struct Names {
    pub document: String,
    pub conversation: String,
    /// A key that opens everything.
    pub key: String,
}

/// A daemon with something in it.
pub struct Daemon {
    pub names: Names,
    app: Arc<App>,
    native: Router,
    ollama: Router,
    dir: TempDir,
    requests: u32,
}

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

static LOCAL: Mutex<Option<Daemon>> = Mutex::new(None);
static KEYS: Mutex<Option<Daemon>> = Mutex::new(None);

/// Lends the daemon of this process, made anew from time to time.
pub fn with<T>(mode: AuthMode, work: impl FnOnce(&Daemon) -> T) -> T {
    let mut kept = if mode == AuthMode::Local { LOCAL.lock() } else { KEYS.lock() };
    let daemon = match kept.take() {
        Some(daemon) if daemon.requests < REQUESTS_MAX => daemon,
        Some(daemon) => daemon.emptied(mode),
        None => Daemon::start(mode, tempfile::tempdir().expect("a directory")),
    };
    let daemon = kept.insert(daemon);
    daemon.requests += 1;
    work(daemon)
}

impl Daemon {
    fn start(mode: AuthMode, dir: TempDir) -> Self {
        let app = App::start(config(mode, dir.path()), Default::default()).expect("the product starts");
        let _inside = RUNTIME.enter();
        let (native, ollama) = in_process(&app);
        let names = Names { document: String::new(), conversation: String::new(), key: String::new() };
        let mut daemon = Self { names, app, native, ollama, dir, requests: 0 };
        daemon.fill();
        daemon
    }

    /// The same with nothing but what it began with. What compiling plugins took is kept.
    fn emptied(self, mode: AuthMode) -> Self {
        let Self { app, native, ollama, dir, .. } = self;
        drop((native, ollama));
        app.shutdown();
        drop(app);
        for name in ["database", "indexes", "file_storage"] {
            let _ = fs::remove_dir_all(dir.path().join("data").join(name));
        }
        Self::start(mode, dir)
    }

    fn fill(&mut self) {
        let user = UserId::anonymous();
        let (_, key) = self.app.store.create_key(&user, UserRole::Admin, Some("fuzz"), 0).expect("a key");
        self.names.key = key;
        let made = |path: &str, body: Value| {
            let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
            let request = request.header("x-api-key", &self.names.key).header(header::HOST, "localhost");
            let answer =
                self.call(Door::Native, request.body(Body::from(body.to_string())).expect("a request"));
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(answer.status < 300, "{path}: {} {text}", answer.status);
            serde_json::from_str::<Value>(&text).expect("JSON")
        };
        let text = "The heron stands in the pond and waits for a fish. A pelican dives instead.";
        made("/api/v1/sessions", json!({"session_id": "pond", "context": {"a": 1}}));
        made("/api/v1/collections", json!({"name": "birds"}));
        let document = made(
            "/api/v1/documents?wait=true",
            json!({"filename": "pond.txt", "text": text, "tags": ["birds"], "metadata": {"author": "x"}}),
        );
        let conversation = made("/api/v1/conversations", json!({"title": "Birds"}));
        let id = |value: &Value, key: &str| value[key].as_str().expect("an id").to_owned();
        self.names.document = id(&document, "document_id");
        self.names.conversation = id(&conversation, "conversation_id");
    }

    /// Puts names of what is there in the place of `{document}`, `{conversation}` and `{key}`.
    pub fn named(&self, bytes: &[u8]) -> Vec<u8> {
        let Names { document, conversation, key } = &self.names;
        let mut bytes = bytes.to_vec();
        for (mark, name) in [("{document}", document), ("{conversation}", conversation), ("{key}", key)] {
            let mut from = 0;
            while let Some(at) =
                bytes[from..].windows(mark.len()).position(|window| window == mark.as_bytes())
            {
                bytes.splice(from + at..from + at + mark.len(), name.bytes());
                from += at + name.len();
            }
        }
        bytes
    }

    /// Makes a request. That an answer takes too long is for who calls to see.
    pub fn call(&self, door: Door, request: Request<Body>) -> Answer {
        let router = if door == Door::Native { &self.native } else { &self.ollama };
        let is_endless = request.uri().path().ends_with("/events");
        RUNTIME.block_on(async {
            let Ok(response) = router.clone().oneshot(request).await;
            let (parts, body) = response.into_parts();
            let mut bytes = Vec::new();
            let mut frames = body.into_data_stream();
            let reading = async {
                while let Some(frame) = frames.next().await {
                    bytes.extend_from_slice(&frame.expect("a body that ends well"));
                    assert!(bytes.len() <= BODY_BYTES_MAX, "an answer without an end");
                }
            };
            if is_endless && parts.status.is_success() {
                let _ = tokio::time::timeout(MOMENT, reading).await;
            } else {
                reading.await;
            }
            Answer { status: parts.status.as_u16(), headers: parts.headers, body: bytes }
        })
    }
}

/// One user, few threads.
fn config(mode: AuthMode, dir: &Path) -> Config {
    let built = built();
    let plugins = dir.join("plugins");
    fs::create_dir_all(&plugins).expect("a directory");
    for name in PLUGINS {
        let there = plugins.join(name);
        if !there.exists() {
            std::os::unix::fs::symlink(built.join("plugins").join(name), there).expect("a link");
        }
    }
    let mut config = Config::with_data_dir(&dir.join("data"));
    fs::create_dir_all(&config.data_dir).expect("a directory");
    config.auth.mode = mode;
    config.ingest.workers = 1;
    config.api.body_bytes_max = 1 << 20;
    config.plugins.dir = Some(plugins);
    // Where much else runs a plugin may take longer than it does for anybody who waits.
    let patient = GrantConfig { deadline_ms: Some(600_000), ..GrantConfig::default() };
    config.plugins.grants = PLUGINS.iter().map(|name| ((*name).to_owned(), patient.clone())).collect();
    config.models.dir = Some(built.join("models"));
    config
}

/// Where `scripts/build-plugins.sh` and `smartrag models fetch` put what they bring: the target directory.
fn built() -> PathBuf {
    let set = std::env::var_os("SMARTRAG_PLUGINS_DIR").map(PathBuf::from);
    let set = set.and_then(|dir| dir.parent().map(Path::to_owned));
    let exe = std::env::current_exe().expect("a program");
    let is_it =
        |dir: &Path| PLUGINS.iter().all(|name| dir.join("plugins").join(name).join("plugin.wasm").exists());
    let found = set.into_iter().chain(exe.ancestors().map(Path::to_owned)).find(|dir| is_it(dir));
    found.expect("the plugins: build them with ./scripts/build-plugins.sh")
}

/// Status codes of each operation, from the document of the API.
static DOCUMENTED: LazyLock<BTreeSet<(String, String, u16)>> = LazyLock::new(|| {
    let document = serde_json::to_value(crate::api::openapi()).expect("JSON");
    let mut all = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let statuses = operation["responses"].as_object().into_iter().flat_map(|found| found.keys());
            let statuses = statuses.filter_map(|status| status.parse().ok());
            all.extend(statuses.map(|status| (method.to_uppercase(), path.clone(), status)));
        }
    }
    all
});

/// Panics if the document of the API does not know this answer. `path` is the pattern.
pub fn check_documented(method: &str, path: &str, answer: &Answer) {
    let known = DOCUMENTED.contains(&(method.to_owned(), path.to_owned(), answer.status));
    assert!(known, "{method} {path} is not said to answer {}: {}", answer.status, text(answer));
}

/// Panics if an answer is none that the contract knows.
pub fn check(door: Door, path: &str, answer: &Answer) {
    let Answer { status, headers, body } = answer;
    assert!(headers.contains_key("x-request-id"), "{path} {status}");
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if *status >= 400 {
        // Nothing else is missing here.
        assert!(*status < 500 || *status == 503, "{path} {status}: {}", text(answer));
        check_failure(door, path, kind, answer);
        return;
    }
    match kind.split(';').next().unwrap_or("") {
        "application/json" => drop(serde_json::from_slice::<Value>(body).unwrap_or_else(|error| {
            panic!("{path} {status}: {error}: {}", text(answer));
        })),
        "application/x-ndjson" => {
            for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                serde_json::from_slice::<Value>(line).expect("JSON in each line");
            }
        }
        _ => {}
    }
}

fn check_failure(door: Door, path: &str, kind: &str, answer: &Answer) {
    let Answer { status, headers, body } = answer;
    if path.starts_with("/v1/") {
        let failure: Value = serde_json::from_slice(body).expect("a failure");
        let says = failure["error"]["message"].as_str().is_some_and(|text| !text.is_empty());
        assert!(says && failure["error"]["type"].is_string(), "{path} {status}: {failure}");
    } else if door == Door::Ollama {
        let failure: Value = serde_json::from_slice(body).expect("a failure");
        let says = failure["error"].as_str().is_some_and(|text| !text.is_empty());
        assert!(says, "{path} {status}: {failure}");
    } else if path != "/mcp" || kind.starts_with("application/problem") {
        assert_eq!(kind, "application/problem+json", "{path} {status}: {}", text(answer));
        let problem: Problem = serde_json::from_slice(body).expect("a problem");
        assert_eq!(problem.status, *status, "{path}: {problem:?}");
        assert_eq!(headers["x-request-id"], problem.request_id.as_str());
        let is_code =
            |code: &str| !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(is_code(&problem.code) && !problem.detail.trim().is_empty(), "{path}: {problem:?}");
        let is_header = |pointer: &str| HeaderName::from_bytes(pointer.as_bytes()).is_ok();
        let is_pointer =
            |pointer: &str| pointer.is_empty() || pointer.starts_with(['/', '?']) || is_header(pointer);
        assert!(problem.errors.iter().all(|error| is_pointer(&error.pointer)), "{path}: {problem:?}");
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).chars().take(2000).collect()
}
