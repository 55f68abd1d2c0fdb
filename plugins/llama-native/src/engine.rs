//! Answers over one context. Whoever asks for news of an answer moves all of them on by a step: a word for each that is
//! writing, and a piece of the prompts of those that are reading, in one batch. So nobody waits for a thread of ours,
//! and nothing is computed that nobody asks for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use llama_cpp_2::token::LlamaToken;

use crate::answer::{Answer, Event, Phase};
use crate::config::Config;
use crate::failure::Failure;
use crate::llama::{BATCH_MAX, Session};
use crate::model::Model;
use crate::pace::Pace;
use crate::request::Request;
use crate::sequences::Sequences;
use crate::text::Stops;

/// An instance of the plugin.
#[derive(Debug)]
pub struct Engine {
    session: Session,
    model: Model,
    config: Config,
    sequences: Sequences,
    answers: BTreeMap<usize, Answer>,
    /// Those without a sequence, first come first served.
    waiting: VecDeque<usize>,
    pace: Pace,
    /// Tokens of one conversation.
    window: usize,
    last_id: usize,
}

/// An answer's part of a batch.
struct Part {
    id: usize,
    sequence: usize,
    tokens: Vec<LlamaToken>,
    /// Where the next token is to be chosen, if it is.
    row: Option<i32>,
}

impl Engine {
    /// Loads the model.
    ///
    /// # Errors
    /// Those of [`Model::open`] and [`Session::new`].
    pub fn new(config: Config) -> Result<Self, Failure> {
        let model = Model::open(&config)?;
        let session = Session::new(Arc::clone(model.inner()), &config)?;
        let can_share = !model.inner().is_recurrent() && !model.inner().is_hybrid();
        let sequences = Sequences::new(config.parallel as usize, config.context as usize, can_share);
        // A model that was trained on less makes no sense beyond; 0 says nothing.
        let trained = Some(model.inner().n_ctx_train()).filter(|tokens| *tokens > 0).unwrap_or(u32::MAX);
        Ok(Self {
            window: config.context.min(trained) as usize,
            session,
            model,
            config,
            sequences,
            answers: BTreeMap::new(),
            waiting: VecDeque::new(),
            pace: Pace::default(),
            last_id: 0,
        })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Tokens of prompt and answer together.
    pub fn window(&self) -> usize {
        self.window
    }

    /// What the operator wrote.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Begins an answer; its number.
    ///
    /// # Errors
    /// `LIMIT` with `context` if the prompt leaves no room for an answer.
    pub fn begin(&mut self, request: &Request) -> Result<usize, Failure> {
        let name = self.model.name();
        if request.model.is_some_and(|asked| asked != name) {
            return Err(Failure::unknown_model(format!(
                "there is one model, {name}: ask for it, or for none"
            )));
        }
        if request.messages.is_empty() {
            return Err(Failure::input("there is no message: ask something"));
        }
        let prompt = self.model.prompt(&request.messages)?;
        let window = self.window;
        let left = window.saturating_sub(prompt.len());
        if left == 0 {
            let tokens = prompt.len();
            return Err(Failure::context(format!(
                "the prompt is longer than the model's window: {tokens} tokens of {window}; ask with less, or set \
                 `context` higher if the model was made for more"
            )));
        }
        let wanted = request.max_tokens.unwrap_or(self.config.max_tokens).max(1) as usize;
        let sampler = request.sampler(self.model.inner().n_vocab())?;
        let answer = Answer::new(prompt, wanted.min(left), sampler, Stops::new(&request.stop));
        self.last_id += 1;
        self.answers.insert(self.last_id, answer);
        self.waiting.push_back(self.last_id);
        Ok(self.last_id)
    }

    /// What there is to be told of an answer, at most `max` events; none once it is over.
    ///
    /// # Errors
    /// Why it can't go on.
    pub fn next(&mut self, id: usize, max: usize) -> Result<&[Event], Failure> {
        if self.answers.get(&id).is_some_and(|answer| !answer.has_news()) {
            self.step();
        }
        let answer = self.answers.get_mut(&id).ok_or_else(|| Failure::internal("no such answer"))?;
        let done = answer.sequence().map_or(0, |sequence| self.sequences.tokens(sequence).len());
        answer.news(max, done)
    }

    /// The answer is over, or nobody wants it any more.
    pub fn end(&mut self, id: usize) {
        self.waiting.retain(|waiting| *waiting != id);
        if let Some(sequence) = self.answers.remove(&id).and_then(|answer| answer.sequence()) {
            self.sequences.release(sequence);
        }
    }

    /// Moves all answers on.
    fn step(&mut self) {
        self.admit();
        let outcome = self.filled().and_then(|parts| {
            let read: usize = parts.iter().map(|part| part.tokens.len()).sum();
            let began = Instant::now();
            self.session.decode()?;
            // The last row's numbers are fetched with the first token, which waits for all of it.
            Ok((parts, read, began))
        });
        match outcome {
            Ok((parts, read, began)) => {
                parts.into_iter().for_each(|part| self.computed(part));
                self.pace.measured(read, began.elapsed());
            }
            Err(failure) => self.fail_all(&failure),
        }
    }

    /// Gives sequences to those who wait, as far as there is room.
    fn admit(&mut self) {
        while let Some(id) = self.waiting.front().copied()
            && let Some(answer) = self.answers.get_mut(&id)
        {
            let reserved = answer.reserved();
            let Some(mut place) = self.sequences.place(&answer.prompt, reserved) else { return };
            let sequence = place.sequence;
            if place.source == sequence {
                if !self.session.keep(sequence, place.common) {
                    place.common = 0;
                }
            } else {
                self.session.keep(sequence, 0);
                self.session.share(place.source, sequence, place.common);
            }
            for forgotten in &place.forgotten {
                self.session.keep(*forgotten, 0);
            }
            self.sequences.take(&place, &answer.prompt, reserved);
            answer.phase = Phase::Reading { sequence };
            self.waiting.pop_front();
        }
    }

    /// Fills the batch: words first, then as much of the prompts as the pace allows.
    fn filled(&mut self) -> Result<Vec<Part>, Failure> {
        self.session.clear();
        let mut parts = Vec::new();
        for (id, answer) in &self.answers {
            if let Phase::Writing { sequence, last } = answer.phase {
                parts.push(Part { id: *id, sequence, tokens: vec![last], row: None });
            }
        }
        let mut room = self.pace.tokens().min(BATCH_MAX - parts.len());
        for (id, answer) in &self.answers {
            if let Phase::Reading { sequence } = answer.phase {
                let rest = &answer.prompt[self.sequences.tokens(sequence).len()..];
                let tokens = rest[..rest.len().min(room)].to_vec();
                room -= tokens.len();
                if !tokens.is_empty() {
                    parts.push(Part { id: *id, sequence, tokens, row: None });
                }
            }
        }
        for part in &mut parts {
            let from = self.sequences.tokens(part.sequence).len();
            let is_read = self
                .answers
                .get(&part.id)
                .is_some_and(|answer| from + part.tokens.len() >= answer.prompt.len());
            for (at, token) in part.tokens.iter().enumerate() {
                let asks = is_read && at + 1 == part.tokens.len();
                let row = self.session.add(*token, from + at, part.sequence, asks)?;
                part.row = asks.then_some(row);
            }
        }
        Ok(parts)
    }

    /// Notes what was computed, and chooses the next token.
    fn computed(&mut self, part: Part) {
        for token in part.tokens {
            self.sequences.push(part.sequence, token);
        }
        let (Some(row), Some(answer)) = (part.row, self.answers.get_mut(&part.id)) else { return };
        let token = self.session.sample(&mut answer.sampler, row);
        let vocab = self.model.inner().vocab();
        let bytes = (!vocab.is_eog(token)).then(|| vocab.token_to_piece(token, false, None));
        answer.take(part.sequence, token, bytes.as_deref());
        if answer.phase == Phase::Over {
            self.sequences.release(part.sequence);
        }
    }

    /// After a failure of llama.cpp nothing that it remembers counts.
    fn fail_all(&mut self, failure: &Failure) {
        for answer in self.answers.values_mut() {
            if answer.sequence().is_some() {
                answer.fail(failure.clone());
            }
        }
        for sequence in 0..self.config.parallel as usize {
            self.session.keep(sequence, 0);
            self.sequences.forget(sequence);
            self.sequences.release(sequence);
        }
    }
}

#[cfg(test)]
mod tests;
