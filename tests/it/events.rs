//! What happens to documents, told while it happens and later.

use std::collections::BTreeMap;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{PATIENCE, TestDaemon};

const STAGES: [&str; 7] = ["queued", "parsing", "chunking", "enriching", "embedding", "indexing", "ready"];

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(daemon: &TestDaemon, session: &str, after: Option<u64>) -> Self {
        let after = after.map(|after| format!("?after={after}")).unwrap_or_default();
        let url = format!("{}/ws/v1/events/{session}{after}", daemon.url.replace("http", "ws"));
        Self(connect_async(url).await.unwrap().0)
    }

    async fn hear(&mut self) -> Value {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Everything up to the end of this document.
    async fn until_end(&mut self, document: &str) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            let event = self.hear().await;
            let ends = ["document.ready", "document.failed"].contains(&event["type"].as_str().unwrap());
            let is_last = ends && event["document_id"] == document;
            heard.push(event);
            if is_last {
                return heard;
            }
        }
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap().strip_prefix("document.").unwrap()).collect()
}

async fn add(daemon: &TestDaemon, session: &str, name: &str, text: &str) -> String {
    let body = json!({"filename": name, "text": text, "session_id": session});
    let item = daemon.post("/api/v1/documents?wait=true", &body).await.ok();
    item["document_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_told_in_order_to_its_owner_and_again_on_request() {
    let daemon = TestDaemon::start();
    for user in ["ann", "bob"] {
        daemon.post("/api/v1/sessions", &json!({"session_id": user, "user_id": user})).await.ok();
    }
    let (mut ann, mut bob) =
        (Socket::open(&daemon, "ann", None).await, Socket::open(&daemon, "bob", None).await);
    let first = add(&daemon, "ann", "a.md", "Herons wait.").await;
    let heard = ann.until_end(&first).await;
    assert_eq!(types(&heard), STAGES);
    let numbers: Vec<u64> = heard.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!((&heard[0]["filename"], &heard[6]["progress"]), (&json!("a.md"), &json!(1.0)));
    // Whoever has a second socket open is told the same.
    let second = add(&daemon, "bob", "b.md", "Otters swim.").await;
    assert!(bob.until_end(&second).await.iter().all(|event| event["document_id"] == *second));

    let empty = daemon.upload("&session_id=ann", &[("broken.pdf", b"%PDF-1.7 x".to_vec())]).await;
    let broken = empty[0]["document_id"].as_str().unwrap();
    let failed = ann.until_end(broken).await.pop().unwrap();
    assert_eq!((&failed["type"], &failed["error"]["stage"]), (&json!("document.failed"), &json!("parsing")));
    daemon.delete(&format!("/api/v1/documents/{first}?session_id=ann")).await.ok();
    let gone = ann.hear().await;
    assert_eq!((&gone["type"], &gone["document_id"]), (&json!("document.deleted"), &json!(first)));

    // Again from the third step on, exactly.
    let mut again = Socket::open(&daemon, "ann", Some(numbers[2])).await;
    let told = again.until_end(&first).await;
    assert_eq!(told, heard[3..]);
    assert_eq!(again.until_end(broken).await.pop().unwrap(), failed);
    assert_eq!(again.hear().await, gone);
    // From beyond the end, as after a restore: what comes from now on.
    let mut beyond = Socket::open(&daemon, "ann", Some(1 << 52)).await;
    let third = add(&daemon, "ann", "c.md", "Swans fly.").await;
    assert_eq!(types(&beyond.until_end(&third).await), STAGES);
    ann.0.send(Message::text("nothing to ask for")).await.unwrap();
    assert_eq!(types(&ann.until_end(&third).await), STAGES);
    let refused = daemon.get("/ws/v1/events/ann?after=x").await;
    refused.problem(422, "invalid_value");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_what_became_of_documents_is_told_from_the_store() {
    let daemon = TestDaemon::start();
    let mut socket = Socket::open(&daemon, "s", None).await;
    let kept = add(&daemon, "s", "a.md", "Herons wait.").await;
    let seen = socket.until_end(&kept).await.pop().unwrap()["seq"].as_u64().unwrap();
    let ready = add(&daemon, "s", "b.md", "Otters swim.").await;
    let deleted = add(&daemon, "s", "c.md", "Swans fly.").await;
    daemon.delete(&format!("/api/v1/documents/{deleted}?session_id=s")).await.ok();
    let failed = daemon.upload("&session_id=s", &[("broken.pdf", b"%PDF-1.7 x".to_vec())]).await;
    let failed = failed[0]["document_id"].as_str().unwrap().to_owned();
    let daemon = TestDaemon::start_on(daemon.kill());

    let mut socket = Socket::open(&daemon, "s", Some(seen)).await;
    let live = add(&daemon, "s", "d.md", "Geese rest.").await;
    let heard = socket.until_end(&live).await;
    let last: BTreeMap<&str, &str> = heard
        .iter()
        .map(|event| (event["document_id"].as_str().unwrap(), event["type"].as_str().unwrap()))
        .collect();
    assert_eq!(last[ready.as_str()], "document.ready", "{heard:?}");
    assert_eq!(last[deleted.as_str()], "document.deleted");
    assert_eq!(last[failed.as_str()], "document.failed");
    assert_eq!(last[live.as_str()], "document.ready");
    // Numbers go on above those of the process before.
    assert!(heard.last().unwrap()["seq"].as_u64().unwrap() > seen);
    let numbers: Vec<u64> = heard.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_the_same_and_go_on_where_they_were() {
    let (daemon, [ann]) = TestDaemon::start_with_keys([("ann", "user")], "");
    let body = json!({"filename": "a.md", "text": "Herons wait."});
    let read = async |after: Option<&str>, until: &str| {
        let mut request = daemon.request("GET", "/api/v1/events").bearer_auth(&ann);
        if let Some(after) = after {
            // As a browser that began there: it goes on asking its first address.
            request = request.query(&[("after", "0")]).header("last-event-id", after);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let upload = daemon.request("POST", "/api/v1/documents?wait=true").bearer_auth(&ann).json(&body);
        daemon.send(upload).await.ok();
        let (mut text, mut stream) = (String::new(), response.bytes_stream());
        while !text.contains(until) {
            let block = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
            text.push_str(&String::from_utf8_lossy(&block));
        }
        text
    };
    let text = read(None, "event: document.ready\n").await;
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids.len(), 7, "{text}");
    let again = read(Some(ids[5]), "event: document.ready\n").await;
    assert_eq!(again.matches("event: document.").count(), 1, "{again}");
    daemon.get("/api/v1/events").await.problem(401, "unauthenticated");
    // An open stream does not keep the daemon from ending: the drop of `daemon` sees to it.
    let open = daemon.request("GET", "/api/v1/events").bearer_auth(&ann).send().await.unwrap();
    drop(daemon);
    drop(open);
}
