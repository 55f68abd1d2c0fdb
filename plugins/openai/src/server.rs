//! The call that begins a chat.

use serde_json::{Map, Value};
use smartrag_sdk::http::Response;
use smartrag_sdk::{ErrorKind, Result};
use smartrag_servers::{Endpoint, Timeouts};

/// Begins a chat.
pub fn chat(endpoint: &Endpoint, mut body: Map<String, Value>, timeouts: Timeouts) -> Result<Response> {
    match endpoint.start("/chat/completions", &body, timeouts) {
        // Some servers know no such option; usage is not worth an answer.
        Err(error) if error.kind == ErrorKind::Upstream && error.message.contains("stream_options") => {
            body.remove("stream_options");
            endpoint.start("/chat/completions", &body, timeouts)
        }
        started => started,
    }
}
