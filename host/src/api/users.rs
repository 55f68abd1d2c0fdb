//! `/admin/users`

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
use crate::types::{User, UserId};
use crate::wire;

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UserListParams {
    /// Items at most, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// From the page before.
    cursor: Option<String>,
}

/// Whether with everything.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UserDeleteParams {
    /// Also where the user has documents, sessions or conversations: these go, too.
    #[serde(default)]
    purge: bool,
}

/// List users, by name
#[utoipa::path(get, path = "/admin/users", tag = "operation", operation_id = "list_users", params(UserListParams),
    responses((status = 200, description = "Users", body = wire::List<wire::UserRecord>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(params): Query<UserListParams>,
) -> Result<Answer<wire::List<wire::UserRecord>>> {
    let limit = cursor::limit(params.limit)?;
    let after = params.cursor.map(|text| cursor::decode("users", &text)).transpose()?;
    let after = after.map(UserId::new).transpose().map_err(|_| cursor::invalid())?;
    let slice = blocking(move || app.store.users(after.as_ref(), limit)).await?;
    let position = |user: &User| user.id.to_string();
    Ok(Answer(cursor::page(slice.items, slice.more, "users", position, Into::into)))
}

/// Create a user
///
/// One is also created by the first key that is made for it.
#[utoipa::path(post, path = "/admin/users", tag = "operation", operation_id = "create_user",
    request_body = wire::UserCreate,
    responses((status = 201, description = "The user", body = wire::UserRecord),
        (status = 409, description = "`conflict`: there is one of this name")))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Json(body): Json<wire::UserCreate>,
) -> Result<impl IntoResponse> {
    let id = UserId::new(body.user_id).map_err(|error| ApiError::invalid("/user_id", error.to_string()))?;
    let user = blocking(move || app.store.create_user(&id, now_ms())).await?;
    Ok((StatusCode::CREATED, Answer(wire::UserRecord::from(user))))
}

/// Show a user
#[utoipa::path(get, path = "/admin/users/{user_id}", tag = "operation", operation_id = "get_user",
    params(("user_id" = inline(wire::texts::UserId), Path, description = "Its name")),
    responses((status = 200, description = "The user", body = wire::UserRecord)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    NamePath(name): NamePath,
) -> Result<Answer<wire::UserRecord>> {
    let user = blocking(move || find(&app, &name)).await?;
    Ok(Answer(user.into()))
}

/// A user of a path. Blocks.
fn find(app: &App, name: &str) -> Result<User> {
    let unknown = || ApiError::not_found(format!("user {name:?}"));
    let id = UserId::new(name).map_err(|_| unknown())?;
    app.store.user(&id)?.ok_or_else(unknown)
}

/// Delete a user
///
/// Its keys open nothing from then on. Where it has documents, sessions or conversations, only with `purge`: these go, too.
#[utoipa::path(delete, path = "/admin/users/{user_id}", tag = "operation", operation_id = "delete_user",
    params(("user_id" = inline(wire::texts::UserId), Path, description = "Its name"), UserDeleteParams),
    responses((status = 200, description = "What went", body = wire::UserDeleted),
        (status = 409, description = "`conflict`: it has data; see `purge`")))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    NamePath(name): NamePath,
    Query(params): Query<UserDeleteParams>,
) -> Result<Answer<wire::UserDeleted>> {
    blocking(move || {
        let user = find(&app, &name)?;
        if !params.purge && user.has_data() {
            return Err(has_data(&user));
        }
        let documents = app.delete_user(&user.id)?;
        Ok(Answer(wire::UserDeleted {
            user_id: user.id.to_string(),
            keys: user.keys,
            sessions: user.sessions,
            conversations: user.conversations,
            collections: user.collections,
            documents,
        }))
    })
    .await
}

fn has_data(user: &User) -> ApiError {
    let User { id, documents, collections, sessions, conversations, .. } = user;
    let detail = format!(
        "{id} has {documents} documents in {collections} collections, {sessions} sessions and {conversations} conversations, which \
         only `purge` deletes"
    );
    ApiError::new(StatusCode::CONFLICT, "conflict", detail)
}
