//! The first line is the content type, the rest the body; a `!` before it waits until the documents are ready.

use axum::body::Body;
use axum::http::{HeaderValue, Request, header};

use super::daemon::{self, Door, check, check_documented};
use crate::config::AuthMode;

const PATH: &str = "/api/v1/documents/upload";

pub fn run(input: &[u8]) {
    let (wait, input) = match input.strip_prefix(b"!") {
        Some(rest) => ("?wait=true", rest),
        None => ("", input),
    };
    let (kind, body) = super::split(input, b"\n");
    let Ok(kind) = HeaderValue::from_bytes(kind) else { return };
    daemon::with(AuthMode::Local, |daemon| {
        let request = Request::post(format!("{PATH}{wait}"));
        let request = request.header(header::HOST, "localhost").header(header::CONTENT_TYPE, kind);
        let answer = daemon.call(Door::Native, request.body(Body::from(body.to_vec())).expect("a request"));
        check(Door::Native, PATH, &answer);
        check_documented("POST", PATH, &answer);
    });
}
