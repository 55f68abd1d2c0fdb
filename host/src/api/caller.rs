//! Who calls: in `local` mode the session's user, else the header's, else `anonymous`.

use std::sync::Arc;

use axum::http::HeaderMap;

use super::blocking::blocking;
use super::error::{ApiError, Result};
use crate::app::App;
use crate::store::{self, Store};
use crate::types::{Caller, JsonMap, Session, SessionId, TimestampMs, UserId};

/// Names the user of requests without a session.
pub(super) const USER_HEADER: &str = "x-smartrag-user";

/// How old `last_active` may be before a use is written down: a commit a call would cost more than it tells.
const TOUCH_AFTER_MS: i64 = 60_000;

/// What becomes of a session id that nobody knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It is created (queries, uploads, searches).
    Create,
    /// 404.
    Refuse,
}

/// The caller and the session that named it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Who {
    pub caller: Caller,
    pub session: Option<SessionId>,
}

impl Who {
    fn new(user: UserId, session: Option<SessionId>) -> Self {
        Self { caller: Caller { user, admin: false }, session }
    }

    /// The owner of everything that this request may see.
    pub fn user(&self) -> &UserId {
        &self.caller.user
    }
}

/// Finds out who calls. `session` is that of the body or of the URL.
pub(super) async fn resolve(
    app: &Arc<App>,
    headers: &HeaderMap,
    session: Option<&str>,
    unknown: Unknown,
) -> Result<Who> {
    let user = header_user(headers)?.unwrap_or_else(UserId::anonymous);
    let Some(session) = session else { return Ok(Who::new(user, None)) };
    let id = session_id(session)?;
    let store = app.store.clone();
    blocking(move || resolve_session(&store, user, id, unknown)).await
}

/// The same for a session id that is checked already. Blocks.
pub(super) fn resolve_session(store: &Store, user: UserId, id: SessionId, unknown: Unknown) -> Result<Who> {
    let now = now_ms();
    match store.session(&id)? {
        Some(session) => {
            let user = session.user.clone();
            touch(store, session, now)?;
            Ok(Who::new(user, Some(id)))
        }
        None if unknown == Unknown::Create => create_implicit(store, user, id, now),
        None => Err(ApiError::not_found(format!("session {:?}", id.as_str()))),
    }
}

fn create_implicit(store: &Store, user: UserId, id: SessionId, now: TimestampMs) -> Result<Who> {
    let session = Session {
        id: id.clone(),
        user: user.clone(),
        title: None,
        context: JsonMap::new(),
        created_at: now,
        last_active: now,
    };
    match store.create_session(&session) {
        Ok(()) => Ok(Who::new(user, Some(id))),
        // another request with the same new id was faster
        Err(store::Error::Conflict(_)) => match store.session(&id)? {
            Some(session) => Ok(Who::new(session.user, Some(id))),
            None => Err(ApiError::not_found(format!("session {:?}", id.as_str()))),
        },
        Err(error) => Err(error.into()),
    }
}

fn touch(store: &Store, mut session: Session, now: TimestampMs) -> Result<()> {
    if now - session.last_active < TOUCH_AFTER_MS {
        return Ok(());
    }
    session.last_active = now;
    match store.update_session(&session) {
        // deleted meanwhile: no reason to fail the request that came first
        Ok(()) | Err(store::Error::NotFound) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The user that the header names.
pub(super) fn header_user(headers: &HeaderMap) -> Result<Option<UserId>> {
    let Some(value) = headers.get(USER_HEADER) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| ApiError::invalid(USER_HEADER, "the header must be UTF-8"))?;
    UserId::new(text).map(Some).map_err(|error| ApiError::invalid(USER_HEADER, error.to_string()))
}

/// A session id of a body or URL, checked.
pub(super) fn session_id(text: &str) -> Result<SessionId> {
    SessionId::new(text).map_err(|error| ApiError::invalid("/session_id", error.to_string()))
}

/// The time of a request.
pub(super) fn now_ms() -> TimestampMs {
    jiff::Timestamp::now().as_millisecond()
}
