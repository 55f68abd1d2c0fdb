//! HTTP to the origins that were granted, for embedders and generators.
//!
//! `{{secret:NAME}}` in a header's value stands for a secret that the host puts in; the plugin never sees it.

mod lines;

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::bindings::shared::http::{Header, Request};
use crate::{Error, Result};
pub use lines::{Lines, ServerEvent, ServerEvents};

/// Bytes asked for in one read.
const READ_MAX: u32 = 1 << 16;

impl Request {
    /// A request without headers or body.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            first_byte_timeout_ms: None,
            idle_timeout_ms: None,
        }
    }

    /// Asks for something.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Sends something.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(Header { name: name.into(), value: value.into() });
        self
    }

    /// Sets a JSON body and its content type.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self> {
        self.body =
            serde_json::to_vec(body).map_err(|e| Error::internal(format!("the request's body: {e}")))?;
        Ok(self.header("content-type", "application/json"))
    }

    /// Bounds the wait for the first byte of the answer and between two reads that bring bytes.
    pub fn timeouts_ms(mut self, first_byte: u32, idle: u32) -> Self {
        self.first_byte_timeout_ms = Some(first_byte);
        self.idle_timeout_ms = Some(idle);
        self
    }

    /// Sends it and waits for the head of the answer.
    pub fn send(&self) -> Result<Response> {
        send(self)
    }
}

/// The answer to a request. Dropping it ends the exchange.
pub struct Response {
    status: u16,
    headers: Vec<Header>,
    body: Body,
}

enum Body {
    #[cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]
    Host(crate::bindings::shared::http::Response),
    #[cfg_attr(target_arch = "wasm32", allow(dead_code))]
    Pieces(VecDeque<Result<Vec<u8>>>),
}

impl Response {
    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value.as_str())
    }

    /// The next bytes of the body as they come; `None` at its end.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>> {
        match &mut self.body {
            Body::Host(response) => response.read(READ_MAX),
            Body::Pieces(pieces) => pieces.pop_front().transpose(),
        }
    }

    /// The whole body; a longer one is an error.
    pub fn bytes(mut self, limit: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.read()? {
            if body.len() + piece.len() > limit {
                return Err(Error::upstream(format!("the answer is longer than {limit} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// The whole body as text.
    pub fn text(self, limit: usize) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.bytes(limit)?).into_owned())
    }

    /// The whole body as JSON.
    pub fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T> {
        let body = self.bytes(limit)?;
        serde_json::from_slice(&body)
            .map_err(|e| Error::upstream(format!("the answer is not as expected: {e}")))
    }

    /// The body line by line, as it comes (NDJSON).
    pub fn lines(self) -> Lines {
        Lines::new(self)
    }

    /// The body as server-sent events, as they come.
    pub fn server_events(self) -> ServerEvents {
        ServerEvents::new(self.lines())
    }
}

#[cfg(target_arch = "wasm32")]
fn send(request: &Request) -> Result<Response> {
    let response = crate::bindings::shared::http::send(request)?;
    Ok(Response { status: response.status(), headers: response.headers(), body: Body::Host(response) })
}

#[cfg(not(target_arch = "wasm32"))]
fn send(request: &Request) -> Result<Response> {
    let answer = crate::testing::send(request)?;
    Ok(Response { status: answer.status, headers: answer.headers, body: Body::Pieces(answer.pieces.into()) })
}
