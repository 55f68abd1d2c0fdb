//! Who knocks: found out once a request, before any route.

mod credentials;
mod limits;
mod principal;
mod standing;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::blocking::blocking;
use super::error::{ApiError, Result};
use super::in_flight::Seated;
use super::router::PREFIX;
use crate::app::App;
use crate::config::AuthMode;
use crate::types::{ApiKey, UserRole};
use limits::Limits;
pub(super) use principal::Principal;
pub(super) use standing::Standing;
use standing::while_it_stands;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Network(SocketAddr),
    /// Through the socket in the data directory, which only the daemon's own user can open.
    Owner,
}

/// What is needed to tell who knocks.
pub(super) struct Access {
    app: Arc<App>,
    limits: Limits,
}

impl Access {
    pub fn new(app: Arc<App>) -> Arc<Self> {
        let limits = Limits::new(&app.config.auth);
        Arc::new(Self { app, limits })
    }

    async fn principal(&self, headers: &HeaderMap, peer: Option<Peer>, path: &str) -> Result<Principal> {
        let named = principal::header_user(headers)?;
        if peer == Some(Peer::Owner) {
            return Ok(Principal::owner(named));
        }
        let mode = self.app.config.auth.mode;
        let key = match credentials::of(headers)? {
            Some(text) => self.key(text, mode).await?,
            None => None,
        };
        match (key, mode) {
            (Some(key), _) => Ok(Principal::with_key(key, named)),
            (None, AuthMode::Local) => Ok(Principal::local(named)),
            (None, AuthMode::Keys) if self.is_open(path) => Ok(Principal::nobody()),
            (None, AuthMode::Keys) => Err(unauthenticated(
                "this daemon wants a key: send Authorization: Bearer KEY, or X-API-Key: KEY; \
                 `smartrag keys create` makes one",
            )),
        }
    }

    /// The key that this text is. In local mode clients send whatever they must send something for; only what looks like
    /// one of ours is meant as one.
    async fn key(&self, text: String, mode: AuthMode) -> Result<Option<ApiKey>> {
        if mode == AuthMode::Local && !crate::store::is_key(&text) {
            return Ok(None);
        }
        let store = self.app.store.clone();
        match blocking(move || store.authenticate(&text)).await? {
            Some(key) => Ok(Some(key)),
            None => Err(unauthenticated("this key is unknown, or was revoked: ask for another one")),
        }
    }

    /// What answers without a key.
    fn is_open(&self, path: &str) -> bool {
        let path = path.strip_prefix(PREFIX).unwrap_or(path);
        match path {
            "/health" | "/health/live" | "/health/ready" => true,
            "/metrics" => self.app.config.api.open_metrics,
            _ => false,
        }
    }
}

fn unauthenticated(detail: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
}

/// Lets a request in with its [`Principal`], or answers 401 or 429.
pub(super) async fn access(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let principal = match access.principal(request.headers(), peer, request.uri().path()).await {
        Ok(principal) => principal,
        Err(error) => return refused(error),
    };
    let mut response = match access.limits.take(&principal) {
        Ok(seat) => {
            request.extensions_mut().insert(principal.clone());
            let response = while_it_stands(&access.app, &principal, next.run(request).await);
            response.map(|body| Body::new(Seated::new(body, seat)))
        }
        Err(error) => error.into_response(),
    };
    response.extensions_mut().insert(principal);
    response
}

fn refused(error: ApiError) -> Response {
    let mut response = error.into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"smartrag\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Lets only those in who may do at least this.
pub(super) async fn require(
    State(role): State<UserRole>,
    Extension(principal): Extension<Principal>,
    request: Request,
    next: Next,
) -> Response {
    if principal.role >= Some(role) {
        let mut response = next.run(request).await;
        if role == UserRole::Admin {
            response.extensions_mut().insert(AdminAct);
        }
        return response;
    }
    let detail = format!("this needs a key with the role {}", role.as_str());
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", detail).into_response()
}

/// Marks an answer of a route of administrators.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdminAct;
