//! `/admin/keys`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use super::blocking::blocking;
use super::caller::now_ms;
use super::cursor;
use super::error::{ApiError, Result};
use super::extract::{Json, NamePath, Query};
use crate::app::App;
use crate::types::{ApiKey, KeyId, UserId, UserRole};
use crate::wire;

const LABEL_CHARS_MAX: usize = 200;

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeyListParams {
    /// Of this user alone.
    #[param(value_type = Option<wire::texts::UserId>, inline)]
    user_id: Option<String>,
    /// Items at most, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// From the page before.
    cursor: Option<String>,
}

/// List keys
///
/// Never the keys themselves.
#[utoipa::path(get, path = "/admin/keys", tag = "operation", operation_id = "list_keys", params(KeyListParams),
    responses((status = 200, description = "Keys", body = wire::List<wire::KeyRecord>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(params): Query<KeyListParams>,
) -> Result<Answer<wire::List<wire::KeyRecord>>> {
    let limit = cursor::limit(params.limit)?;
    let after = params.cursor.map(|text| cursor::decode("keys", &text)).transpose()?;
    let after = after.map(|id| KeyId::parse(&id).ok_or_else(cursor::invalid)).transpose()?;
    let user = params.user_id.map(|name| user(name, "?user_id")).transpose()?;
    let slice = blocking(move || app.store.keys(user.as_ref(), after.as_ref(), limit)).await?;
    let position = |key: &ApiKey| key.id.to_string();
    Ok(Answer(cursor::page(slice.items, slice.more, "keys", position, Into::into)))
}

fn user(name: String, pointer: &str) -> Result<UserId> {
    UserId::new(name).map_err(|error| ApiError::invalid(pointer, error.to_string()))
}

/// Make a key
///
/// The answer is the only place where it ever stands.
#[utoipa::path(post, path = "/admin/keys", tag = "operation", operation_id = "create_key",
    request_body = wire::KeyCreate,
    responses((status = 201, description = "The key", body = wire::NewKey),
        (status = 409, description = "`conflict`: nobody can have this name")))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Json(body): Json<wire::KeyCreate>,
) -> Result<impl IntoResponse> {
    let user = user(body.user_id, "/user_id")?;
    let role = UserRole::parse(&body.role)
        .ok_or_else(|| ApiError::invalid("/role", "must be \"admin\", \"user\" or \"reader\""))?;
    let label = body.label.map(label).transpose()?;
    let (key, text) = blocking(move || app.store.create_key(&user, role, label.as_deref(), now_ms())).await?;
    Ok((StatusCode::CREATED, Answer(wire::NewKey { key: text, record: key.into() })))
}

fn label(text: String) -> Result<String> {
    if text.chars().count() > LABEL_CHARS_MAX || text.chars().any(char::is_control) {
        let detail = format!("must have at most {LABEL_CHARS_MAX} characters and no control characters");
        return Err(ApiError::invalid("/label", detail));
    }
    Ok(text)
}

/// Revoke a key
///
/// It opens nothing from then on; sockets that it opened are closed.
#[utoipa::path(delete, path = "/admin/keys/{key_id}", tag = "operation", operation_id = "revoke_key",
    params(("key_id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It is revoked")))]
pub(super) async fn revoke(State(app): State<Arc<App>>, NamePath(text): NamePath) -> Result<StatusCode> {
    let unknown = || ApiError::not_found(format!("key {text:?}"));
    let Some(id) = KeyId::parse(&text) else { return Err(unknown()) };
    match blocking(move || app.revoke_key(&id)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown()),
    }
}
