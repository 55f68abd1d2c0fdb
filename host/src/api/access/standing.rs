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
    /// After how many revocations it was looked at last.
    looked: Option<u64>,
}

impl Standing {
    pub fn new(app: &App, principal: &Principal) -> Self {
        let (key, store) = (principal.key.clone(), app.store.clone());
        Self { key, store, revocations: app.revocations.subscribe(), looked: None }
    }

    /// Returns when it was revoked. May be dropped and called again: a revocation counts as seen only after the look.
    pub async fn ends(&mut self) {
        let Some(key) = self.key.clone() else { return std::future::pending().await };
        loop {
            let looked = self.looked;
            let count = self.revocations.wait_for(|count| looked != Some(*count)).await.map(|count| *count);
            let Ok(count) = count else { return };
            let (store, key) = (self.store.clone(), key.clone());
            // A store that can't be read lets nothing through either.
            if !matches!(blocking(move || store.key(&key)).await, Ok(Some(_))) {
                return;
            }
            self.looked = Some(count);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::types::{UserId, UserRole};

    #[tokio::test]
    async fn a_revocation_is_not_missed_by_whoever_looks_now_and_then() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let made = store.create_key(&UserId::anonymous(), UserRole::User, None, 1).unwrap().0;
        let count = watch::Sender::new(0);
        let key = Some(made.id.clone());
        let mut standing =
            Standing { key, store: store.clone(), revocations: count.subscribe(), looked: None };
        assert!(standing.ends().now_or_never().is_none());
        store.revoke_key(&made.id).unwrap();
        count.send_modify(|count| *count += 1);
        // Dropped while it looks, mostly: something else happened on the socket.
        let _ = standing.ends().now_or_never();
        tokio::time::timeout(Duration::from_secs(60), standing.ends()).await.unwrap();
    }
}
