//! An answer as it comes.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::Value;
use smartrag_sdk::generator::{Event, FinishReason, Generation, Usage};
use smartrag_sdk::http::{Response, ServerEvents};
use smartrag_sdk::{Error, Result};
use smartrag_servers::{Reasoning, not_json};

/// Bytes of an answer that a server gives whole.
const WHOLE_MAX: usize = 16 << 20;

/// An answer in the making.
pub struct Answer {
    source: Source,
    reasoning: Reasoning,
    /// What was read and not asked for yet.
    ready: VecDeque<Event>,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
}

enum Source {
    Events(ServerEvents),
    /// A server that does not stream.
    Whole(Response),
    Over,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Counts>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(alias = "message")]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    #[serde(alias = "reasoning")]
    reasoning_content: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
}

impl Answer {
    pub(crate) fn new(response: Response) -> Self {
        let streams =
            response.header("content-type").is_none_or(|kind| kind.starts_with("text/event-stream"));
        let source = if streams { Source::Events(response.server_events()) } else { Source::Whole(response) };
        Self { source, reasoning: Reasoning::default(), ready: VecDeque::new(), usage: None, finish: None }
    }

    /// Reads on until there is something to say, or the end.
    fn read(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.source, Source::Over) {
            Source::Events(mut events) => match events.next_event()? {
                Some(event) if event.data.trim() == "[DONE]" => self.end(),
                Some(event) => {
                    self.take(event.data.as_bytes())?;
                    self.source = Source::Events(events);
                    Ok(())
                }
                None if self.finish.is_some() => self.end(),
                None => Err(Error::upstream("the server broke off in the middle of the answer")),
            },
            Source::Whole(response) => {
                let body = response.bytes(WHOLE_MAX)?;
                self.take(&body)?;
                self.end()
            }
            Source::Over => Ok(()),
        }
    }

    fn take(&mut self, json: &[u8]) -> Result<()> {
        let chunk: Chunk =
            serde_json::from_slice(json).map_err(|error| not_json("the server", json, &error))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let message =
                error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
            return Err(Error::upstream(format!(
                "the server gave up in the middle of the answer: {message}"
            )));
        }
        if let Some(counts) = chunk.usage {
            let Counts { prompt_tokens, completion_tokens } = counts;
            self.usage = Some(Usage { prompt_tokens, completion_tokens });
        }
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        if let Some(delta) = choice.delta {
            let thought = delta.reasoning_content.filter(|text| !text.is_empty());
            self.ready.extend(thought.map(Event::Reasoning));
            self.ready.extend(self.reasoning.push(&delta.content.unwrap_or_default()));
        }
        self.finish = choice.finish_reason.as_deref().map(finish).or(self.finish);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.ready.extend(self.reasoning.end());
        self.ready.extend(self.usage.take().map(Event::Usage));
        self.ready.push_back(Event::Finish(self.finish.unwrap_or(FinishReason::Stop)));
        Ok(())
    }
}

fn finish(reason: &str) -> FinishReason {
    match reason {
        "length" | "max_tokens" => FinishReason::Length,
        "content_filter" => FinishReason::Filtered,
        _ => FinishReason::Stop,
    }
}

impl Generation for Answer {
    fn next(&mut self, max: u32) -> Result<Vec<Event>> {
        while self.ready.is_empty() && !matches!(self.source, Source::Over) {
            self.read()?;
        }
        let count = self.ready.len().min(max.max(1) as usize);
        Ok(self.ready.drain(..count).collect())
    }
}
