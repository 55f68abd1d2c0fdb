//! The first byte chooses a route, in capitals where a key is wanted; then come the query string up to the end of its line,
//! headers, an empty line and the body.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, header};

use super::bodies::filled;
use super::daemon::{self, Daemon, Door, check};
use crate::config::AuthMode;

/// Its byte is a small letter and stays its own.
const ROUTES: [(u8, &str, &str); 26] = [
    (b'a', "GET", "/api/v1/documents"),
    (b'b', "GET", "/api/v1/documents/{id}/content"),
    (b'c', "GET", "/api/v1/documents/{id}/chunks"),
    (b'd', "GET", "/api/v1/sessions"),
    (b'e', "PATCH", "/api/v1/sessions/{id}"),
    (b'f', "GET", "/api/v1/sessions/{id}/context"),
    (b'g', "GET", "/api/v1/conversations"),
    (b'h', "GET", "/api/v1/conversations/{id}/messages"),
    (b'i', "GET", "/api/v1/conversations/{id}/export"),
    (b'j', "GET", "/api/v1/events"),
    (b'k', "GET", "/api/v1/analytics"),
    (b'l', "GET", "/api/v1/analytics/queries"),
    (b'm', "GET", "/api/v1/admin/keys"),
    (b'n', "GET", "/api/v1/admin/users"),
    (b'o', "GET", "/api/v1/collections/{name}/grants"),
    (b'p', "GET", "/api/v1/search/similar/{doc_id}"),
    (b'q', "POST", "/api/v1/documents"),
    (b'r', "POST", "/api/v1/query/stream"),
    (b's', "POST", "/api/v1/search"),
    (b't', "GET", "/ws/v1/notifications"),
    (b'u', "POST", "/mcp"),
    (b'v', "POST", "/v1/chat/completions"),
    (b'w', "GET", "/health"),
    (b'x', "GET", "/metrics"),
    (b'y', "OPTIONS", "/api/v1/documents"),
    // The path is part of the input as well.
    (b'z', "GET", ""),
];

pub fn run(input: &[u8]) {
    let Some((byte, rest)) = input.split_first() else { return };
    let mode = if byte.is_ascii_uppercase() { AuthMode::Keys } else { AuthMode::Local };
    let at = usize::from(byte.to_ascii_lowercase().wrapping_sub(b'a')) % ROUTES.len();
    let (_, method, path) = ROUTES[at];
    daemon::with(mode, |daemon| {
        let (head, body) = super::split(rest, b"\n\n");
        let Some(request) = request(daemon, method, path, &daemon.named(head)) else { return };
        let request = request.body(Body::from(daemon.named(body))).expect("a request");
        let path = request.uri().path().to_owned();
        let answer = daemon.call(Door::Native, request);
        check(Door::Native, &path, &answer);
    });
}

/// What hyper would let through.
fn request(daemon: &Daemon, method: &str, path: &str, head: &[u8]) -> Option<axum::http::request::Builder> {
    let (query, head) = super::split(head, b"\n");
    let query = std::str::from_utf8(query).ok()?;
    let target = match path {
        "" => query.to_owned(),
        _ if query.is_empty() => filled(daemon, path),
        _ => format!("{}?{query}", filled(daemon, path)),
    };
    let mut request = Request::builder().method(method).uri(target.parse::<axum::http::Uri>().ok()?);
    let headers = request.headers_mut()?;
    for line in head.split(|byte| *byte == b'\n') {
        let (name, value) = super::split(line, b":");
        let name = HeaderName::from_bytes(name).ok();
        let value = HeaderValue::from_bytes(value.trim_ascii()).ok();
        if let (Some(name), Some(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers.entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
    if method == "POST" || method == "PATCH" {
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    Some(request)
}
