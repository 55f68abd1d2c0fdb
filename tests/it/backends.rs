//! Backends with a server: what it may do wrong, and what becomes of the question.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::model_server::ModelServer;
use crate::support::{Answer, PATIENCE, SMARTRAG, TestDaemon};

/// A daemon that knows one document and asks this server.
async fn daemon(server: &ModelServer) -> TestDaemon {
    let url = server.url();
    let config = format!(
        "backends:\n  default: server\n  server: {{plugin: openai, model: plain, base_url: \"{url}\", first_token_s: 2, idle_s: 2}}\n  \
         safe: {{plugin: openai, model: broken, base_url: \"{url}\", fallback: extractive}}\n"
    );
    let daemon = TestDaemon::start_with(&config);
    daemon.add("pond.md", "# Pond\n\nThe heron stands in the pond and waits for a fish.").await;
    wait_until_used(&daemon).await;
    daemon
}

async fn models(daemon: &TestDaemon) -> Value {
    let models = daemon.get("/api/v1/models").await.ok();
    models["items"].as_array().unwrap().iter().find(|model| model["name"] == "server").unwrap().clone()
}

async fn wait_until_used(daemon: &TestDaemon) {
    wait_for(daemon, true).await;
}

async fn wait_for(daemon: &TestDaemon, ready: bool) {
    let until = Instant::now() + PATIENCE;
    while models(daemon).await["ready"] != ready {
        assert!(Instant::now() < until, "never: {}", models(daemon).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn ask(daemon: &TestDaemon, model: &str) -> Answer {
    daemon.post("/api/v1/query", &json!({"query": "Where does the heron stand?", "model": model})).await
}

/// All events of a streamed answer.
async fn events(daemon: &TestDaemon, body: &Value) -> Vec<Value> {
    let answer = daemon.post("/api/v1/query/stream", body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reranker_that_is_not_there_is_told_before_anybody_searches() {
    let daemon = TestDaemon::start_with("search: {reranker: lexcal}");
    let health = daemon.get("/health").await.ok();
    assert_eq!(health["status"], "degraded");
    let models = health["components"]["models"]["detail"].as_str().unwrap();
    assert!(models.contains("reranker") && models.contains("lexcal"), "{health}");
    let models = daemon.get("/api/v1/models").await.ok();
    let reranker =
        models["items"].as_array().unwrap().iter().find(|model| model["role"] == "reranker").unwrap();
    assert_eq!(reranker["ready"], false);
    assert_eq!(daemon.get("/api/v1/models/readiness").await.ok()["ready"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_and_is_shown_what_was_found() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    let answer = ask(&daemon, "plain").await.ok();
    assert_eq!(answer["answer"], "The heron stands in the pond [1].");
    assert_eq!((&answer["backend"], &answer["model"]), (&json!("server"), &json!("plain")));
    assert_eq!(answer["usage"], json!({"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13}));
    let chats = server.chats();
    let prompt = chats[0]["messages"].as_array().unwrap();
    assert_eq!(prompt[0]["role"], "system");
    let last = prompt.last().unwrap()["content"].as_str().unwrap();
    assert!(last.contains("waits for a fish") && last.contains("Where does the heron stand?"), "{last}");
    assert_eq!(models(&daemon).await["ready"], true);
    assert!(daemon.get("/metrics").await.body.contains("smartrag_backend_up{backend=\"server\"} 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_code_and_the_next_question_works() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    for (model, status, code, says) in [
        ("broken", 502, "backend_error", "out of memory"),
        ("page", 502, "backend_error", "a page for people"),
        ("cut", 502, "backend_error", "broke off"),
        ("lying", 502, "backend_error", ""),
        ("empty", 502, "backend_error", "without a word"),
        ("busy", 503, "backend_unavailable", "too much to do"),
        ("silent", 504, "backend_timeout", ""),
        ("unknown", 422, "invalid_value", "does not have that model"),
        ("small", 422, "invalid_value", "window"),
    ] {
        let answer = ask(&daemon, model).await;
        let problem = answer.problem(status, code);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{model}: {problem}");
        if model == "busy" {
            assert_eq!(answer.headers["retry-after"], "120");
        }
        ask(&daemon, "plain").await.ok();
    }
    let long = "heron ".repeat(20_000);
    let answer = daemon.post("/api/v1/query", &json!({"query": long})).await;
    assert!(matches!(answer.status, 200 | 422), "{}", answer.status);
    ask(&daemon, "plain").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_starting_is_asked_again() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    ask(&daemon, "loading").await.ok();
    assert_eq!(server.chats().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_backend_answers_instead() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    let question = json!({"query": "Where does the heron stand?", "backend": "safe"});
    let answer = daemon.post("/api/v1/query", &question).await.ok();
    assert_eq!(answer["backend"], "extractive");
    assert!(answer["answer"].as_str().unwrap().contains("pond"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_come_and_go() {
    let server = ModelServer::start();
    let port = server.port;
    let daemon = daemon(&server).await;
    drop(server);
    ask(&daemon, "plain").await.problem(503, "backend_unavailable");
    let health = daemon.get("/api/v1/health").await.ok();
    assert_eq!(health["status"], "degraded");
    assert!(health["components"]["models"]["detail"].as_str().unwrap().contains("server: "), "{health}");
    assert!(daemon.get("/metrics").await.body.contains("smartrag_backend_up{backend=\"server\"} 0"));
    daemon.get("/api/v1/health/ready").await.ok();
    let _server = ModelServer::start_on(port);
    wait_until_used(&daemon).await;
    ask(&daemon, "plain").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_answer_at_the_server() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    let body = json!({"query": "Where does the heron stand?", "model": "endless"});
    let mut response = daemon.request("POST", "/api/v1/query/stream").json(&body).send().await.unwrap();
    for _ in 0..5 {
        response.chunk().await.unwrap().unwrap();
    }
    drop(response);
    let gone = Instant::now();
    let until = gone + PATIENCE;
    let left = loop {
        if let Some(left) = server.left().first() {
            break *left;
        }
        assert!(Instant::now() < until, "the server is still asked");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    eprintln!("the server saw it after {:?}", left.saturating_duration_since(gone));
    ask(&daemon, "plain").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hardly_reads_makes_the_server_wait_and_nobody_else() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    let body = json!({"query": "Where does the heron stand?", "model": "flood"}).to_string();
    let mut slow = TcpStream::connect(daemon.url.trim_start_matches("http://")).unwrap();
    let head = "POST /api/v1/query/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    write!(slow, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let (until, mut before) = (Instant::now() + PATIENCE, 0);
    loop {
        slow.read_exact(&mut [0]).unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let flooded = server.flooded();
        if flooded > 0 && flooded == before {
            break;
        }
        before = flooded;
        assert!(Instant::now() < until, "{flooded} pieces were taken, and there is no end to it");
    }
    ask(&daemon, "plain").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_at_once_lose_nothing() {
    let server = ModelServer::start();
    let daemon = Arc::new(daemon(&server).await);
    let expected: String = (0..200).map(|number| format!("{number} ")).collect();
    let one = |daemon: Arc<TestDaemon>| async move {
        let body = json!({"query": "Where does the heron stand?", "model": "numbers"});
        let events = events(&daemon, &body).await;
        assert_eq!(events.last().unwrap()["type"], "done");
        events.iter().map(|event| event["chunk"].as_str().unwrap()).collect::<String>()
    };
    let streams: Vec<_> = (0..32).map(|_| tokio::spawn(one(daemon.clone()))).collect();
    for stream in streams {
        assert_eq!(stream.await.unwrap().trim_end(), expected.trim_end());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invented_citations_are_taken_out() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    daemon.add("river.md", "# River\n\nAnother heron stands at the river.").await;
    let body = json!({"query": "Where does the heron stand?", "model": "invents"});
    let answer = daemon.post("/api/v1/query", &body).await.ok();
    assert_eq!(answer["answer"], "It is so [1]. But also, and [2].");
    assert_eq!((&answer["citations"], &answer["invented_citations"]), (&json!([1, 2]), &json!([7, 9])));
    let streamed = events(&daemon, &body).await;
    let text: String = streamed.iter().map(|event| event["chunk"].as_str().unwrap()).collect();
    assert_eq!(text, "It is so [1]. But also, and [2].");
    let mute = ask(&daemon, "mute").await.ok();
    assert_eq!((&mute["citations"], mute["sources"].as_array().unwrap().len()), (&json!([]), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_up_shows_what_was_searched_for() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    let first = ask(&daemon, "plain").await.ok();
    assert!(first.get("rewritten_query").is_none(), "{first}");
    let body = json!({"query": "And when?", "conversation_id": first["conversation_id"]});
    let second = daemon.post("/api/v1/query", &body).await.ok();
    assert_eq!(second["rewritten_query"], "Where does the heron stand? And when?");
    let chats = server.chats();
    let roles: Vec<_> =
        chats[1]["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
}

fn write_config(daemon: &TestDaemon, text: &str) {
    std::fs::write(daemon.data().join("config.yaml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_are_exchanged_under_load() {
    let (first, second) = (ModelServer::start(), ModelServer::start());
    let daemon = Arc::new(daemon(&first).await);
    let stop = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (daemon, stop) = (daemon.clone(), stop.clone());
            tokio::spawn(async move {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    let answer =
                        daemon.post("/api/v1/query", &json!({"query": "Where does the heron stand?"})).await;
                    answer.ok();
                    count += 1;
                }
                count
            })
        })
        .collect();
    for round in 0..6 {
        let server = if round % 2 == 0 { &second } else { &first };
        let config = format!(
            "backends:\n  default: server\n  server: {{plugin: openai, model: plain, base_url: \"{}\"}}\n",
            server.url()
        );
        write_config(&daemon, &config);
        let report = daemon.post("/api/v1/admin/reload", &json!({})).await.ok();
        assert_eq!(report["plugins"]["refused"], json!({}), "{report}");
        let ready = |backend: &Value| backend["ready"] == true;
        assert!(report["backends"].as_array().unwrap().iter().all(ready), "{report}");
        drop((first.chats(), second.chats()));
        ask(&daemon, "plain").await.ok();
        let asked = server.chats().iter().any(|chat| chat["model"] == "plain");
        assert!(asked, "the other server is still asked");
    }
    stop.store(true, Ordering::Relaxed);
    let mut count = 0;
    for one in asking {
        count += one.await.unwrap();
    }
    assert!(count > 20, "{count} questions");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_does_not_check_changes_nothing() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    let url = server.url();
    for (wrong, says) in [
        ("backends:\n  default: nobody\n".to_owned(), "config.yaml:2: backends.default"),
        (format!("backends:\n  server: {{plugin: openai, base_url: \"{url}\", modell: x}}\n"), "modell"),
        ("backends:\n  server: {plugin: openai, base_url: here}\n".to_owned(), "expected a URL"),
        (
            "backends:\n  server: {plugin: opnai, base_url: \"http://127.0.0.1:1/v1\"}\n".to_owned(),
            "did you mean",
        ),
        ("api: {bind: [1}".to_owned(), "config.yaml"),
    ] {
        write_config(&daemon, &wrong);
        let problem = daemon.post("/api/v1/admin/reload", &json!({})).await.problem(422, "invalid_value");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{wrong}: {problem}");
        ask(&daemon, "plain").await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_noticed_and_what_needs_a_restart_is_named() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    write_config(&daemon, "search: {candidates: 50}\n");
    let until = Instant::now() + PATIENCE;
    while daemon.post("/api/v1/query", &json!({"query": "heron?", "backend": "server"})).await.status != 422 {
        assert!(Instant::now() < until, "the change was not noticed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let report = daemon.post("/api/v1/admin/reload", &json!({})).await.ok();
    assert_eq!(report["needs_restart"], json!(["search"]));
    assert_eq!(report["plugins"]["refused"], json!({}));
    let plugin = daemon.get("/api/v1/plugins/openai").await.ok();
    assert_eq!((&plugin["state"], &plugin["capabilities"]["granted"]), (&json!("ungranted"), &json!([])));
    assert_eq!(daemon.post("/api/v1/query", &json!({"query": "heron?"})).await.ok()["backend"], "extractive");
    assert!(!daemon.get("/metrics").await.body.contains("backend=\"server\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_asks_the_servers() {
    let server = ModelServer::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    let text = format!(
        "data_dir: {}\nbackends:\n  here: {{plugin: openai, base_url: \"{}\"}}\n  gone: {{plugin: openai, base_url: \
         \"http://127.0.0.1:9/v1\"}}\n",
        dir.path().display(),
        server.url()
    );
    std::fs::write(&file, text).unwrap();
    let check = |more: &[&str]| {
        let mut command = Command::new(SMARTRAG);
        command.args(["config", "check", "--config"]).arg(&file).args(more);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = check(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("backend here is ready: plain"), "{said}");
    assert!(said.contains("backend gone is not ready: http://127.0.0.1:9 can't be reached"), "{said}");
    let (code, said) = check(&["--offline"]);
    assert_eq!((code, said.contains("gone")), (Some(0), false), "{said}");
    let (_, said) = check(&["--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["backends"][1]["ready"], true);
}

/// No Ollama can be had for the tests: this is the form that its documentation shows.
#[tokio::test(flavor = "multi_thread")]
async fn ollama_gets_its_window_and_answers() {
    let server = ModelServer::start();
    let config = format!(
        "backends:\n  default: o\n  o: {{plugin: ollama, model: plain, base_url: \"http://127.0.0.1:{}\"}}\n",
        server.port
    );
    let daemon = TestDaemon::start_with(&config);
    daemon.add("pond.md", "# Pond\n\nThe heron stands in the pond and waits for a fish.").await;
    let answer = daemon.post("/api/v1/query", &json!({"query": "Where does the heron stand?"})).await.ok();
    assert_eq!(answer["answer"], "The heron stands in the pond [1].");
    assert_eq!(answer["usage"]["total_tokens"], 13);
    assert_eq!(server.chats()[0]["options"]["num_ctx"], 4096);
}
