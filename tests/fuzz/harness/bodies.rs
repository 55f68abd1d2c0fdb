//! The first byte chooses a route, the rest is the body.

use axum::body::Body;
use axum::http::{Request, header};

use super::daemon::{self, Daemon, Door, check, check_documented};
use crate::config::AuthMode;

/// A route that takes a body. Its byte stays its own, so that inputs that are kept mean the same for ever.
pub struct Route {
    pub byte: u8,
    pub method: &'static str,
    /// As in the document of the API.
    pub path: &'static str,
}

const fn post(byte: u8, path: &'static str) -> Route {
    Route { byte, method: "POST", path }
}

pub const ROUTES: [Route; 29] = [
    post(b'a', "/api/v1/sessions"),
    Route { byte: b'b', method: "PATCH", path: "/api/v1/sessions/{id}" },
    post(b'c', "/api/v1/collections"),
    Route { byte: b'd', method: "PUT", path: "/api/v1/collections/{name}/grants/{user_id}" },
    post(b'e', "/api/v1/documents"),
    post(b'f', "/api/v1/documents/batch"),
    post(b'g', "/api/v1/documents/delete"),
    post(b'h', "/api/v1/documents/search"),
    post(b'i', "/api/v1/search"),
    post(b'j', "/api/v1/query"),
    post(b'k', "/api/v1/query/stream"),
    post(b'l', "/api/v1/embed"),
    post(b'm', "/api/v1/enrich"),
    post(b'n', "/api/v1/conversations"),
    Route { byte: b'o', method: "PATCH", path: "/api/v1/conversations/{id}" },
    post(b'p', "/api/v1/conversations/{id}/messages"),
    post(b'q', "/api/v1/admin/keys"),
    post(b'r', "/api/v1/admin/users"),
    post(b's', "/mcp"),
    post(b't', "/v1/chat/completions"),
    post(b'u', "/v1/embeddings"),
    post(b'v', "/v1/rerank"),
    post(b'w', "/api/chat"),
    post(b'x', "/api/generate"),
    post(b'y', "/api/embed"),
    post(b'z', "/api/embeddings"),
    post(b'A', "/api/show"),
    post(b'B', "/api/v1/documents/{id}/reprocess"),
    post(b'C', "/api/v1/documents/{id}/cancel"),
];

pub fn run(input: &[u8]) {
    let Some((byte, body)) = input.split_first() else { return };
    let chosen = ROUTES.iter().find(|route| route.byte == *byte);
    let route = chosen.unwrap_or(&ROUTES[usize::from(*byte) % ROUTES.len()]);
    daemon::with(AuthMode::Local, |daemon| ask(daemon, route, body));
}

fn ask(daemon: &Daemon, route: &Route, body: &[u8]) {
    let kind = if route.path.ends_with("/batch") { "application/x-ndjson" } else { "application/json" };
    let request = Request::builder().method(route.method).uri(filled(daemon, route.path));
    let request = request.header(header::HOST, "localhost").header(header::CONTENT_TYPE, kind);
    let request = request.header(header::ACCEPT, "application/json, text/event-stream");
    let request = request.body(Body::from(daemon.named(body))).expect("a request");
    let door = door(route.path);
    let answer = daemon.call(door, request);
    check(door, route.path, &answer);
    if route.path != "/mcp" {
        check_documented(route.method, route.path, &answer);
    }
}

/// Ollama's dialect has a door of its own.
fn door(path: &str) -> Door {
    if path.starts_with("/api/") && !path.starts_with("/api/v1/") { Door::Ollama } else { Door::Native }
}

/// The path with what is there in place of its parameters.
pub fn filled(daemon: &Daemon, path: &str) -> String {
    let id = match path {
        _ if path.contains("/documents/") => &daemon.names.document,
        _ if path.contains("/conversations/") => &daemon.names.conversation,
        _ => "pond",
    };
    path.replace("{id}", id)
        .replace("{doc_id}", &daemon.names.document)
        .replace("{name}", "birds")
        .replace("{user_id}", "ann")
}
