//! Against a scripted server: what leaves, and what is made of the answers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::types::JsonMap;

/// Gives each connection the next answer; returns the address and what was asked.
fn serve(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&asked);
    std::thread::spawn(move || {
        for answer in answers {
            let (mut socket, _) = listener.accept().unwrap();
            let request = read_request(&mut socket);
            requests.lock().unwrap().push(request);
            socket.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, asked)
}

fn read_request(socket: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut block = [0; 4096];
        let count = socket.read(&mut block).unwrap();
        bytes.extend_from_slice(&block[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if count == 0 || body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return text.into_owned();
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

fn run<T>(call: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(call)
}

#[test]
fn a_problem_keeps_its_code_and_its_pause() {
    let body = r#"{"type":"about:blank","title":"x","status":429,"code":"queue_full","detail":"later","request_id":"r"}"#;
    let (url, _) = serve(vec![answer("429 Too Many Requests", "retry-after: 7\r\n", body)]);
    let client = Client::new(&url, Caller::default()).unwrap();
    let error = run(client.health()).unwrap_err();
    assert_eq!(error.code(), Some("queue_full"));
    assert_eq!(error.to_string(), "later (queue_full)");
    assert!(
        matches!(error, Error::Problem { retry_after: Some(pause), .. } if pause == Duration::from_secs(7))
    );
}

#[test]
fn nobody_there_is_told_as_such() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(&format!("http://{address}"), Caller::default()).unwrap();
    assert!(matches!(run(client.health()), Err(Error::NoDaemon(url)) if url == format!("http://{address}")));
}

#[test]
fn lists_are_read_to_their_end_on_behalf_of_the_caller() {
    let session = |id: &str| {
        format!(
            r#"{{"session_id":"{id}","user_id":"u","title":null,"context":{{}},
                "created_at":"2025-01-01T00:00:00Z","last_active":"2025-01-01T00:00:00Z"}}"#
        )
    };
    let page = |id, next| format!(r#"{{"items":[{}],"next_cursor":{next}}}"#, session(id));
    let (url, asked) =
        serve(vec![answer("200 OK", "", &page("a", "\"c&1\"")), answer("200 OK", "", &page("b", "null"))]);
    let caller = Caller { api_key: Some("k".into()), user: Some("ada".into()), session: Some("s/1".into()) };
    let client = Client::new(&url, caller).unwrap();
    let ids: Vec<_> = run(client.sessions(None)).unwrap().into_iter().map(|found| found.session_id).collect();
    assert_eq!(ids, ["a", "b"]);
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("GET /api/v1/sessions?limit=200&session_id=s%2F1 "), "{}", asked[0]);
    assert!(asked[1].contains("cursor=c%261"), "{}", asked[1]);
    assert!(asked[1].contains("authorization: Bearer k\r\n"), "{}", asked[1]);
    assert!(asked[1].contains("x-smartrag-user: ada\r\n"), "{}", asked[1]);
}

#[test]
fn an_upload_sends_its_fields_before_the_file() {
    let body = r#"{"items":[{"document_id":"d","filename":"ä.txt","status":"ready","duplicate":false}]}"#;
    let (url, asked) = serve(vec![answer("200 OK", "", body)]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hello").unwrap();
    let upload = FileUpload { path: file.path().into(), filename: "ä.txt".into(), origin: None };
    let metadata: JsonMap = [("author".to_owned(), "Ada".into())].into_iter().collect();
    let fields = UploadFields { tags: vec!["a,b".into()], metadata, collection: Some("c".into()) };
    let sent = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&sent);
    let client = Client::new(&url, Caller::default()).unwrap();
    let count = move |bytes| *counted.lock().unwrap() += bytes;
    let item = run(client.upload(&upload, &fields, true, count)).unwrap();
    assert_eq!((item.status.as_str(), *sent.lock().unwrap()), ("ready", 5));
    let asked = asked.lock().unwrap();
    let request = asked[0].as_str();
    assert!(request.starts_with("POST /api/v1/documents/upload?wait=true "), "{request}");
    let places = ["name=\"collection\"", "[\"a,b\"]", "{\"author\":\"Ada\"}", "filename=\"ä.txt\"", "hello"]
        .map(|part| request.find(part));
    assert!(places.is_sorted() && places[0].is_some(), "{places:?} in {request}");
}

#[test]
fn a_name_can_not_leave_its_segment() {
    assert_eq!(segment("a-b_1.x"), "a-b_1.x");
    assert_eq!(segment("../x?y"), "..%2Fx%3Fy");
    assert_eq!(segment(".."), "%2E%2E");
    assert_eq!(segment("ü"), "%C3%BC");
}

#[test]
fn a_fault_of_the_body_is_told_once() {
    let body = r#"{"type":"about:blank","title":"x","status":422,"code":"invalid_value","detail":"a is bad","request_id":"r",
        "errors":[{"pointer":"/a","detail":"a is bad"},{"pointer":"/b","detail":"so is b"}]}"#;
    let (url, _) = serve(vec![answer("422 Unprocessable Content", "", body)]);
    let client = Client::new(&url, Caller::default()).unwrap();
    let error = run(client.health()).unwrap_err();
    assert_eq!(error.to_string(), "a is bad (invalid_value)\n  /b: so is b");
}

#[test]
fn a_session_in_the_path_is_not_named_again() {
    let body = r#"{"conversation_id":null,"messages":[],"documents":[],"document_count":0,"preferences":{}}"#;
    let (url, asked) = serve(vec![answer("200 OK", "", body)]);
    let client = Client::new(&url, Caller { session: Some("s".into()), ..Caller::default() }).unwrap();
    run(client.session_context("s")).unwrap();
    assert!(asked.lock().unwrap()[0].starts_with("GET /api/v1/sessions/s/context HTTP"));
}
