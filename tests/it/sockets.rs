//! Questions on a WebSocket.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::model_server::ModelServer;
use crate::support::{PATIENCE, TestDaemon};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(daemon: &TestDaemon, session: &str) -> Self {
        Self::open_at(daemon, &format!("/ws/v1/query/{session}")).await
    }

    async fn open_at(daemon: &TestDaemon, path: &str) -> Self {
        let url = format!("{}{path}", daemon.url.replace("http", "ws"));
        Self(connect_async(url).await.unwrap().0)
    }

    /// The next message of this type.
    async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let heard = self.hear().await;
            if heard["type"] == kind {
                return heard;
            }
        }
    }

    async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap();
            match message {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// All messages up to the last one of an answer.
    async fn answer(&mut self) -> Vec<Value> {
        let mut heard = vec![self.hear().await];
        while ["sources", "chunk"].contains(&heard.last().unwrap()["type"].as_str().unwrap()) {
            heard.push(self.hear().await);
        }
        heard
    }
}

async fn daemon(server: &ModelServer) -> TestDaemon {
    let url = server.url();
    let config = format!(
        "backends:\n  default: server\n  server: {{plugin: openai, model: plain, base_url: \"{url}\"}}\n"
    );
    let daemon = TestDaemon::start_with(&config);
    daemon.add("pond.md", "# Pond\n\nThe heron stands in the pond and waits for a fish.").await;
    daemon
}

fn question(model: &str) -> Value {
    json!({"query": "Where does the heron stand?", "top_k": 3, "model": model})
}

/// Waits until the model's server noticed that nobody listens; how long that took.
async fn left(server: &ModelServer, since: Instant) -> Duration {
    loop {
        if let Some(left) = server.left().first() {
            return left.saturating_duration_since(since);
        }
        assert!(since.elapsed() < PATIENCE, "the server is still asked");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_questions_are_answered_on_one_socket() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    let mut socket = Socket::open(&daemon, "desk").await;
    socket.say(&question("plain")).await;
    let first = socket.answer().await;
    assert_eq!(first[0]["type"], "sources");
    assert_eq!(first[0]["sources"][0]["filename"], "pond.md");
    let pieces = first.iter().filter(|event| event["type"] == "chunk");
    let text: String = pieces.map(|event| event["content"].as_str().unwrap()).collect();
    let done = first.last().unwrap();
    assert_eq!(done["type"], "done");
    assert_eq!((&done["answer"], text.as_str()), (&json!(text), "The heron stands in the pond [1]."));
    assert_eq!(done["sources"][0]["citation"], 1);
    assert_eq!(done["query_id"], first[0]["query_id"]);

    let follow_up =
        json!({"type": "query", "query": "And when?", "conversation_id": done["conversation_id"]});
    socket.say(&follow_up).await;
    let second = socket.answer().await;
    assert_eq!(second.last().unwrap()["conversation_id"], done["conversation_id"]);
    let conversations = daemon.get("/api/v1/conversations?session_id=desk").await.ok();
    assert_eq!(conversations["items"].as_array().unwrap().len(), 1, "{conversations}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_answer_ends_at_the_server_and_is_kept_as_interrupted() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    let mut socket = Socket::open(&daemon, "desk").await;
    socket.say(&question("endless")).await;
    let begun = socket.hear().await;
    assert_eq!(socket.hear().await["type"], "chunk");
    socket.say(&question("plain")).await;
    let busy = loop {
        let heard = socket.hear().await;
        if heard["type"] != "chunk" {
            break heard;
        }
    };
    assert_eq!((&busy["type"], &busy["code"]), (&json!("error"), &json!("conflict")));
    let asked = Instant::now();
    socket.say(&json!({"type": "cancel"})).await;
    let last = socket.answer().await.pop().unwrap();
    assert_eq!(last, json!({"type": "cancelled", "query_id": begun["query_id"]}));
    eprintln!("the server saw the cancellation after {:?}", left(&server, asked).await);
    socket.say(&json!({"type": "cancel"})).await;
    assert_eq!(socket.hear().await, json!({"type": "cancelled", "query_id": null}));

    socket.say(&question("plain")).await;
    assert_eq!(socket.answer().await.last().unwrap()["type"], "done");
    let id = begun["conversation_id"].as_str().unwrap();
    let kept = daemon.get(&format!("/api/v1/conversations/{id}/messages?session_id=desk")).await.ok();
    assert_eq!(kept["items"][1]["metadata"]["interrupted"], true, "{kept}");

    socket.say(&question("endless")).await;
    assert_eq!(socket.hear().await["type"], "sources");
    let gone = Instant::now();
    drop(socket);
    eprintln!("the server saw the closed socket after {:?}", left(&server, gone).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_deleted_during_an_answer_stays_deleted() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    let mut socket = Socket::open(&daemon, "desk").await;
    socket.say(&question("plain")).await;
    let id = socket.answer().await.last().unwrap()["conversation_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/conversations/{id}?session_id=desk");
    let renamed = json!({"title": "Herons"});
    socket
        .say(&json!({"query": "And on?", "conversation_id": id, "model": "endless", "backend": "server"}))
        .await;
    assert_eq!(socket.hear().await["type"], "sources");
    let patch = daemon.request("PATCH", &path).json(&renamed);
    assert_eq!(daemon.send(patch).await.ok()["title"], "Herons");
    socket.say(&json!({"type": "cancel"})).await;
    assert_eq!(socket.answer().await.last().unwrap()["type"], "cancelled");
    // What was changed meanwhile stays changed.
    assert_eq!(daemon.get(&path).await.ok()["title"], "Herons");

    socket.say(&json!({"query": "And on?", "conversation_id": id, "model": "endless"})).await;
    assert_eq!(socket.hear().await["type"], "sources");
    assert_eq!(daemon.delete(&path).await.status, 204);
    socket.say(&json!({"type": "cancel"})).await;
    socket.answer().await;
    daemon.get(&path).await.problem(404, "not_found");
    // The next question begins another one.
    socket.say(&question("plain")).await;
    assert_ne!(socket.answer().await.last().unwrap()["conversation_id"], id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_stays_with_its_user() {
    let daemon = TestDaemon::start();
    let session = json!({"session_id": "desk", "user_id": "sue"});
    assert_eq!(daemon.post("/api/v1/sessions", &session).await.status, 201);
    let mut socket = Socket::open(&daemon, "desk").await;
    assert_eq!(daemon.delete("/api/v1/sessions/desk").await.status, 204);
    socket.say(&json!({"query": "Where?"})).await;
    assert_eq!(socket.answer().await.last().unwrap()["type"], "done");
    // The session is begun anew, for the one whose it was.
    assert_eq!(daemon.get("/api/v1/sessions/desk").await.ok()["user_id"], "sue");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_and_the_socket_stays() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    let mut socket = Socket::open(&daemon, "desk").await;
    for (message, code) in [
        ("{", "invalid_json"),
        ("[]", "invalid_value"),
        ("{}", "invalid_value"),
        (r#"{"query": ""}"#, "invalid_value"),
        (r#"{"query": "x", "topk": 3}"#, "unknown_field"),
        (r#"{"query": "x", "backend": "nobody"}"#, "unknown_backend"),
        (r#"{"query": "x", "session_id": "other"}"#, "invalid_value"),
        (r#"{"query": "x", "conversation_id": "none"}"#, "not_found"),
        (r#"{"type": "stop"}"#, "invalid_value"),
        (r#"{"query": "x", "model": "broken"}"#, "backend_error"),
    ] {
        socket.0.send(Message::text(message)).await.unwrap();
        let heard = socket.hear().await;
        assert_eq!((&heard["type"], &heard["code"]), (&json!("error"), &json!(code)), "{message}: {heard}");
        assert!(!heard["detail"].as_str().unwrap().is_empty());
    }
    let long = json!({"query": "heron ".repeat(200_000)}).to_string();
    socket.0.send(Message::text(long)).await.unwrap();
    assert_eq!(socket.hear().await["code"], "payload_too_large");
    socket.0.send(Message::binary(question("plain").to_string())).await.unwrap();
    assert_eq!(socket.answer().await.last().unwrap()["type"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_may_get_a_socket_and_it_ends_with_the_service() {
    let server = ModelServer::start();
    let daemon = daemon(&server).await;
    let plain = daemon.get("/ws/v1/query/desk").await;
    assert!(plain.problem(426, "invalid_value")["detail"].as_str().unwrap().contains("WebSocket"));
    let url = format!("{}/ws/v1/query/desk", daemon.url.replace("http", "ws"));
    let mut foreign = url.clone().into_client_request().unwrap();
    foreign.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    match connect_async(foreign).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 403),
        other => panic!("{other:?}"),
    }
    let mut socket = Socket::open(&daemon, "desk").await;
    socket.say(&question("endless")).await;
    assert_eq!(socket.hear().await["type"], "sources");
    let stopped = tokio::task::spawn_blocking(move || drop(daemon));
    let code = loop {
        match socket.0.next().await {
            Some(Ok(Message::Close(Some(frame)))) => break u16::from(frame.code),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 1001);
    stopped.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_told_of_backends_and_reloads() {
    let server = ModelServer::start();
    let port = server.port;
    let daemon = daemon(&server).await;
    let mut notices = Socket::open_at(&daemon, "/ws/v1/notifications").await;
    // The upgrade is answered a moment before the socket listens.
    loop {
        daemon.post("/api/v1/admin/reload", &json!({})).await.ok();
        if let Ok(first) = tokio::time::timeout(Duration::from_millis(500), notices.hear()).await {
            assert_eq!((&first["type"], &first["subject"]), (&json!("config_reloaded"), &Value::Null));
            break;
        }
    }
    drop(server);
    daemon.post("/api/v1/query", &question("plain")).await.problem(503, "backend_unavailable");
    let down = notices.next_of("backend_down").await;
    assert_eq!(down["subject"], "server");
    assert!(!down["detail"].as_str().unwrap().is_empty() && down["at"].is_string());
    let _server = ModelServer::start_on(port);
    assert_eq!(notices.next_of("backend_up").await["subject"], "server");
    std::fs::write(daemon.data().join("config.yaml"), "backends: {default: nobody}").unwrap();
    let refused = notices.next_of("config_refused").await;
    assert!(refused["detail"].as_str().unwrap().contains("config.yaml:1"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_told_of_backups() {
    let daemon = TestDaemon::start();
    let mut notices = Socket::open_at(&daemon, "/ws/v1/notifications").await;
    // The upgrade is answered a moment before the socket listens.
    let (done, record) = loop {
        let record = daemon.post("/api/v1/admin/backup", &json!({})).await.ok();
        if let Ok(first) = tokio::time::timeout(Duration::from_millis(500), notices.hear()).await {
            break (first, record);
        }
    };
    assert_eq!((&done["type"], &done["subject"]), (&json!("backup_done"), &record["name"]));
    let shelf = daemon.data().join("backups");
    std::fs::remove_dir_all(&shelf).unwrap();
    std::fs::write(&shelf, "in the way").unwrap();
    let problem = daemon.post("/api/v1/admin/backup", &json!({})).await.problem(500, "internal");
    assert!(problem["detail"].as_str().unwrap().contains("backups"), "{problem}");
    let failed = notices.next_of("backup_failed").await;
    assert!(failed["detail"].as_str().unwrap().contains("backups"), "{failed}");
}
