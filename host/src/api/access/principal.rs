use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::api::error::{ApiError, Result};
use crate::types::{ApiKey, KeyId, Session, UserId, UserRole};

/// Names the user of requests without a session: in local mode, and for administrators.
pub(in crate::api) const USER_HEADER: &str = "x-smartrag-user";

/// Who knocked.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::api) struct Principal {
    /// The user of requests that name no session.
    pub user: UserId,
    /// `None`: nobody who may do anything.
    pub role: Option<UserRole>,
    /// The key that was shown.
    pub key: Option<KeyId>,
    /// Whether the user was named; else it is anybody's own machine.
    named: bool,
    /// Whether a session or a body may name another user.
    pub any_user: bool,
    /// Whether a session that nobody knows is begun.
    pub begins_sessions: bool,
    /// When it was let in.
    pub since: Instant,
}

impl Principal {
    /// Anybody on a machine where all are trusted.
    pub fn local(named: Option<UserId>) -> Self {
        Self {
            named: named.is_some(),
            user: named.unwrap_or_else(UserId::anonymous),
            role: Some(UserRole::Admin),
            key: None,
            any_user: true,
            begins_sessions: true,
            since: Instant::now(),
        }
    }

    /// Whoever may open the daemon's own socket.
    pub fn owner(named: Option<UserId>) -> Self {
        Self { begins_sessions: false, ..Self::local(named) }
    }

    /// The user of a key; an administrator may name another one.
    pub fn with_key(key: ApiKey, named: Option<UserId>) -> Self {
        let is_admin = key.role == UserRole::Admin;
        let other = named.filter(|_| is_admin);
        Self {
            named: !is_admin || other.is_some(),
            user: other.unwrap_or(key.user),
            role: Some(key.role),
            key: Some(key.id),
            any_user: is_admin,
            begins_sessions: false,
            since: Instant::now(),
        }
    }

    /// The same on behalf of this user alone.
    pub fn within(self, user: &UserId) -> Self {
        Self { named: true, user: user.clone(), ..self }
    }

    /// Somebody without a key, where one is wanted.
    pub fn nobody() -> Self {
        Self { role: None, any_user: false, begins_sessions: false, ..Self::local(None) }
    }

    /// Whether it may run the service.
    pub fn is_admin(&self) -> bool {
        self.role == Some(UserRole::Admin)
    }

    /// Whether requests may be made within this session.
    pub fn may_use(&self, session: &Session) -> bool {
        self.any_user || session.user == self.user
    }

    /// Whether this session is there for whoever asks for it by its id: not where another user was named.
    pub fn sees(&self, session: &Session) -> bool {
        session.user == self.user || (self.any_user && !self.named)
    }

    /// The user that a body names.
    ///
    /// # Errors
    /// 403 where it is another one's.
    pub fn user_of_body(&self, named: Option<String>) -> Result<UserId> {
        let Some(named) = named else { return Ok(self.user.clone()) };
        let user = UserId::new(named).map_err(|error| ApiError::invalid("/user_id", error.to_string()))?;
        if self.any_user || user == self.user {
            return Ok(user);
        }
        let detail = "user_id is another user's: leave it out, or use a key with the role admin";
        Err(ApiError::forbidden(detail))
    }

    /// What its requests are counted by.
    pub fn subject(&self) -> &str {
        self.key.as_ref().map_or(self.user.as_str(), KeyId::as_str)
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let known = parts.extensions.get::<Self>().cloned();
        known.ok_or_else(|| ApiError::internal("a route was reached without its caller being known"))
    }
}

/// The user that the header names.
pub(super) fn header_user(headers: &HeaderMap) -> Result<Option<UserId>> {
    let Some(value) = headers.get(USER_HEADER) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| ApiError::invalid(USER_HEADER, "the header must be UTF-8"))?;
    UserId::new(text).map(Some).map_err(|error| ApiError::invalid(USER_HEADER, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::JsonMap;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn key(role: UserRole) -> ApiKey {
        let id = KeyId::from_bytes([1; KeyId::BYTES]);
        ApiKey { id, user: user("ann"), role, label: None, created_at: 0 }
    }

    fn session_of(name: &str) -> Session {
        let id = crate::types::SessionId::new("s").unwrap();
        Session { id, user: user(name), title: None, context: JsonMap::new(), created_at: 0, last_active: 0 }
    }

    #[test]
    fn a_key_is_its_user_whatever_the_header_says() {
        let ann = Principal::with_key(key(UserRole::User), Some(user("bob")));
        assert_eq!(ann.user, user("ann"));
        assert!(!ann.may_use(&session_of("bob")) && !ann.sees(&session_of("bob")));
        assert!(ann.may_use(&session_of("ann")) && ann.sees(&session_of("ann")));
        assert_eq!(ann.user_of_body(Some("bob".into())).unwrap_err().code, "forbidden");
        assert_eq!(ann.user_of_body(Some("ann".into())).unwrap(), user("ann"));
    }

    #[test]
    fn administrators_act_for_others() {
        let admin = Principal::with_key(key(UserRole::Admin), None);
        assert_eq!(admin.user_of_body(Some("bob".into())).unwrap(), user("bob"));
        assert!(admin.may_use(&session_of("bob")) && admin.sees(&session_of("bob")));
        let for_bob = Principal::with_key(key(UserRole::Admin), Some(user("bob")));
        assert_eq!(for_bob.user, user("bob"));
        assert!(!for_bob.sees(&session_of("ann")));
    }

    #[test]
    fn nobody_may_do_nothing() {
        assert!(Principal::nobody().role < Some(UserRole::Reader));
        assert!(!Principal::nobody().may_use(&session_of("bob")));
        assert!(!Principal::nobody().is_admin());
    }
}
