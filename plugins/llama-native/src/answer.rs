use std::collections::VecDeque;

use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use smartrag_native::finish_reason;
use smartrag_servers::Reasoning;

use crate::failure::Failure;
use crate::text::{Stops, Utf8};

/// Bytes from which on a text is told in several; the host takes 1 MiB at once.
const JOINED_MAX: usize = 64 << 10;

/// What happened to an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Part of the answer.
    Text(String),
    /// Part of what the model thinks before it.
    Reasoning(String),
    /// Tokens of prompt and answer so far.
    Usage(u32, u32),
    /// The end, and why: one of `finish_reason`.
    Finish(u32),
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// For a sequence.
    Waiting,
    /// The prompt.
    Reading {
        /// Where.
        sequence: usize,
    },
    /// The answer.
    Writing {
        /// Where.
        sequence: usize,
        /// The last word of the model, which it has not read itself yet.
        last: LlamaToken,
    },
    /// There is no more to come.
    Over,
}

/// An answer in the making.
#[derive(Debug)]
pub struct Answer {
    /// The whole prompt.
    pub prompt: Vec<LlamaToken>,
    /// Tokens of the answer at most.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampler: LlamaSampler,
    /// How far it is.
    pub phase: Phase,
    written: usize,
    utf8: Utf8,
    stops: Stops,
    reasoning: Reasoning,
    events: VecDeque<Event>,
    failure: Option<Failure>,
    /// Given to the host, which reads them until it asks again.
    handed: Vec<Event>,
}

impl Answer {
    /// One that has not begun.
    pub fn new(prompt: Vec<LlamaToken>, max_tokens: usize, sampler: LlamaSampler, stops: Stops) -> Self {
        Self {
            prompt,
            max_tokens,
            sampler,
            phase: Phase::Waiting,
            written: 0,
            utf8: Utf8::default(),
            stops,
            reasoning: Reasoning::default(),
            events: VecDeque::new(),
            failure: None,
            handed: Vec::new(),
        }
    }

    /// The sequence it runs on.
    pub fn sequence(&self) -> Option<usize> {
        match self.phase {
            Phase::Reading { sequence } | Phase::Writing { sequence, .. } => Some(sequence),
            Phase::Waiting | Phase::Over => None,
        }
    }

    /// Tokens of prompt and answer.
    pub fn reserved(&self) -> usize {
        self.prompt.len() + self.max_tokens
    }

    /// Whether the host has something to be told.
    pub fn has_news(&self) -> bool {
        !self.events.is_empty() || self.failure.is_some() || self.phase == Phase::Over
    }

    /// The model chose its next token, with these bytes; `None` ends the answer. It goes on at `sequence`.
    pub fn take(&mut self, sequence: usize, token: LlamaToken, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else { return self.end(finish_reason::STOP) };
        self.written += 1;
        let whole = self.utf8.push(bytes);
        let (text, stops) = self.stops.push(&whole);
        self.say(&text);
        if stops {
            self.close(finish_reason::STOP);
        } else if self.written >= self.max_tokens {
            self.end(finish_reason::LENGTH);
        } else {
            self.phase = Phase::Writing { sequence, last: token };
        }
    }

    /// It can't go on.
    pub fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.phase = Phase::Over;
    }

    /// At least one and at most `max` events, or none once it is over. `done` are the tokens of the prompt that were
    /// read: they are told where there is nothing else to tell.
    ///
    /// # Errors
    /// Why it can't go on.
    pub fn news(&mut self, max: usize, done: usize) -> Result<&[Event], Failure> {
        self.handed.clear();
        while self.handed.len() < max
            && let Some(event) = self.events.pop_front()
        {
            self.handed.push(event);
        }
        if self.handed.is_empty() {
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.phase != Phase::Over && max > 0 {
                self.handed.push(Event::Usage(done.min(self.prompt.len()) as u32, self.written as u32));
            }
        }
        Ok(&self.handed)
    }

    /// With what was held back.
    fn end(&mut self, reason: u32) {
        let held = self.utf8.end();
        let (text, stops) = self.stops.push(&held);
        let rest = if stops { text } else { text + &self.stops.end() };
        self.say(&rest);
        self.close(reason);
    }

    fn close(&mut self, reason: u32) {
        if let Some(event) = self.reasoning.end() {
            self.tell(event);
        }
        self.events.push_back(Event::Usage(self.prompt.len() as u32, self.written as u32));
        self.events.push_back(Event::Finish(reason));
        self.phase = Phase::Over;
    }

    fn say(&mut self, text: &str) {
        if !text.is_empty() {
            for event in self.reasoning.push(text) {
                self.tell(event);
            }
        }
    }

    /// Text that nobody fetched yet grows.
    fn tell(&mut self, event: smartrag_sdk::generator::Event) {
        use smartrag_sdk::generator::Event as Said;
        match (event, self.events.back_mut()) {
            (Said::Text(text), Some(Event::Text(last))) if last.len() < JOINED_MAX => last.push_str(&text),
            (Said::Reasoning(text), Some(Event::Reasoning(last))) if last.len() < JOINED_MAX => {
                last.push_str(&text);
            }
            (Said::Text(text), _) => self.events.push_back(Event::Text(text)),
            (Said::Reasoning(text), _) => self.events.push_back(Event::Reasoning(text)),
            // Nothing else comes from a text.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(max_tokens: usize, stops: &[&str]) -> Answer {
        Answer::new(vec![LlamaToken(1); 3], max_tokens, LlamaSampler::greedy(), Stops::new(stops))
    }

    fn told(answer: &mut Answer, pieces: &[Option<&[u8]>]) -> Vec<Event> {
        for piece in pieces {
            answer.take(0, LlamaToken(2), *piece);
            if answer.phase == Phase::Over {
                break;
            }
        }
        answer.news(16, 3).unwrap().to_vec()
    }

    #[test]
    fn an_answer_is_text_then_usage_then_its_end() {
        let mut one = answer(9, &[]);
        let events = told(&mut one, &[Some(b"a\xc3"), Some(b"\xa4"), None]);
        let expected = [Event::Text("aä".into()), Event::Usage(3, 2), Event::Finish(finish_reason::STOP)];
        assert_eq!(events, expected);
        assert!(one.news(16, 3).unwrap().is_empty());
    }

    #[test]
    fn it_ends_at_its_length_or_at_a_stop() {
        let events = told(&mut answer(2, &["zz"]), &[Some(b"a"), Some(b"z"), Some(b"c")]);
        let expected = [Event::Text("az".into()), Event::Usage(3, 2), Event::Finish(finish_reason::LENGTH)];
        assert_eq!(events, expected);
        let events = told(&mut answer(9, &["zz"]), &[Some(b"az"), Some(b"zc"), Some(b"d")]);
        let expected = [Event::Text("a".into()), Event::Usage(3, 2), Event::Finish(finish_reason::STOP)];
        assert_eq!(events, expected);
    }

    #[test]
    fn thoughts_are_told_apart_and_progress_is_told_where_there_is_nothing_else() {
        let mut one = answer(9, &[]);
        assert_eq!(one.news(16, 2).unwrap(), [Event::Usage(2, 0)]);
        let events = told(&mut one, &[Some(b"<th"), Some(b"ink>hm</think>"), Some(b"\n\nyes"), None]);
        assert_eq!(events[..2], [Event::Reasoning("hm".into()), Event::Text("yes".into())]);
        let mut two = answer(9, &[]);
        two.take(0, LlamaToken(2), Some(b"a"));
        two.fail(Failure::internal("broken"));
        assert_eq!(two.news(16, 3).unwrap(), [Event::Text("a".into())]);
        assert_eq!(two.news(16, 3).unwrap_err().message, "broken");
    }
}
