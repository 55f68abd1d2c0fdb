//! The Model Context Protocol: what a model's host may do with the documents, over HTTP (`POST /mcp`) and over standard
//! input and output (`smartrag mcp`).
//!
//! Invariant: sees `client` only. Every tool is a call of the native API, within the process or over the network.

mod arguments;
mod tools;

use std::sync::Arc;

use axum::http::{HeaderMap, Method};
use futures_util::future::BoxFuture;
use serde_json::Value;

pub use tools::Tools;

/// A call of the native API.
#[derive(Clone, Debug)]
pub struct Call {
    /// GET or POST.
    pub method: Method,
    /// Below `/api/v1`, with its parameters.
    pub path: String,
    /// JSON.
    pub body: Option<Value>,
    /// Who calls, as the client of the protocol said it.
    pub headers: HeaderMap,
}

/// Makes a call of the native API: its answer, or what went wrong in a sentence that says what to do.
pub type Api = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<Value, String>> + Send + Sync>;
