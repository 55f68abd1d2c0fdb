//! `/ws/v1/events/{session_id}`: what happens to the documents of a session's user.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket};
use axum::response::Response;
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::sync::SemaphorePermit;
use utoipa::IntoParams;

use super::{Ending, Goodbye, HEARTBEAT, Line, REVOKED, SERVICE_ENDS, TOO_SLOW, UNREADABLE, Upgrade, seated};
use crate::api::access::{Principal, Standing};
use crate::api::caller::{Unknown, resolve};
use crate::api::error::Result;
use crate::api::events::{Follower, Told};
use crate::api::extract::{NamePath, Query};
use crate::app::App;
use crate::wire;

/// Where to go on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct SocketEventParams {
    /// Behind the event with this `seq`; only what happens from now on where left out.
    after: Option<u64>,
}

/// Follow what happens to documents on a WebSocket
///
/// A message for each step of each document that the session's user owns. With `after` first what was missed: every step
/// where that is not long ago, else of each document what became of it, some of it perhaps once more.
#[utoipa::path(get, path = "/ws/v1/events/{session_id}", tag = "documents", operation_id = "events_socket",
    params(("session_id" = inline(wire::texts::SessionId), Path, description = "The session whose user it is about"), SocketEventParams),
    responses((status = 101, description = "A message for each step", body = wire::DocumentEvent),
        (status = 426, description = "It is no WebSocket that was asked for")))]
pub(in crate::api) async fn follow(
    State(app): State<Arc<App>>,
    NamePath(session): NamePath,
    Query(params): Query<SocketEventParams>,
    principal: Principal,
    Extension(ending): Extension<Ending>,
    upgrade: Upgrade,
) -> Result<Response> {
    let who = resolve(&app, &principal, Some(&session), Unknown::Create).await?;
    let standing = Standing::new(&app, &principal);
    let (upgrade, seat) = seated(upgrade, ", or GET /api/v1/events")?;
    let follower = Follower::new(app, who.caller.user, params.after).await?;
    Ok(upgrade.on_upgrade(move |socket| tell(socket, follower, standing, ending, seat)))
}

async fn tell(
    socket: WebSocket,
    mut follower: Follower,
    mut standing: Standing,
    ending: Ending,
    _seat: SemaphorePermit<'static>,
) {
    let (to, mut from) = socket.split();
    let mut line = Line(to);
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    let goodbye = loop {
        let said = tokio::select! {
            message = from.next() => match message {
                Some(Ok(Message::Close(_))) | None => return,
                // There is nothing to ask for here.
                Some(Ok(_)) => Ok(()),
                Some(Err(_)) => break UNREADABLE,
            },
            told = follower.next() => match told {
                Some(Told::Event(event)) => line.say(&event).await,
                Some(Told::Lagged(lagged)) => {
                    let told = line.say(&lagged).await;
                    told.and(Err::<(), Goodbye>(TOO_SLOW))
                }
                None => break SERVICE_ENDS,
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
