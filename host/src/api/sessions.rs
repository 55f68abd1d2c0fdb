//! `/sessions`

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use super::access::Principal;
use super::blocking::blocking;
use super::caller::{Unknown, now_ms, resolve, session_id};
use super::cursor::{self, ListParams};
use super::error::{ApiError, Result};
use super::extract::{Json, NamePath, Query};
use super::router::PREFIX;
use crate::app::App;
use crate::store::{DocumentQuery, Store};
use crate::types::{Session, SessionId, TimestampMs};
use crate::wire;

const CONTEXT_LIMIT_DEFAULT: u32 = 10;
const TITLE_CHARS_MAX: usize = 500;

/// How much of the context to tell.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ContextParams {
    /// Messages and documents at most, 1 to 200; 10 where left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Begin a session
#[utoipa::path(post, path = "/sessions", tag = "sessions", operation_id = "create_session",
    request_body = wire::SessionCreate,
    responses((status = 201, description = "The session", body = wire::Session,
        headers(("location" = String, description = "Where it is found"))),
        (status = 409, description = "`conflict`: the id is taken")))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    principal: Principal,
    Json(body): Json<wire::SessionCreate>,
) -> Result<impl IntoResponse> {
    let session = new_session(&principal, body)?;
    let stored = session.clone();
    blocking(move || app.store.create_session(&stored, principal.since)).await?;
    let location: [(HeaderName, String); 1] = [(header::LOCATION, location(&session.id))];
    Ok((StatusCode::CREATED, location, axum::Json(wire::Session::from(session))))
}

fn new_session(principal: &Principal, body: wire::SessionCreate) -> Result<Session> {
    // That an id is taken would tell of other people's sessions.
    if body.session_id.is_some() && !principal.any_user {
        let detail = "with a key the daemon chooses the id: leave it out";
        return Err(ApiError::invalid("/session_id", detail));
    }
    let id = body.session_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let user = principal.user_of_body(body.user_id)?;
    let now = now_ms();
    Ok(Session {
        id: session_id(&id)?,
        user,
        title: body.title.map(title).transpose()?,
        context: body.context.unwrap_or_default(),
        created_at: now,
        last_active: now,
    })
}

/// A title of people's, checked.
pub(super) fn title(text: String) -> Result<String> {
    match text.chars().count() {
        0..=TITLE_CHARS_MAX => Ok(text),
        _ => Err(ApiError::invalid("/title", format!("must have at most {TITLE_CHARS_MAX} characters"))),
    }
}

/// Where a session is found; ids may hold any character but slashes.
fn location(id: &SessionId) -> String {
    let escaped = id.as_str().bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    format!("{PREFIX}/sessions/{}", escaped.collect::<String>())
}

/// List the user's sessions, newest first
#[utoipa::path(get, path = "/sessions", tag = "sessions", operation_id = "list_sessions", params(ListParams),
    responses((status = 200, description = "Sessions", body = wire::List<wire::Session>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    principal: Principal,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<wire::List<wire::Session>>> {
    let limit = cursor::limit(params.limit)?;
    let after = params.cursor.map(|text| cursor::decode("sessions", &text)).transpose()?;
    let after = after.map(|text| place(&text).ok_or_else(cursor::invalid)).transpose()?;
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    let slice = blocking(move || {
        let after = after.as_ref().map(|(began, id)| (*began, id));
        app.store.sessions(who.user(), after, limit)
    })
    .await?;
    let position = |session: &Session| format!("{} {}", session.created_at, session.id);
    Ok(axum::Json(cursor::page(slice.items, slice.more, "sessions", position, Into::into)))
}

/// Where a cursor stands: when its session began, and that one's id.
fn place(text: &str) -> Option<(TimestampMs, SessionId)> {
    let (began, id) = text.split_once(' ')?;
    Some((began.parse().ok()?, SessionId::new(id).ok()?))
}

/// Show a session
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions", operation_id = "get_session",
    params(("id" = inline(wire::texts::SessionId), Path, description = "Its id")),
    responses((status = 200, description = "The session", body = wire::Session)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(id): NamePath,
) -> Result<axum::Json<wire::Session>> {
    let session = blocking(move || find(&app.store, &principal, &id)).await?;
    Ok(axum::Json(session.into()))
}

/// Change title or context of a session
#[utoipa::path(patch, path = "/sessions/{id}", tag = "sessions", operation_id = "change_session",
    params(("id" = inline(wire::texts::SessionId), Path, description = "Its id")), request_body = wire::SessionPatch,
    responses((status = 200, description = "The changed session", body = wire::Session)))]
pub(super) async fn change(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(id): NamePath,
    Json(body): Json<wire::SessionPatch>,
) -> Result<axum::Json<wire::Session>> {
    let session = blocking(move || {
        let mut session = find(&app.store, &principal, &id)?;
        if let Some(changed) = body.title {
            session.title = changed.map(title).transpose()?;
        }
        session.context = body.context.unwrap_or(session.context);
        session.last_active = now_ms();
        app.store.update_session(&session)?;
        Ok::<_, ApiError>(session)
    });
    Ok(axum::Json(session.await?.into()))
}

/// Delete a session with its conversations
///
/// The user's documents stay.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", operation_id = "delete_session",
    params(("id" = inline(wire::texts::SessionId), Path, description = "Its id")),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(id): NamePath,
) -> Result<StatusCode> {
    blocking(move || {
        let session = find(&app.store, &principal, &id)?;
        match app.store.delete_session(&session.user, &session.id)? {
            true => Ok(StatusCode::NO_CONTENT),
            false => Err(unknown(&id)),
        }
    })
    .await
}

/// Show what a client needs to go on with a session
#[utoipa::path(get, path = "/sessions/{id}/context", tag = "sessions", operation_id = "get_session_context",
    params(("id" = inline(wire::texts::SessionId), Path, description = "Its id"), ContextParams),
    responses((status = 200, description = "Its context", body = wire::SessionContext)))]
pub(super) async fn context(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(id): NamePath,
    Query(params): Query<ContextParams>,
) -> Result<axum::Json<wire::SessionContext>> {
    let limit = cursor::limit(params.limit.or(Some(CONTEXT_LIMIT_DEFAULT)))?;
    let context = blocking(move || {
        let session = find(&app.store, &principal, &id)?;
        gather(&app.store, session, limit)
    });
    context.await.map(axum::Json)
}

fn gather(store: &Store, session: Session, limit: usize) -> Result<wire::SessionContext> {
    let user = &session.user;
    let conversation = store.conversations(user, Some(&session.id), None, 1)?.items.pop();
    let messages = match &conversation {
        Some(conversation) => store.messages(user, conversation.id, limit)?,
        None => Vec::new(),
    };
    let newest = DocumentQuery { descending: true, limit, ..DocumentQuery::default() };
    let documents = store.documents(user, &newest)?.items;
    let preferences = session.context.get("preferences").and_then(|value| value.as_object());
    Ok(wire::SessionContext {
        conversation_id: conversation.map(|conversation| conversation.id.to_string()),
        messages: messages.into_iter().map(Into::into).collect(),
        documents: documents.into_iter().map(Into::into).collect(),
        document_count: store.collections(Some(user))?.iter().map(|collection| collection.documents).sum(),
        preferences: preferences.cloned().unwrap_or_default(),
    })
}

/// The session of a path, if it is there for whoever asks.
fn find(store: &Store, principal: &Principal, id: &str) -> Result<Session> {
    let parsed = SessionId::new(id).map_err(|_| unknown(id))?;
    let session = store.session(&parsed)?.filter(|session| principal.sees(session));
    session.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> ApiError {
    ApiError::not_found(format!("session {id:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_escaped() {
        let id = SessionId::new("Größe 3?").unwrap();
        assert_eq!(location(&id), "/api/v1/sessions/Gr%C3%B6%C3%9Fe%203%3F");
    }
}
