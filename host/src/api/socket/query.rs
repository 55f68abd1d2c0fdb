//! `/ws/v1/query/{session_id}`: questions and answers on a WebSocket.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::SemaphorePermit;

use super::{Ending, HEARTBEAT, Line, REVOKED, SERVICE_ENDS, UNREADABLE, Upgrade, seated};
use crate::api::access::{Principal, Standing};
use crate::api::caller::{Unknown, resolve};
use crate::api::error::{ApiError, Result};
use crate::api::extract::{NamePath, parse_json};
use crate::api::query;
use crate::api::stream::{failed, wire_events};
use crate::app::App;
use crate::types::JsonMap;
use crate::wire::{QueryBody, QueryEvent, SocketEvent};

/// Messages that are larger by this factor than a body may be end the connection; smaller ones are told so.
const OVERSIZE: usize = 4;

/// Ask on a WebSocket
///
/// The client sends the body of `/query` as text; the answer comes as messages of the types `sources`, `chunk`…, `done` or
/// `error`. Several questions may follow each other. `{"type": "cancel"}` stops the current one.
#[utoipa::path(get, path = "/ws/v1/query/{session_id}", tag = "answers", operation_id = "query_socket",
    params(("session_id" = inline(crate::wire::texts::SessionId), Path, description = "The session on whose behalf; an unknown one is created")),
    responses((status = 101, description = "Messages as described", body = SocketEvent),
        (status = 426, description = "It is no WebSocket that was asked for")))]
pub(in crate::api) async fn ask(
    State(app): State<Arc<App>>,
    NamePath(session): NamePath,
    principal: Principal,
    Extension(ending): Extension<Ending>,
    upgrade: Upgrade,
) -> Result<Response> {
    let who = resolve(&app, &principal, Some(&session), Unknown::Create).await?;
    let standing = Standing::new(&app, &principal);
    // Also if the session is deleted meanwhile, it is this user who asks.
    let principal = principal.within(who.user());
    let (upgrade, seat) = seated(upgrade, ", or POST to /api/v1/query")?;
    let bytes_max = usize::try_from(app.config.api.body_bytes_max).unwrap_or(usize::MAX / OVERSIZE);
    let asker = Asker { app, session, principal, bytes_max };
    let hard_max = bytes_max.saturating_mul(OVERSIZE);
    let upgrade = upgrade.max_message_size(hard_max).max_frame_size(hard_max);
    Ok(upgrade.on_upgrade(move |socket| converse(socket, asker, standing, ending, seat)))
}

/// Who asks, and how much at once.
struct Asker {
    app: Arc<App>,
    session: String,
    principal: Principal,
    bytes_max: usize,
}

/// What a message asks for.
enum Wish {
    Answer(Box<QueryBody>),
    Cancel,
}

/// An answer under way. Dropping it ends the generation.
struct Current {
    events: BoxStream<'static, QueryEvent>,
    query_id: Option<String>,
}

async fn converse(
    socket: WebSocket,
    asker: Asker,
    mut standing: Standing,
    ending: Ending,
    _seat: SemaphorePermit<'static>,
) {
    let (to, mut from) = socket.split();
    let (mut line, mut current) = (Line(to), None);
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    let goodbye = loop {
        let reply = tokio::select! {
            message = from.next() => match message {
                Some(Ok(Message::Text(text))) => asker.take(text.as_bytes(), &mut current),
                Some(Ok(Message::Binary(bytes))) => asker.take(&bytes, &mut current),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
                Some(Ok(Message::Close(_))) | None => return,
                Some(Err(_)) => break UNREADABLE,
            },
            event = next(&mut current) => Some(event),
            _ = heartbeat.tick() => match line.ping().await {
                Ok(()) => None,
                Err(goodbye) => break goodbye,
            },
            () = standing.ends() => break REVOKED,
            () = ending.cancelled() => break SERVICE_ENDS,
        };
        let Some(reply) = reply else { continue };
        if let Err(goodbye) = line.say(&reply).await {
            break goodbye;
        }
    };
    line.close(goodbye).await;
}

/// The next event of the answer under way; waits for ever while there is none.
async fn next(current: &mut Option<Current>) -> SocketEvent {
    let Some(answer) = current else { return std::future::pending().await };
    let event = answer.events.next().await;
    let event = event.unwrap_or_else(|| failed(ApiError::internal("the answer ended without an end")));
    match &event {
        QueryEvent::Sources { begin, .. } => answer.query_id = Some(begin.query_id.clone()),
        QueryEvent::Done { .. } | QueryEvent::Error { .. } => *current = None,
        QueryEvent::Chunk { .. } => {}
    }
    event.into()
}

impl Asker {
    /// Takes a message; what is to be said at once.
    fn take(&self, message: &[u8], current: &mut Option<Current>) -> Option<SocketEvent> {
        match self.read(message) {
            Ok(Wish::Cancel) => {
                Some(SocketEvent::Cancelled { query_id: current.take().and_then(|answer| answer.query_id) })
            }
            Ok(Wish::Answer(_)) if current.is_some() => {
                let detail = "an answer is under way: wait for its end, or send {\"type\": \"cancel\"}";
                Some(fault(ApiError::new(StatusCode::CONFLICT, "conflict", detail)))
            }
            Ok(Wish::Answer(body)) => {
                *current = Some(Current { events: self.ask(*body), query_id: None });
                None
            }
            Err(error) => Some(fault(error)),
        }
    }

    fn read(&self, message: &[u8]) -> Result<Wish> {
        if message.len() > self.bytes_max {
            return Err(ApiError::too_large("the message", self.bytes_max as u64));
        }
        let mut fields: JsonMap = parse_json(message)?;
        match fields.remove("type") {
            None => {}
            Some(kind) if kind == "query" => {}
            Some(kind) if kind == "cancel" => return Ok(Wish::Cancel),
            Some(_) => return Err(ApiError::invalid("/type", "must be \"query\" or \"cancel\"")),
        }
        let mut body: QueryBody = parse_json(&serde_json::to_vec(&fields).unwrap_or_default())?;
        if body.session_id.as_ref().is_some_and(|other| *other != self.session) {
            return Err(ApiError::invalid(
                "/session_id",
                "is another one than that of this socket: leave it out",
            ));
        }
        body.session_id = Some(self.session.clone());
        Ok(Wish::Answer(Box::new(body)))
    }

    fn ask(&self, body: QueryBody) -> BoxStream<'static, QueryEvent> {
        let (app, principal) = (self.app.clone(), self.principal.clone());
        let begun = stream::once(async move { query::begin(&app, &principal, body).await });
        let events = begun.flat_map(|begun| match begun {
            Ok((begin, events)) => wire_events(begin, events).boxed(),
            Err(error) => stream::once(async { failed(error) }).boxed(),
        });
        events.boxed()
    }
}

fn fault(error: ApiError) -> SocketEvent {
    SocketEvent::Error { code: error.code.into(), detail: error.detail }
}
