//! `/ws/v1/notifications`: what operators want to be told at once.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket};
use axum::response::Response;
use futures_util::StreamExt;
use tokio::sync::SemaphorePermit;
use tokio::sync::broadcast::error::RecvError;

use super::{Ending, Goodbye, HEARTBEAT, Line, REVOKED, SERVICE_ENDS, TOO_SLOW, UNREADABLE, Upgrade, seated};
use crate::api::access::{Principal, Standing};
use crate::api::error::Result;
use crate::app::App;
use crate::telemetry::{Notice, notices};
use crate::wire::{self, Notification};

/// Be told at once
///
/// Backends that go and come, plugins that are quarantined; to administrators also a configuration that was taken up or
/// refused, backups, and a disk that is nearly full. What happened before is in the log.
#[utoipa::path(get, path = "/ws/v1/notifications", tag = "operation", operation_id = "notifications_socket",
    responses((status = 101, description = "A message for each", body = Notification),
        (status = 426, description = "It is no WebSocket that was asked for")))]
pub(in crate::api) async fn listen(
    State(app): State<Arc<App>>,
    principal: Principal,
    Extension(ending): Extension<Ending>,
    upgrade: Upgrade,
) -> Result<Response> {
    let standing = Standing::new(&app, &principal);
    let all = principal.is_admin();
    let (upgrade, seat) = seated(upgrade, "")?;
    Ok(upgrade.on_upgrade(move |socket| tell(socket, standing, ending, all, seat)))
}

/// Tells all notices, or those for everybody.
async fn tell(
    socket: WebSocket,
    mut standing: Standing,
    ending: Ending,
    all: bool,
    _seat: SemaphorePermit<'static>,
) {
    let (to, mut from) = socket.split();
    let (mut line, mut notices) = (Line(to), notices());
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    let goodbye = loop {
        let said = tokio::select! {
            message = from.next() => match message {
                Some(Ok(Message::Close(_))) | None => return,
                // There is nothing to ask for here.
                Some(Ok(_)) => Ok(()),
                Some(Err(_)) => break UNREADABLE,
            },
            notice = notices.recv() => match notice {
                Ok(notice) if !all && !notice.kind.is_for_everybody() => Ok(()),
                Ok(notice) => line.say(&shown(notice)).await,
                Err(RecvError::Lagged(missed)) => {
                    let told = line.say(&wire::Lagged::new(Some(missed))).await;
                    told.and(Err::<(), Goodbye>(TOO_SLOW))
                }
                Err(RecvError::Closed) => break SERVICE_ENDS,
            },
            _ = heartbeat.tick() => line.ping().await,
            () = standing.ends() => break REVOKED,
            () = ending.cancelled() => break SERVICE_ENDS,
        };
        if let Err(goodbye) = said {
            break goodbye;
        }
    };
    line.close(goodbye).await;
}

fn shown(notice: Notice) -> Notification {
    Notification {
        kind: notice.kind.as_str().into(),
        subject: Some(notice.subject).filter(|subject| !subject.is_empty()),
        detail: notice.detail,
        at: wire::time(notice.at),
    }
}
