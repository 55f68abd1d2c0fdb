//! OpenAI's API over the documents: every collection is a model, and so is every model of a backend.

pub(super) mod chat;
mod chunks;
pub(super) mod embeddings;
pub(super) mod models;
pub(super) mod rerank;

use axum::http::StatusCode;
use axum::response::Response;

use super::error::{ApiError, with_body};
use crate::wire::{OpenAiError, OpenAiFailure};

/// Where it is found.
pub(super) const PREFIX: &str = "/v1/";

/// A failure as these clients read it; headers stay.
pub(super) fn failure(response: Response, fault: &ApiError) -> Response {
    with_body(response, "application/json", &said(fault))
}

fn said(fault: &ApiError) -> OpenAiFailure {
    let kind = match fault.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "authentication_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    let param = fault.errors.first().map(|error| error.pointer.trim_start_matches('/').replace('/', "."));
    OpenAiFailure {
        error: OpenAiError {
            message: fault.detail.clone(),
            kind: kind.into(),
            param: param.filter(|param| !param.is_empty()),
            code: fault.code.clone().into(),
        },
    }
}
