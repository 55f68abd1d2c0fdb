//! Ollama's API over the documents, on a port of its own: every collection is a model, and so is every model of a backend.

pub(super) mod chat;
pub(super) mod embed;
pub(super) mod models;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::error::ApiError;
use crate::wire::OllamaFailure;

/// A failure as these clients read it; headers stay.
pub(super) fn failure(mut response: Response, fault: &ApiError) -> Response {
    let body = serde_json::to_vec(&said(fault)).unwrap_or_default();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::from(body);
    response
}

fn said(fault: &ApiError) -> OllamaFailure {
    OllamaFailure { error: fault.detail.clone() }
}
