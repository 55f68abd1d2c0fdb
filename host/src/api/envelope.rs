//! What every answer has: a request id, errors as problems, a line in the log, a count in the metrics.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::{Instrument, Span};

use super::access::{AdminAct, Peer, Principal};
use super::error::{ApiError, with_body};
use super::refusals::{Refusals, Told};
use super::{health, mcp, ollama, openai};
use crate::telemetry::{continue_trace, metrics};
use crate::wire::Problem;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const PROBLEM_TYPE: &str = "application/problem+json";
/// A client's own request id is kept up to this length.
const REQUEST_ID_LEN_MAX: usize = 128;

/// Whose programs come in at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Our own, and those that speak OpenAI's API.
    Native,
    /// Ollama's.
    Ollama,
}

/// In whose form failures are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Native,
    OpenAi,
    Ollama,
    /// Has failures of its own; ours are those before it is reached.
    Mcp,
}

impl Dialect {
    fn of(door: Door, path: &str) -> Self {
        match door {
            _ if path.starts_with(openai::PREFIX) => Self::OpenAi,
            Door::Ollama => Self::Ollama,
            Door::Native if path == mcp::PATH => Self::Mcp,
            Door::Native => Self::Native,
        }
    }
}

static REFUSALS: Refusals = Refusals::new();

/// What the log says of a request.
struct Line {
    dialect: Dialect,
    method: Method,
    path: String,
    /// The pattern, so that ids do not multiply the metrics.
    route: String,
    id: String,
    peer: Option<Peer>,
    started: Instant,
}

/// The outermost layer.
pub(super) async fn envelope(State(door): State<Door>, request: Request, next: Next) -> Response {
    let line = Line::new(door, &request);
    let span = line.span(request.headers());
    let response = match AssertUnwindSafe(next.run(request).instrument(span.clone())).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => ApiError::internal(panic_message(&*panic)).into_response(),
    };
    let response = line.dress(response);
    span.record("status", i64::from(response.status().as_u16()));
    line.count(response.status());
    response
}

impl Line {
    fn new(door: Door, request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        Self {
            dialect: Dialect::of(door, request.uri().path()),
            method: request.method().clone(),
            path: request.uri().path().to_string(),
            route: route.map_or_else(|| "unmatched".into(), |path| path.as_str().into()),
            id: request_id(request.headers()),
            peer: request.extensions().get::<Peer>().copied(),
            started: Instant::now(),
        }
    }

    /// What all lines of the log belong to that are written on the way, and a trace begins with.
    fn span(&self, headers: &HeaderMap) -> Span {
        let Self { method, route, id, .. } = self;
        let name = format!("{method} {route}");
        // Of the highest level, so that also a log of errors alone has it.
        let span = tracing::error_span!(
            "request",
            otel.name = name,
            otel.kind = "server",
            request_id = id,
            status = tracing::field::Empty
        );
        if let Some(traceparent) = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()) {
            continue_trace(&span, traceparent);
        }
        span
    }

    /// Makes a problem of a failure and names the request.
    fn dress(&self, mut response: Response) -> Response {
        let fault = response.extensions_mut().remove::<ApiError>().or_else(|| match self.dialect {
            Dialect::Mcp => None,
            _ => plain_failure(&response),
        });
        self.tell(&response, fault.as_ref());
        if let Some(fault) = fault {
            response = self.problem(response, fault);
        }
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    /// Keeps the headers (`Allow`, `Retry-After`), replaces the body.
    fn problem(&self, response: Response, fault: ApiError) -> Response {
        match self.dialect {
            Dialect::OpenAi => return openai::failure(response, &fault),
            Dialect::Ollama => return ollama::failure(response, &fault),
            Dialect::Native | Dialect::Mcp => {}
        }
        let problem = Problem {
            kind: "about:blank".into(),
            title: fault.status.canonical_reason().unwrap_or("Error").into(),
            status: fault.status.as_u16(),
            code: fault.code.into(),
            detail: fault.detail,
            request_id: self.id.clone(),
            errors: fault.errors,
        };
        with_body(response, PROBLEM_TYPE, &problem)
    }

    fn tell(&self, response: &Response, fault: Option<&ApiError>) {
        let status = response.status();
        let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            || fault.is_some_and(|fault| fault.code == "rate_limited");
        match if is_refused { REFUSALS.add(Instant::now()) } else { Told::Alone } {
            Told::Alone => {
                self.log(status, fault);
                if is_refused || response.extensions().get::<AdminAct>().is_some() {
                    self.audit(response, fault);
                }
            }
            Told::Counted(count) => {
                tracing::info!(target: "audit", count, "requests refused within a minute, of which not all are told");
            }
            Told::Not => {}
        }
    }

    fn log(&self, status: StatusCode, fault: Option<&ApiError>) {
        // Whoever probes is told; a line each would be all that the log has.
        if self.route.ends_with(health::READY) && fault.is_some_and(|fault| fault.code == "not_ready") {
            return;
        }
        let Self { method, path, id, .. } = self;
        let ms = self.started.elapsed().as_secs_f64() * 1e3;
        let status = status.as_u16();
        match fault {
            Some(fault) if status >= 500 => {
                let source = fault.source.as_deref().unwrap_or(&fault.detail);
                tracing::error!(target: "api", request_id = id, code = %fault.code, "{method} {path} {status}: {source}");
            }
            Some(fault) => {
                tracing::info!(target: "api", request_id = id, code = %fault.code, "{method} {path} {status}: {}", fault.detail);
            }
            None => tracing::debug!(target: "api", request_id = id, ms, "{method} {path} {status}"),
        }
    }

    /// What administrators did, and who was refused.
    fn audit(&self, response: &Response, fault: Option<&ApiError>) {
        let Self { method, path, id, .. } = self;
        let who = response.extensions().get::<Principal>();
        let user = who.map_or("", |who| who.user.as_str());
        let key = who.and_then(|who| Some(who.key.as_ref()?.as_str())).unwrap_or("");
        let code = fault.map_or("", |fault| &fault.code);
        let peer = match self.peer {
            Some(Peer::Network(address)) => address.ip().to_string(),
            Some(Peer::Owner) => "socket".into(),
            None => String::new(),
        };
        let status = response.status().as_u16();
        tracing::info!(target: "audit", request_id = id, user, key, peer, code, "{method} {path} {status}");
    }

    fn count(&self, status: StatusCode) {
        metrics().http(self.method.as_str(), &self.route, status.as_u16(), self.started.elapsed());
    }
}

/// The client's own id where it is sane, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let sane = |text: &&str| {
        !text.is_empty()
            && text.len() <= REQUEST_ID_LEN_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane);
    given.map_or_else(|| uuid::Uuid::now_v7().to_string(), Into::into)
}

/// Failures that come from axum itself or from a library, as problems.
fn plain_failure(response: &Response) -> Option<ApiError> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let (code, detail) = match status {
        StatusCode::NOT_FOUND => ("not_found", "there is nothing at this path: see /docs"),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method_not_allowed", "this path has other methods: see the header Allow and /docs")
        }
        StatusCode::PAYLOAD_TOO_LARGE => ("payload_too_large", "the body is too large: send less"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("unsupported_media_type", "the body has another type: see /docs")
        }
        StatusCode::SERVICE_UNAVAILABLE => ("not_ready", "nothing can be answered yet: try again"),
        _ if status.is_client_error() => ("invalid_value", "the request can't be understood: see /docs"),
        _ => ("internal", "something went wrong inside; the log says more under this request id"),
    };
    Some(ApiError::new(status, code, detail))
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::http::header;
    use axum::routing::get;
    use tower::ServiceExt;

    async fn call(request: Request) -> (Response, Problem) {
        let router = Router::new()
            .route("/panic", get(async || -> () { panic!("boom") }))
            .route(
                "/busy",
                get(async || ApiError::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", "x").retry_after(5)),
            )
            .layer(axum::middleware::from_fn_with_state(Door::Native, envelope));
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (Response::from_parts(parts, Body::empty()), serde_json::from_slice(&bytes).unwrap())
    }

    fn request(method: &str, path: &str) -> Request {
        Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn failures_of_all_kinds_are_problems() {
        let cases = [
            ("GET", "/nowhere", 404, "not_found"),
            ("POST", "/busy", 405, "method_not_allowed"),
            ("GET", "/busy", 429, "queue_full"),
            ("GET", "/panic", 500, "internal"),
        ];
        for (method, path, status, code) in cases {
            let (response, problem) = call(request(method, path)).await;
            assert_eq!(response.status().as_u16(), status, "{path}");
            assert_eq!((problem.status, problem.code.as_str()), (status, code), "{path}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_TYPE);
            assert_eq!(response.headers()[REQUEST_ID], problem.request_id);
            assert!(!problem.detail.contains("boom"), "{}", problem.detail);
        }
    }

    #[tokio::test]
    async fn headers_of_a_failure_stay() {
        let (response, _) = call(request("POST", "/busy")).await;
        assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
        let (response, _) = call(request("GET", "/busy")).await;
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    }

    #[tokio::test]
    async fn a_sane_request_id_is_kept() {
        let mut given = request("GET", "/nowhere");
        given.headers_mut().insert(REQUEST_ID, HeaderValue::from_static("abc-1"));
        assert_eq!(call(given).await.1.request_id, "abc-1");
        let mut given = request("GET", "/nowhere");
        given.headers_mut().insert(REQUEST_ID, HeaderValue::from_static("a b"));
        assert_ne!(call(given).await.1.request_id, "a b");
    }
}
