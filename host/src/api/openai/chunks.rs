//! A streamed answer in OpenAI's form.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream;
use tokio::sync::mpsc;

use super::chat::finish;
use super::said;
use crate::answer::{AnswerEvent, Begin, End};
use crate::api::error::ApiError;
use crate::api::stream::{alive, log_failure, unbuffered};
use crate::wire::{self, ChatChunk, ChunkChoice, Delta};

/// What every chunk begins with.
pub(super) struct Head {
    pub id: String,
    /// Seconds since 1970.
    pub created: i64,
    pub model: String,
}

struct Answer {
    head: Head,
    begin: Begin,
    events: mpsc::Receiver<AnswerEvent>,
    with_usage: bool,
    ready: VecDeque<Event>,
    is_over: bool,
}

/// Dropping it ends the generation.
pub(super) fn stream(
    head: Head,
    begin: Begin,
    events: mpsc::Receiver<AnswerEvent>,
    with_usage: bool,
) -> Response {
    let mut answer = Answer { head, begin, events, with_usage, ready: VecDeque::new(), is_over: false };
    let first = Delta { role: Some("assistant".into()), content: Some(String::new()) };
    answer.choice(first, None, None);
    let events = stream::unfold(answer, |mut answer| async move {
        let event = answer.next().await?;
        Some((Ok::<_, Infallible>(event), answer))
    });
    unbuffered(alive(events))
}

impl Answer {
    async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() && !self.is_over {
            match self.events.recv().await {
                Some(AnswerEvent::Begin(_)) => {}
                Some(AnswerEvent::Text(text)) => self.choice(content(text), None, None),
                Some(AnswerEvent::End(end)) => self.end(&end),
                Some(AnswerEvent::Failed(error)) => self.fail(&error.into()),
                None => self.fail(&ApiError::internal("the answer ended without an end")),
            }
        }
        self.ready.pop_front()
    }

    fn end(&mut self, end: &End) {
        let citations = wire::sources(std::mem::take(&mut self.begin.sources));
        self.choice(content(String::new()), None, Some(citations));
        self.choice(Delta::default(), Some(finish(end.finish)), None);
        if self.with_usage {
            self.push(Vec::new(), Some(end.usage.into()), None);
        }
        self.ready.push_back(Event::default().data("[DONE]"));
        self.is_over = true;
    }

    /// The status is sent already: the failure becomes the last event, and a line in the log.
    fn fail(&mut self, error: &ApiError) {
        log_failure(error);
        self.ready.extend(Event::default().json_data(said(error)).ok());
        self.is_over = true;
    }

    fn choice(&mut self, delta: Delta, finish_reason: Option<&str>, citations: Option<Vec<wire::Source>>) {
        let choice = ChunkChoice { index: 0, delta, finish_reason: finish_reason.map(str::to_owned) };
        self.push(vec![choice], None, citations);
    }

    fn push(
        &mut self,
        choices: Vec<ChunkChoice>,
        usage: Option<wire::Usage>,
        citations: Option<Vec<wire::Source>>,
    ) {
        let chunk = ChatChunk {
            id: self.head.id.clone(),
            object: "chat.completion.chunk".into(),
            created: self.head.created,
            model: self.head.model.clone(),
            choices,
            usage,
            citations,
        };
        self.ready.extend(Event::default().json_data(chunk).ok());
    }
}

fn content(text: String) -> Delta {
    Delta { role: None, content: Some(text) }
}
