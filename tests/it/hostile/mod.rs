//! One living daemon with hostile plugins of four roles. Whatever they do, it says what it was, ends it, and goes on
//! answering everybody else's questions. The guests are built from `tests/guests`; a word of their input names the
//! misdeed.

mod calls;
mod crowd;
mod egress;
mod loading;
mod marathon;
mod server;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, SMARTRAG, TestDaemon};
use server::Server;

const GUESTS: [&str; 4] = ["hostile-parser", "hostile-enricher", "hostile-embedder", "hostile-generator"];
/// That parse.
const WORKERS: usize = 2;
const SECRET: &str = "s3cret-0123456789";

/// The daemon and what belongs to it.
struct House {
    daemon: TestDaemon,
    /// Its plugins, models and secrets.
    dir: TempDir,
    server: Server,
}

/// Builds the guests, once for all tests of this run.
fn built() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-guests");
    let mut command = Command::new(SMARTRAG);
    command.args(["plugin", "build", "--quiet", "--out"]).arg(&out);
    command.args(GUESTS.map(|guest| root.join("tests/guests").join(guest)));
    command.env("CARGO_TARGET_DIR", Path::new(SMARTRAG).ancestors().nth(2).unwrap());
    let output = command.env_remove("SMARTRAG_CONFIG").current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

impl House {
    fn start() -> Self {
        let (dir, server) = (tempfile::tempdir().unwrap(), Server::start());
        let built = built();
        let house = |path: &str| dir.path().join(path);
        for guest in GUESTS {
            std::fs::create_dir_all(house("plugins").join(guest)).unwrap();
            for file in ["plugin.toml", "plugin.wasm"] {
                let to = house("plugins").join(guest).join(file);
                std::fs::copy(built.join(guest).join(file), to).unwrap();
            }
        }
        std::fs::create_dir_all(house("models/hostile")).unwrap();
        std::fs::write(house("models/hostile/weights.bin"), "abc").unwrap();
        std::fs::write(house("models/other.bin"), "not declared").unwrap();
        std::fs::write(house("key"), SECRET).unwrap();
        let daemon = TestDaemon::start_with(&config(dir.path(), &server));
        Self { daemon, dir, server }
    }

    fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    async fn plugin(&self, name: &str) -> Value {
        self.daemon.get(&format!("/api/v1/plugins/{name}")).await.ok()
    }

    /// How often the host had to stop a plugin from something.
    async fn breaches(&self, plugin: &str, code: &str) -> u64 {
        self.plugin(plugin).await["breaches"][code].as_u64().unwrap_or(0)
    }

    /// Does something that must be counted as this breach of this plugin.
    async fn breach<T: Debug>(&self, plugin: &str, code: &str, deed: impl Future<Output = T>) -> T {
        let before = self.breaches(plugin, code).await;
        let outcome = deed.await;
        let after = self.breaches(plugin, code).await;
        assert!(after > before, "{plugin}: {code} was not counted; {outcome:#?}");
        let line = format!("smartrag_plugin_breaches_total{{code=\"{code}\",plugin=\"{plugin}\"}} {after}");
        let metrics = self.daemon.get("/metrics").await.body;
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
        outcome
    }

    async fn embed(&self, text: &str) -> Answer {
        self.daemon.post("/api/v1/embed", &json!({"input": text})).await
    }

    async fn enrich(&self, text: &str) -> Answer {
        let body = json!({"text": text, "enrichers": ["hostile-enricher"]});
        self.daemon.post("/api/v1/enrich", &body).await
    }

    /// A question to the hostile generator.
    async fn ask(&self, question: &str) -> Answer {
        self.daemon.post("/api/v1/query", &json!({"query": question, "backend": "evil"})).await
    }

    /// What the hostile generator has to tell.
    async fn told(&self, question: &str) -> String {
        let answer = self.ask(question).await.ok();
        let text = answer["answer"].as_str().unwrap();
        // A sentence on weak evidence stands before what the guest said.
        let said = if answer["weak_evidence"] == true { text.split_once("\n\n").unwrap().1 } else { text };
        said.to_owned()
    }

    async fn reload(&self) -> Value {
        self.daemon.send(self.daemon.request("POST", "/api/v1/plugins/reload")).await.ok()
    }
}

fn config(dir: &Path, server: &Server) -> String {
    let path = |name: &str| json!(dir.join(name)).to_string();
    let port = server.port;
    format!(
        "plugins:\n  extra_dirs: [{}]\n  compile: {{cpu_max: {}s}}\n  grants:\n    hostile-generator:\n      http: \
         [\"127.0.0.1:{port}\", \"{}:{port}\"]\n      secrets: {{key: {}}}\n    asks-more: {{}}\n\
         models: {{dir: {}}}\nembedder: {{plugin: hostile-embedder}}\nbackends: {{evil: {{plugin: hostile-generator}}}}\n\
         ingest: {{enrichers: [language, keywords], workers: {WORKERS}}}\nlog: {{level: error}}\n",
        path("plugins"),
        loading::COMPILE_SECONDS,
        server::own_name(),
        json!(format!("file:{}", dir.join("key").display())),
        path("models"),
    )
}

/// Asks what everybody asks, all the while, and gets right answers.
struct Neighbours {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Neighbours {
    async fn move_in(house: &House) -> Self {
        house.daemon.add("heron.md", "# Birds\n\nThe heron stands in the pond.").await;
        house.daemon.add("rota.txt", "The kitchen is cleaned on Tuesdays by the third floor.").await;
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (url, http) = (house.daemon.url.clone(), reqwest::Client::new());
        let (stopped, count) = (stop.clone(), answers.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                for (question, expected) in
                    [("Where does the heron stand?", "pond"), ("When is the kitchen cleaned?", "Tuesdays")]
                {
                    let body = json!({"query": question, "session_id": "neighbours"});
                    let response = http.post(format!("{url}/api/v1/query")).json(&body).send().await.unwrap();
                    let (status, answer) = (response.status(), response.text().await.unwrap());
                    assert!(status.is_success() && answer.contains(expected), "{question} {status} {answer}");
                    count.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        Self { stop, answers, task }
    }

    /// They go on asking; `what` was survived.
    fn still_well(&self, what: &str) {
        let answers = self.answers.swap(0, Ordering::Relaxed);
        assert!(!self.task.is_finished(), "a neighbour got a wrong answer during: {what}");
        assert!(answers > 0, "no neighbour was answered during: {what}");
        eprintln!("{what}: {answers} questions of others were answered meanwhile");
    }

    async fn move_out(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_daemon_outlives_them_all() {
    let house = House::start();
    let neighbours = Neighbours::move_in(&house).await;
    calls::files(&house).await;
    neighbours.still_well("files");
    calls::cancelled(&house).await;
    neighbours.still_well("cancelled");
    calls::annotations(&house).await;
    neighbours.still_well("annotations");
    calls::vectors(&house).await;
    neighbours.still_well("vectors");
    calls::answers(&house).await;
    neighbours.still_well("answers");
    egress::addresses(&house).await;
    egress::requests(&house).await;
    egress::slow_servers(&house).await;
    neighbours.still_well("requests");
    crowd::left(&house).await;
    crowd::crowd(&house).await;
    neighbours.still_well("a crowd");
    loading::lies(&house).await;
    loading::damage(&house).await;
    loading::tampering(&house).await;
    loading::bombs(&house).await;
    neighbours.still_well("loading");
    marathon::run(&house, &neighbours).await;
    neighbours.move_out().await;
}
