//! A streamed answer: one event a line, or as server-sent events. When the client goes away the stream is dropped,
//! and with it the receiver: that ends the generation.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::mpsc;

use super::error::ApiError;
use super::query;
use crate::answer::{AnswerEvent, Begin};
use crate::wire::{QueryBegin, QueryEvent, sources};

/// The media type of one JSON value a line.
pub(super) const NDJSON: &str = "application/x-ndjson";
const HEARTBEAT: Duration = Duration::from_secs(15);

/// An answer whose beginning is known.
pub(super) fn answer(begin: Begin, events: mpsc::Receiver<AnswerEvent>, sse: bool) -> Response {
    let events = wire_events(begin, events);
    unbuffered(if sse { server_sent(events) } else { ndjson(events) })
}

/// A response that nobody on the way may keep or collect.
pub(super) fn unbuffered(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // proxies that buffer would turn the stream into one late answer
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Values as lines.
pub(super) fn ndjson<T: Serialize>(values: impl Stream<Item = T> + Send + 'static) -> Response {
    let lines = values.map(|value| Ok::<_, std::convert::Infallible>(line(&value)));
    ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
}

fn line<T: Serialize>(value: &T) -> Bytes {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

fn server_sent(events: impl Stream<Item = QueryEvent> + Send + 'static) -> Response {
    alive(events.map(|event| Event::default().event(event.name()).json_data(&event)))
}

/// Server-sent events with heartbeats between them.
pub(super) fn alive<E>(events: impl Stream<Item = std::result::Result<Event, E>> + Send + 'static) -> Response
where
    E: Into<axum::BoxError> + 'static,
{
    Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response()
}

/// Where a stream stands.
enum Place {
    Start(Box<Begin>),
    Middle(Box<Begin>),
    End,
}

/// The events of an answer as clients read them. Dropping them ends the generation.
pub(super) fn wire_events(
    begin: Begin,
    events: mpsc::Receiver<AnswerEvent>,
) -> impl Stream<Item = QueryEvent> + Send + 'static {
    stream::unfold((Place::Start(Box::new(begin)), events), |(place, mut events)| async move {
        let (event, place) = match place {
            Place::Start(begin) => (first(&begin), Place::Middle(begin)),
            Place::Middle(begin) => next(begin, &mut events).await,
            Place::End => return None,
        };
        Some((event, (place, events)))
    })
}

fn first(begin: &Begin) -> QueryEvent {
    let begin = QueryBegin {
        query_id: begin.query_id.to_string(),
        conversation_id: begin.conversation_id.to_string(),
        sources: sources(begin.sources.clone()),
        rewritten_query: begin.rewritten.clone(),
        weak_evidence: begin.weak_evidence,
        backend: begin.backend.clone(),
        model: begin.model.clone(),
    };
    QueryEvent::Sources { chunk: String::new(), begin }
}

async fn next(begin: Box<Begin>, events: &mut mpsc::Receiver<AnswerEvent>) -> (QueryEvent, Place) {
    loop {
        match events.recv().await {
            Some(AnswerEvent::Text(text)) if text.is_empty() => {}
            Some(AnswerEvent::Begin(_)) => {}
            Some(AnswerEvent::Text(chunk)) => return (QueryEvent::Chunk { chunk }, Place::Middle(begin)),
            Some(AnswerEvent::End(end)) => {
                let answer = Box::new(query::answer(*begin, *end));
                return (QueryEvent::Done { chunk: String::new(), answer }, Place::End);
            }
            Some(AnswerEvent::Failed(error)) => return (failed(error.into()), Place::End),
            None => return (failed(ApiError::internal("the answer ended without an end")), Place::End),
        }
    }
}

/// The status is sent already: the failure becomes the last event, and a line in the log.
pub(super) fn failed(error: ApiError) -> QueryEvent {
    log_failure(&error);
    QueryEvent::Error { chunk: String::new(), code: error.code.into(), detail: error.detail }
}

/// A streamed answer ended so.
pub(super) fn log_failure(error: &ApiError) {
    let source = error.source.as_deref().unwrap_or(&error.detail);
    let code = &error.code;
    match error.status.is_server_error() {
        true => tracing::error!(target: "api", %code, "a streamed answer failed: {source}"),
        false => tracing::info!(target: "api", %code, "a question was refused: {source}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{End, Error};
    use crate::types::{ConversationId, FinishReason, MessageId, QueryId, Usage};

    fn begin() -> Begin {
        Begin {
            query_id: QueryId::new(),
            conversation_id: ConversationId::new(),
            sources: vec![],
            rewritten: None,
            weak_evidence: false,
            backend: "b".into(),
            model: "m".into(),
        }
    }

    fn end() -> AnswerEvent {
        AnswerEvent::End(Box::new(End {
            message_id: MessageId::new(),
            answer: "ab".into(),
            usage: Usage { prompt_tokens: 3, completion_tokens: 4 },
            finish: FinishReason::Stop,
            cited: vec![],
            invented: vec![],
            timings: Default::default(),
            truncated: false,
        }))
    }

    async fn names(sent: Vec<AnswerEvent>) -> Vec<&'static str> {
        let (sender, receiver) = mpsc::channel(8);
        for event in sent {
            sender.send(event).await.unwrap();
        }
        drop(sender);
        wire_events(begin(), receiver).map(|event| event.name()).collect().await
    }

    fn text(text: &str) -> AnswerEvent {
        AnswerEvent::Text(text.into())
    }

    #[tokio::test]
    async fn a_stream_ends_with_done_or_error() {
        assert_eq!(
            names(vec![text("a"), text(""), text("b"), end()]).await,
            ["sources", "chunk", "chunk", "done"]
        );
        let failed = AnswerEvent::Failed(Error::NotFound);
        assert_eq!(names(vec![text("a"), failed]).await, ["sources", "chunk", "error"]);
        assert_eq!(names(vec![text("a")]).await, ["sources", "chunk", "error"]);
    }

    #[tokio::test]
    async fn a_client_that_goes_away_drops_the_receiver() {
        let (sender, receiver) = mpsc::channel(8);
        let response = answer(begin(), receiver, true);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert!(!sender.is_closed());
        drop(response);
        assert!(sender.is_closed());
    }
}
