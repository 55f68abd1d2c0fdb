//! Answers with the best passage, word by word.
//!
//! A generator gets the question, the passages that the search found, and a finished prompt. It answers with a stream
//! of events; when nobody listens any more, the host drops the stream.

use std::collections::VecDeque;

use serde::Deserialize;
use smartrag_sdk::generator::{Event, FinishReason, Generation, Generator, ModelInfo, Request};
use smartrag_sdk::{Descriptor, Error, Result, config, describe};

/// What an operator may set at the backend in the configuration. Every field has a default.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    words_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { words_max: 60 }
    }
}

/// The same for the host, which checks the settings before the plugin runs.
const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "words_max": {"type": "integer", "minimum": 1, "default": 60, "description": "Words of an answer at most"}
  }
}"#;

/// The plugin. It is made once and used for many answers, but the host may start over at any time.
pub struct Plugin {
    config: Config,
}

impl Generator for Plugin {
    type Generation = Words;

    fn describe() -> Descriptor {
        describe!("template-generator").config_schema(SCHEMA)
    }

    fn load() -> Result<Self> {
        Ok(Self { config: config()? })
    }

    fn info(&self) -> Result<ModelInfo> {
        Ok(ModelInfo {
            model: "best-passage".into(),
            // Tokens of prompt and answer together, where there is such a limit.
            context_window: None,
            // Whether it may rewrite questions.
            strong: false,
            // Whether passages should come with their sentences.
            wants_sentences: false,
            properties: Vec::new(),
        })
    }

    fn generate(&self, request: Request) -> Result<Words> {
        if request.question.trim().is_empty() {
            return Err(Error::invalid_input("the question is empty: ask something"));
        }
        let best = request.passages.iter().max_by(|a, b| a.score.total_cmp(&b.score));
        let Some(best) = best else {
            return Ok(Words([Event::Finish(FinishReason::Abstained)].into()));
        };
        let words = best.text.split_inclusive(char::is_whitespace).take(self.config.words_max);
        let mut events: VecDeque<Event> = words.map(|word| Event::Text(word.into())).collect();
        // `[1]` cites the passage of that number.
        events.push_back(Event::Text(format!(" [{}]", best.citation)));
        events.push_back(Event::Finish(FinishReason::Stop));
        Ok(Words(events))
    }
}

/// An answer in the making.
pub struct Words(VecDeque<Event>);

impl Generation for Words {
    /// At least one and at most `max` events; none once it is over.
    fn next(&mut self, max: u32) -> Result<Vec<Event>> {
        let count = self.0.len().min(max as usize);
        Ok(self.0.drain(..count).collect())
    }
}

smartrag_sdk::export!(generator, Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_ends() {
        let mut words = Words([Event::Text("a".into()), Event::Finish(FinishReason::Stop)].into());
        assert_eq!(words.next(1).unwrap(), [Event::Text("a".into())]);
        assert_eq!(words.next(16).unwrap(), [Event::Finish(FinishReason::Stop)]);
        assert!(words.next(16).unwrap().is_empty());
    }
}
