//! `/events`: what happens to the caller's documents, as server-sent events; the socket tells the same.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

use super::access::Principal;
use super::blocking::blocking;
use super::caller::{Unknown, resolve};
use super::error::{ApiError, Result};
use super::extract::Query;
use super::socket::Ending;
use super::stream::{alive, unbuffered};
use crate::app::App;
use crate::ingest::{DocumentEvent, Happened};
use crate::store::StoredChange;
use crate::types::UserId;
use crate::wire::{self, Lagged};

/// Changes that are read from the store at once.
const BATCH: usize = 64;
/// What browsers send when they connect again.
const LAST_EVENT_ID: &str = "last-event-id";

/// Where to go on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParams {
    /// Names the user by one of its sessions.
    #[param(value_type = Option<wire::texts::SessionId>, inline)]
    session_id: Option<String>,
    /// Behind the event with this `seq`, or with that of `Last-Event-ID` if it is later; only what happens from now on where
    /// both are left out.
    after: Option<u64>,
}

/// Follow what happens to documents
///
/// The events of the socket `/ws/v1/events/{session_id}` as server-sent events; `id` is `seq`, so that browsers go on where
/// they were.
#[utoipa::path(get, path = "/events", tag = "documents", operation_id = "events",
    params(EventParams, ("Last-Event-ID" = Option<u64>, Header, description = "As `after`")),
    responses((status = 200, description = "An event for each step", body = wire::DocumentEvent,
        content_type = "text/event-stream")))]
pub(super) async fn follow(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    principal: Principal,
    Extension(ending): Extension<Ending>,
    Query(params): Query<EventParams>,
) -> Result<Response> {
    let again = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.parse().ok());
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Create).await?;
    let follower = Follower::new(app, who.caller.user, params.after.max(again)).await?;
    let events =
        follower.events().take_until(ending.cancelled_owned()).map(|told| Ok::<_, Infallible>(shown(&told)));
    Ok(unbuffered(alive(events)))
}

fn shown(told: &Told) -> Event {
    let event = match told {
        Told::Event(event) => {
            Event::default().id(event.seq.to_string()).event(&event.kind).json_data(event.as_ref())
        }
        Told::Lagged(lagged) => Event::default().event(&lagged.kind).json_data(lagged),
    };
    event.unwrap_or_default()
}

/// What a listener is told.
pub(super) enum Told {
    Event(Box<wire::DocumentEvent>),
    /// The last: more happened than is kept while it did not listen.
    Lagged(Lagged),
}

/// The events of one user from somewhere on.
pub(super) struct Follower {
    app: Arc<App>,
    user: UserId,
    inbox: Receiver<Arc<DocumentEvent>>,
    /// Events up to here were told, or are waiting.
    last: u64,
    waiting: VecDeque<Waiting>,
    has_lagged: bool,
}

enum Waiting {
    Kept(Arc<DocumentEvent>),
    Stored(StoredChange),
    Read(DocumentEvent),
}

impl Follower {
    /// `after`: behind which event; from now on where none is named.
    pub async fn new(app: Arc<App>, user: UserId, after: Option<u64>) -> Result<Self> {
        // First, so that nothing happens unheard.
        let inbox = app.ingest.events();
        let last = app.ingest.last_event();
        let mut follower = Self { app, user, inbox, last, waiting: VecDeque::new(), has_lagged: false };
        if let Some(after) = after {
            follower.last = after.min(last);
            if !follower.take_kept() {
                follower.last = last;
                let (app, user) = (follower.app.clone(), follower.user.clone());
                let changes = blocking(move || app.ingest.changes_after(&user, after)).await?;
                follower.waiting = changes.into_iter().map(Waiting::Stored).collect();
            }
        }
        Ok(follower)
    }

    /// Takes what is kept behind `last`; `false` where that is not all there was.
    fn take_kept(&mut self) -> bool {
        let Some(kept) = self.app.ingest.events_after(&self.user, self.last) else { return false };
        if let Some(newest) = kept.last() {
            self.last = newest.number;
        }
        self.waiting.extend(kept.into_iter().map(Waiting::Kept));
        true
    }

    /// The next event; `None` when there will be none. Given up half-way, nothing is lost.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if self.has_lagged {
                return None;
            }
            match self.waiting.front() {
                Some(Waiting::Stored(_)) => {
                    if let Err(error) = self.read_stored().await {
                        super::stream::log_failure(&error);
                        return None;
                    }
                    continue;
                }
                Some(_) => return self.waiting.pop_front().and_then(told),
                None => {}
            }
            match self.inbox.recv().await {
                Ok(event) if event.number <= self.last || event.collection.owner != self.user => {}
                Ok(event) => {
                    self.last = event.number;
                    self.waiting.push_back(Waiting::Kept(event));
                }
                // Others may have had much to do: what was missed need not be this user's.
                Err(RecvError::Lagged(_)) if self.take_kept() => {}
                Err(RecvError::Lagged(_)) => {
                    self.has_lagged = true;
                    return Some(Told::Lagged(Lagged::new(None)));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Reads what stands at the front.
    async fn read_stored(&mut self) -> Result<()> {
        let stored = self.waiting.iter().map_while(|waiting| match waiting {
            Waiting::Stored(change) => Some(change.clone()),
            _ => None,
        });
        let changes: Vec<StoredChange> = stored.take(BATCH).collect();
        let (app, user, count) = (self.app.clone(), self.user.clone(), changes.len());
        let events = blocking(move || {
            let events = changes.iter().map(|change| app.ingest.event_of(&user, change));
            events.filter_map(std::result::Result::transpose).collect::<std::result::Result<Vec<_>, _>>()
        });
        let events = events.await?;
        self.waiting.drain(..count);
        events.into_iter().rev().for_each(|event| self.waiting.push_front(Waiting::Read(event)));
        Ok::<_, ApiError>(())
    }

    fn events(self) -> impl Stream<Item = Told> + Send + 'static {
        stream::unfold(self, |mut follower| async move { Some((follower.next().await?, follower)) })
    }
}

fn told(waiting: Waiting) -> Option<Told> {
    match waiting {
        Waiting::Kept(event) => Some(Told::Event(Box::new(wire_of(event.as_ref().clone())))),
        Waiting::Read(event) => Some(Told::Event(Box::new(wire_of(event)))),
        Waiting::Stored(_) => None,
    }
}

fn wire_of(event: DocumentEvent) -> wire::DocumentEvent {
    let (name, progress) = match event.happened {
        Happened::Came(stage) => (stage.as_str(), stage.progress()),
        Happened::Deleted => ("deleted", 1.0),
    };
    wire::DocumentEvent {
        kind: format!("document.{name}"),
        seq: event.number,
        document_id: event.document.to_string(),
        filename: event.filename,
        collection: event.collection.name.to_string(),
        progress,
        error: event.error.map(Into::into),
        at: wire::time(event.at),
    }
}
