//! Ollama's API over the documents, on a port of its own: every collection is a model, and so is every model of a backend.

pub(super) mod chat;
pub(super) mod embed;
pub(super) mod models;

use axum::response::Response;

use super::error::{ApiError, with_body};
use crate::wire::OllamaFailure;

/// A failure as these clients read it; headers stay.
pub(super) fn failure(response: Response, fault: &ApiError) -> Response {
    with_body(response, "application/json", &said(fault))
}

fn said(fault: &ApiError) -> OllamaFailure {
    OllamaFailure { error: fault.detail.clone() }
}
