use std::borrow::Cow;
use std::fmt::Display;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::wire::FieldError;

/// What a handler returns.
pub(super) type Result<T> = std::result::Result<T, ApiError>;

/// A failed request: one message for the caller, one for the log.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ApiError {
    pub status: StatusCode,
    pub code: Cow<'static, str>,
    pub detail: String,
    pub errors: Vec<FieldError>,
    pub retry_after_s: Option<u32>,
    /// Logged once with the request id, never sent.
    pub source: Option<String>,
}

impl ApiError {
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        let (code, detail) = (code.into(), detail.into());
        Self { status, code, detail, errors: Vec::new(), retry_after_s: None, source: None }
    }

    /// 404; the same for what is not there and for what is somebody else's.
    pub fn not_found(what: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what}"))
    }

    /// 403: who asks is known, and may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 422 that points to the part of the body; `?name` for a parameter of the URL.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        let sentence = format!("{}: {detail}", pointer.trim_start_matches(['/', '?']));
        let sentence = sentence.trim_start_matches(": ").to_string();
        Self {
            errors: vec![FieldError { pointer, detail }],
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", sentence)
        }
    }

    pub fn internal(source: impl Display) -> Self {
        Self::internal_told(source, "something went wrong inside; the log says more under this request id")
    }

    /// Where the caller can do something about it.
    pub fn internal_told(source: impl Display, detail: impl Into<String>) -> Self {
        Self {
            source: Some(source.to_string()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
        }
    }

    pub fn too_large(what: &str, bytes_max: u64) -> Self {
        let detail = format!("{what} is larger than the {bytes_max} bytes that are taken: send less");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
    }

    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

/// A failure with another body; headers such as `Retry-After` stay.
pub(super) fn with_body(mut response: Response, kind: &'static str, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    *response.body_mut() = Body::from(body);
    response
}

/// The envelope makes the problem out of it: only it knows the request id.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}
