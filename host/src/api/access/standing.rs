//! Revoked keys end what they opened.

use axum::body::{Body, HttpBody};
use axum::response::Response;
use futures_util::StreamExt;
use tokio::sync::watch;

use super::Principal;
use crate::api::blocking::blocking;
use crate::app::App;
use crate::store::Store;
use crate::types::KeyId;

/// Whether the key that opened a socket or a stream still stands.
pub(in crate::api) struct Standing {
    key: Option<KeyId>,
    store: Store,
    revocations: watch::Receiver<u64>,
}

impl Standing {
    pub fn new(app: &App, principal: &Principal) -> Self {
        let (key, store) = (principal.key.clone(), app.store.clone());
        Self { key, store, revocations: app.revocations.subscribe() }
    }

    /// Returns when it was revoked.
    pub async fn ends(&mut self) {
        let Some(key) = self.key.clone() else { return std::future::pending().await };
        while self.revocations.changed().await.is_ok() {
            let (store, key) = (self.store.clone(), key.clone());
            // A store that can't be read lets nothing through either.
            if !matches!(blocking(move || store.key(&key)).await, Ok(Some(_))) {
                return;
            }
        }
    }
}

/// Ends an answer that is still being told when its key is revoked.
pub(super) fn while_it_stands(app: &App, principal: &Principal, response: Response) -> Response {
    let is_stream = response.body().size_hint().exact().is_none();
    if principal.key.is_none() || !is_stream {
        return response;
    }
    let mut standing = Standing::new(app, principal);
    let revoked = Box::pin(async move { standing.ends().await });
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(revoked)))
}
