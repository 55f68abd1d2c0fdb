//! `POST /mcp`: the Model Context Protocol over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde::Serialize;
use serde_json::Value;
use tower::ServiceExt;
use tower_http::limit::RequestBodyLimitLayer;
use utoipa::{OpenApi, ToSchema};

use super::access::Principal;
use super::envelope::{Door, envelope};
use super::router::PREFIX;
use crate::app::App;
use crate::mcp::{Api, Call, http_service};

/// Where it is found.
pub(super) const PATH: &str = "/mcp";
/// Of JSON-RPC, for what can't be read.
const PARSE_ERROR: i32 = -32700;
/// Bytes of what the library says at most.
const SAID_MAX: usize = 4096;

/// What JSON-RPC answers to what it can't read.
#[derive(Serialize, ToSchema)]
struct RpcFailure {
    jsonrpc: &'static str,
    /// Not known.
    #[schema(value_type = Option<String>)]
    id: (),
    error: RpcError,
}

/// Why.
#[derive(Serialize, ToSchema)]
struct RpcError {
    code: i32,
    message: String,
}

/// Its place in the document of the API: what it says is the protocol's own.
#[derive(OpenApi)]
#[openapi(paths(call))]
struct Documented;

/// Speak the Model Context Protocol
///
/// Streamable HTTP without sessions, so that each answer is JSON: a JSON-RPC request or notification goes in. `smartrag mcp`
/// speaks the same on its standard input.
#[utoipa::path(post, path = "/mcp", tag = "mcp", operation_id = "mcp",
    params(("Accept" = String, Header, description = "`application/json, text/event-stream`")),
    request_body(content = Object, description = "A JSON-RPC 2.0 message"),
    responses((status = 200, description = "What the request brings, or a JSON-RPC error", body = Object),
        (status = 202, description = "The notification is taken"),
        (status = 400, description = "It is no JSON-RPC message", body = RpcFailure),
        (status = 406, description = "The client takes only one of the two types that answers may have")))]
#[expect(dead_code, reason = "its attribute is all there is to it: the service below answers")]
fn call() {}

/// What the document says of it.
pub(super) fn documented() -> utoipa::openapi::OpenApi {
    Documented::openapi()
}

/// The route, over the native API.
pub(super) fn routes(app: &Arc<App>, native: Router<Arc<App>>) -> Router<Arc<App>> {
    let api = &app.config.api;
    let bytes_max = api.upload_bytes_max.saturating_add(api.body_bytes_max);
    let limit = RequestBodyLimitLayer::new(usize::try_from(bytes_max).unwrap_or(usize::MAX));
    // Host and Origin are checked by the guard, for this route as for all.
    Router::new()
        .route_service(PATH, http_service(within(app, native)))
        .layer(axum::middleware::from_fn(readable))
        .layer(limit)
}

/// The library answers a body that is JSON by its name alone as one of a wrong type. JSON-RPC has an error for that.
async fn readable(request: Request<Body>, next: Next) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.starts_with("application/json"));
    let response = next.run(request).await;
    if !is_json || response.status() != StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return response;
    }
    let said = to_bytes(response.into_body(), SAID_MAX).await.unwrap_or_default();
    let message = format!("no JSON-RPC 2.0 message: {}", String::from_utf8_lossy(&said));
    let error = RpcError { code: PARSE_ERROR, message };
    (StatusCode::BAD_REQUEST, axum::Json(RpcFailure { jsonrpc: "2.0", id: (), error })).into_response()
}

/// Calls the API of this very process.
fn within(app: &Arc<App>, native: Router<Arc<App>>) -> Api {
    let router = native.layer(from_fn_with_state(Door::Native, envelope)).with_state(app.clone());
    Arc::new(move |call: Call| {
        let router = router.clone();
        async move {
            let response = match router.oneshot(request(call)?).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            read(response).await
        }
        .boxed()
    })
}

fn request(call: Call) -> Result<Request<Body>, String> {
    let mut request = Request::builder().method(call.method).uri(format!("{PREFIX}{}", call.path));
    // Who calls was found out when the client's own request came in.
    if let Some(principal) = call.caller.get::<Principal>() {
        request = request.extension(principal.clone());
    }
    let body = match call.body {
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    request.body(body).map_err(|error| error.to_string())
}

async fn read(response: Response) -> Result<Value, String> {
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.map_err(|error| error.to_string())?;
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let value = match kind.starts_with("text/") {
        true => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        false => serde_json::from_slice(&bytes).map_err(|error| error.to_string())?,
    };
    if head.status.is_success() {
        return Ok(value);
    }
    let said = |key: &str| value[key].as_str().unwrap_or_default();
    Err(format!("{}: {}", said("code"), said("detail")))
}
