//! An answer as it comes: a JSON object a line.

use std::collections::VecDeque;

use serde::Deserialize;
use smartrag_sdk::generator::{Event, FinishReason, Generation, Usage};
use smartrag_sdk::http::{Lines, Response};
use smartrag_sdk::{Error, Result};
use smartrag_servers::{Reasoning, not_json};

/// An answer in the making.
pub struct Answer {
    /// `None` once it is over.
    lines: Option<Lines>,
    reasoning: Reasoning,
    /// What was read and not asked for yet.
    ready: VecDeque<Event>,
}

#[derive(Deserialize)]
struct Line {
    message: Option<Said>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u32>,
    eval_count: Option<u32>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: String,
    thinking: Option<String>,
}

impl Answer {
    pub(crate) fn new(response: Response) -> Self {
        Self { lines: Some(response.lines()), reasoning: Reasoning::default(), ready: VecDeque::new() }
    }

    /// Reads on; the lines go back only where more is to come.
    fn read(&mut self) -> Result<()> {
        let Some(mut lines) = self.lines.take() else { return Ok(()) };
        let Some(text) = lines.next_line()? else {
            return Err(Error::upstream("Ollama broke off in the middle of the answer"));
        };
        if text.trim().is_empty() || !self.take(text.as_bytes())? {
            self.lines = Some(lines);
        }
        Ok(())
    }

    /// True if that was the end.
    fn take(&mut self, json: &[u8]) -> Result<bool> {
        let line: Line = serde_json::from_slice(json).map_err(|error| not_json("Ollama", json, &error))?;
        if let Some(error) = line.error {
            return Err(Error::upstream(format!("Ollama gave up in the middle of the answer: {error}")));
        }
        if let Some(said) = line.message {
            self.ready.extend(said.thinking.filter(|text| !text.is_empty()).map(Event::Reasoning));
            self.ready.extend(self.reasoning.push(&said.content));
        }
        if line.done {
            self.ready.extend(self.reasoning.end());
            // Of a prompt that it had in its cache Ollama counts nothing.
            let (prompt_tokens, completion_tokens) =
                (line.prompt_eval_count.unwrap_or(0), line.eval_count.unwrap_or(0));
            self.ready.push_back(Event::Usage(Usage { prompt_tokens, completion_tokens }));
            let is_cut = line.done_reason.as_deref() == Some("length");
            self.ready.push_back(Event::Finish(if is_cut {
                FinishReason::Length
            } else {
                FinishReason::Stop
            }));
        }
        Ok(line.done)
    }
}

impl Generation for Answer {
    fn next(&mut self, max: u32) -> Result<Vec<Event>> {
        while self.ready.is_empty() && self.lines.is_some() {
            self.read()?;
        }
        let count = self.ready.len().min(max.max(1) as usize);
        Ok(self.ready.drain(..count).collect())
    }
}
