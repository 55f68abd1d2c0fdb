use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::form;
use super::intake::{Arrived, Labels, Outcome, idempotency_key, take_in};
use crate::api::access::Principal;
use crate::api::blocking::blocking;
use crate::api::caller::{Unknown, resolve, session_id};
use crate::api::collections::Named;
use crate::api::error::{ApiError, Result};
use crate::api::extract::{Query, TextJson};
use crate::app::App;
use crate::wire;

/// When to answer.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct IntakeParams {
    /// Names the user by one of its sessions, where the body does not.
    #[param(value_type = Option<wire::texts::SessionId>, inline)]
    pub session_id: Option<String>,
    /// Answer only once the documents are searchable or failed.
    #[serde(default)]
    pub wait: bool,
}

/// Take in a text that the client holds already
#[utoipa::path(post, path = "/documents", tag = "documents", operation_id = "create_document",
    params(IntakeParams, ("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe",
        min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$")),
    request_body = wire::DocumentCreate,
    responses((status = 202, description = "It is queued", body = wire::UploadItem),
        (status = 200, description = "With wait: it is ready or failed", body = wire::UploadItem)))]
pub(in crate::api) async fn create(
    State(app): State<Arc<App>>,
    principal: Principal,
    headers: HeaderMap,
    Query(params): Query<IntakeParams>,
    TextJson(body): TextJson<wire::DocumentCreate>,
) -> Result<Response> {
    let key = idempotency_key(&headers)?;
    let filename =
        form::filename(&body.filename).map_err(|why| ApiError::invalid("/filename", why.detail))?;
    check_text(&app, &body.text)?;
    let path = body.path.map(form::path).transpose()?;
    let named = Named::parse(body.collection.as_deref(), "/collection")?;
    let labels = Labels { tags: form::tags(body.tags)?, metadata: body.metadata, since: principal.since };
    // Checked also where the body goes before it.
    params.session_id.as_deref().map(session_id).transpose()?;
    let session = body.session_id.or(params.session_id);
    let who = resolve(&app, &principal, session.as_deref(), Unknown::Create).await?;
    let collection = named.key(who.user());
    let (inner, text) = (app.clone(), body.text);
    let outcomes = blocking(move || {
        let mut bytes = inner.store.blob_writer()?;
        bytes.write(text.as_bytes())?;
        let file = Arrived { filename, path, bytes: Ok(bytes) };
        take_in(&inner, who.user(), collection, &labels, vec![file], key.as_deref(), params.wait)
    });
    let outcome = outcomes.await?.pop().ok_or_else(|| ApiError::internal("no outcome of one document"))?;
    if let Outcome::Refused { why, .. } = outcome {
        if why.code == "not_found" {
            return Err(ApiError::new(StatusCode::NOT_FOUND, why.code, why.detail));
        }
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, why.code, why.detail));
    }
    if params.wait {
        return Ok(Answer(outcome.settled(&app.ingest).await?).into_response());
    }
    Ok((StatusCode::ACCEPTED, Answer(outcome.item())).into_response())
}

/// A text has the limit of a file.
pub(super) fn check_text(app: &App, text: &str) -> Result<()> {
    let bytes_max = app.config.api.upload_bytes_max;
    if text.len() as u64 > bytes_max {
        return Err(ApiError::too_large("the text", bytes_max));
    }
    Ok(())
}
