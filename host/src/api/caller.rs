//! On whose behalf a request is: that of its session, else that of whoever knocked.

use std::sync::Arc;

use serde::Deserialize;
use utoipa::IntoParams;

use super::access::Principal;
use super::blocking::blocking;
use super::error::{ApiError, Result};
use crate::app::App;
use crate::store::{self, Store};
use crate::types::{Caller, JsonMap, Session, SessionId, TimestampMs, UserId, UserRole};
use crate::wire;

/// How old `last_active` may be before a use is written down: a commit a call would cost more than it tells.
const TOUCH_AFTER_MS: i64 = 60_000;

/// On whose behalf.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UserParams {
    /// Names the user by one of its sessions.
    #[param(value_type = Option<wire::texts::SessionId>, inline)]
    pub session_id: Option<String>,
}

/// What becomes of a session id that nobody knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// In local mode it is created (queries, uploads, searches).
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
    fn new(principal: &Principal, user: UserId, session: Option<SessionId>) -> Self {
        let role = principal.role.unwrap_or(UserRole::Reader);
        Self { caller: Caller { user, role, since: principal.since }, session }
    }

    /// The owner of everything that this request may see.
    pub fn user(&self) -> &UserId {
        &self.caller.user
    }
}

/// Finds out on whose behalf. `session` is that of the body or of the URL.
pub(super) async fn resolve(
    app: &Arc<App>,
    principal: &Principal,
    session: Option<&str>,
    unknown: Unknown,
) -> Result<Who> {
    let Some(session) = session else { return Ok(Who::new(principal, principal.user.clone(), None)) };
    let id = session_id(session)?;
    let (store, principal) = (app.store.clone(), principal.clone());
    blocking(move || resolve_session(&store, &principal, id, unknown)).await
}

/// The same for a session id that is checked already. Blocks.
pub(super) fn resolve_session(
    store: &Store,
    principal: &Principal,
    id: SessionId,
    unknown: Unknown,
) -> Result<Who> {
    let now = now_ms();
    match store.session(&id)? {
        Some(session) if principal.may_use(&session) => {
            let user = session.user.clone();
            touch(store, session, now)?;
            Ok(Who::new(principal, user, Some(id)))
        }
        None if unknown == Unknown::Create && principal.begins_sessions => {
            create_implicit(store, principal, id, now)
        }
        _ => Err(ApiError::not_found(format!("session {:?}", id.as_str()))),
    }
}

fn create_implicit(store: &Store, principal: &Principal, id: SessionId, now: TimestampMs) -> Result<Who> {
    let session = Session {
        id: id.clone(),
        user: principal.user.clone(),
        title: None,
        context: JsonMap::new(),
        created_at: now,
        last_active: now,
    };
    match store.create_session(&session, principal.since) {
        Ok(()) => Ok(Who::new(principal, session.user, Some(id))),
        // another request with the same new id was faster
        Err(store::Error::Conflict(_)) => match store.session(&id)? {
            Some(session) => Ok(Who::new(principal, session.user, Some(id))),
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

/// A session id of a body or URL, checked.
pub(super) fn session_id(text: &str) -> Result<SessionId> {
    SessionId::new(text).map_err(|error| ApiError::invalid("/session_id", error.to_string()))
}

/// The time of a request.
pub(super) fn now_ms() -> TimestampMs {
    jiff::Timestamp::now().as_millisecond()
}
