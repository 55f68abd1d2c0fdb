//! The Model Context Protocol: what a model's host may do with the documents, over HTTP (`POST /mcp`) and over standard
//! input and output (`smartrag mcp`).
//!
//! Invariant: sees `client` only. Every tool is a call of the native API, within the process or over the network.

mod arguments;
mod tools;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Extensions, Method};
use rmcp::ServiceExt;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;

use tools::Tools;

/// A call of the native API.
#[derive(Clone, Debug)]
pub struct Call {
    /// GET or POST.
    pub method: Method,
    /// Below `/api/v1`, with its parameters.
    pub path: String,
    /// JSON.
    pub body: Option<Value>,
    /// What is known of who calls; empty on standard input.
    pub caller: Extensions,
}

/// Makes a call of the native API: its answer, or what went wrong in a sentence that says what to do.
pub type Api = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<Value, String>> + Send + Sync>;

/// The tools over HTTP. No sessions are kept: each request stands alone.
pub type HttpService = StreamableHttpService<Tools, NeverSessionManager>;

/// The protocol over HTTP; `Host` and `Origin` are for whoever routes to it to check.
pub fn http_service(api: Api) -> HttpService {
    let tools = Tools::new(api);
    let mut config = StreamableHttpServerConfig::default().disable_allowed_hosts();
    config.legacy_session_mode = false;
    config.json_response = true;
    let sessions = Arc::new(NeverSessionManager::default());
    StreamableHttpService::new(move || Ok(tools.clone()), sessions, config)
}

/// The protocol on standard input and output, until the input ends.
///
/// # Errors
/// If the other side begins with something else.
pub async fn serve_stdio(api: Api) -> std::io::Result<()> {
    let served = Tools::new(api).serve(rmcp::transport::stdio()).await.map_err(std::io::Error::other)?;
    served.waiting().await.map(drop).map_err(std::io::Error::other)
}
