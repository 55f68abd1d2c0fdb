//! One question: retrieve, fit, generate, persist.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::backends::Backend;
use super::cite::Citations;
use super::condense::{by_model, standalone};
use super::prompt::Material;
use super::retrieve::Clock;
use super::slots::Slot;
use super::templates::{Prompts, Use};
use super::usage::Note;
use super::{AnswerEvent, Begin, Core, End, Error, Question, Result, Thread, prompt};
use crate::plugins::{Cancel, GenerateEvent, GenerateRequest, Generation, Generator};
use crate::telemetry::metrics;
use crate::text;
use crate::types::*;

/// Messages of a conversation that a model gets to see.
const HISTORY_MAX: usize = 10;
/// Characters of the first question that become the conversation's title.
const TITLE_CHARS: usize = 60;
/// Tokens kept free for the answer when the request names no number.
const ANSWER_TOKENS: u32 = 512;
/// Tokens of what stands around a message or a passage.
const FRAME_TOKENS: u32 = 16;

/// For how long a server that is starting, or has too much to do, is asked again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two such questions at least.
const PAUSE_MIN_MS: u32 = 100;
/// How often is looked meanwhile whether somebody still waits.
const LOOK: Duration = Duration::from_millis(25);

/// What was asked, of whom, and after what.
#[derive(Clone, Copy)]
struct Asking<'a> {
    chain: &'a [Arc<Backend>],
    question: &'a Question,
    history: &'a [Message],
    prompts: &'a Prompts,
    cancel: &'a Cancel,
}

/// Everything that is decided before the first word.
struct Turn {
    /// `None` where nothing is kept.
    conversation: Option<Conversation>,
    /// Whether it begins with this turn.
    is_new: bool,
    /// Of the caller.
    since: Instant,
    question: Message,
    begin: Begin,
    truncated: bool,
}

/// What a generation brought.
struct Heard {
    answer: String,
    citations: Citations,
    usage: Usage,
    finish: Option<FinishReason>,
    /// Whether the caller said how many tokens the answer may have.
    is_limited: bool,
    interrupted: bool,
    failure: Option<PluginError>,
    /// Of an answer that is computed in this process.
    slot: Option<Slot>,
}

impl Core {
    /// Answers into `events`; a closed channel ends the generation.
    pub(super) fn ask(&self, caller: &Caller, question: Question, slot: Slot, events: &Sender<AnswerEvent>) {
        let mut note = Note::new(caller, QueryKind::Question, &question.search);
        let retrieve = question.retrieve;
        let result = self.answer(caller, question, slot, events, &mut note);
        metrics().query("answer", result.is_ok());
        if result.is_err() {
            note.ends(QueryOutcome::Failed);
        }
        // What is asked of a model alone is no query of the documents.
        if retrieve {
            self.usage.add(note);
        }
        // Whoever left noticed already; nobody is left to be told if this fails.
        let _ = events.blocking_send(match result {
            Ok(end) => AnswerEvent::End(Box::new(end)),
            Err(error) => AnswerEvent::Failed(error),
        });
    }

    fn answer(
        &self,
        caller: &Caller,
        question: Question,
        mut slot: Slot,
        events: &Sender<AnswerEvent>,
        note: &mut Note,
    ) -> Result<End> {
        let mut clock = Clock::start();
        let chain = self.backends.load().chain(question.backend.as_deref())?;
        let (conversation, history) = self.conversation(caller, &question)?;
        let (prompts, cancel) = (self.prompts.load_full(), when_closed(events));
        let asking = Asking {
            chain: &chain,
            question: &question,
            history: &history,
            prompts: &prompts,
            cancel: &cancel,
        };
        let mut search = question.search.clone();
        let mut found = Vec::new();
        if question.retrieve {
            search.query = asking.standalone(&mut slot);
            clock.lap("condense");
            found = self.passages(caller, &search, &mut slot, &mut clock)?;
        }
        let started = self.start(asking, &search.query, found, slot)?;
        clock.lap("prepare");
        let turn = Turn {
            question: message(MessageRole::User, question.search.query.clone(), JsonMap::new()),
            begin: Begin {
                query_id: QueryId::new(),
                conversation_id: conversation.as_ref().map_or_else(ConversationId::new, |kept| kept.id),
                sources: started.sources,
                rewritten: Some(search.query).filter(|query| *query != question.search.query),
                weak_evidence: started.weak,
                backend: started.backend.name.clone(),
                model: started.model,
            },
            conversation,
            is_new: matches!(question.thread, Thread::New),
            since: caller.since,
            truncated: started.truncated,
        };
        note.found(&turn.begin.sources);
        note.answered_by(turn.begin.query_id, &turn.begin.backend);
        let mut heard = match events.blocking_send(AnswerEvent::Begin(Box::new(turn.begin.clone()))) {
            Ok(()) => {
                let mut heard = Heard { slot: started.slot, ..Heard::new(&turn.begin) };
                heard.say(started.note, events);
                heard.is_limited = question.options.max_tokens.is_some();
                listen(heard, started.generation, started.backend.plugin(), events)
            }
            Err(_) => Heard { interrupted: true, ..Heard::new(&turn.begin) },
        };
        // What follows waits for the disk.
        heard.slot = None;
        // Whoever left before the end says nothing about the backend.
        if heard.failure.is_some() || !heard.interrupted {
            started.backend.note(heard.failure.as_ref());
        }
        clock.lap("generate");
        note.ends(match heard.finish {
            _ if heard.interrupted => QueryOutcome::Interrupted,
            Some(FinishReason::Abstained) => QueryOutcome::Abstained,
            _ => QueryOutcome::Answered,
        });
        self.finish(turn, heard, clock)
    }

    /// The conversation that the turn is kept in, and what was said before.
    fn conversation(
        &self,
        caller: &Caller,
        question: &Question,
    ) -> Result<(Option<Conversation>, Vec<Message>)> {
        match &question.thread {
            Thread::New => {}
            Thread::Conversation(id) => {
                let conversation = self.store.conversation(&caller.user, *id)?.ok_or(Error::NotFound)?;
                return Ok((Some(conversation), self.store.messages(&caller.user, *id, HISTORY_MAX)?));
            }
            Thread::Given(said) => return Ok((None, given(said, question.retrieve))),
        }
        let now = now();
        let conversation = Conversation {
            id: ConversationId::new(),
            user: caller.user.clone(),
            session: question.session.clone(),
            title: Some(title(&question.search.query)),
            metadata: JsonMap::new(),
            created_at: now,
            updated_at: now,
        };
        Ok((Some(conversation), Vec::new()))
    }

    /// The first backend of the chain that begins an answer. The last one gets some time if it is starting.
    #[tracing::instrument(name = "prepare", level = "debug", skip_all)]
    fn start(
        &self,
        asking: Asking<'_>,
        standalone: &str,
        found: Vec<Passage>,
        slot: Slot,
    ) -> Result<Started> {
        let mut slot = Some(slot);
        let Asking { chain, question, history, prompts, cancel } = asking;
        let asked = &question.search.query;
        let language = answer_language(question.language.as_deref(), asked, &found);
        let mut judged = None;
        let mut failure = None;
        for (at, backend) in chain.iter().enumerate() {
            let generator = match backend.generator() {
                Ok(generator) => generator,
                Err(error) => {
                    backend.note(Some(&error));
                    failure = failure.or(Some(error));
                    continue;
                }
            };
            let info = generator.info();
            // A generator that judges the sentences itself says it itself.
            let weak = question.retrieve
                && match info.wants_sentences {
                    true => found.is_empty(),
                    false => *judged.get_or_insert_with(|| self.is_weak(standalone, &found, cancel)),
                };
            let all = Material { language: &language, question: asked, passages: &found, history, weak };
            let fitting = match info.context_window.filter(|_| question.retrieve) {
                Some(window) => {
                    let room = window.saturating_sub(question.options.max_tokens.unwrap_or(ANSWER_TOKENS));
                    fit(generator.as_ref(), room, &all, prompts)?
                }
                None => all,
            };
            let request = GenerateRequest {
                model: question.model.clone(),
                question: standalone.to_owned(),
                language: language.clone(),
                messages: match question.retrieve {
                    true => fitting.messages(prompts)?,
                    false => prompt::plain(asked, history),
                },
                passages: self.evidence(standalone, fitting.passages, info.wants_sentences),
                options: question.options.clone(),
                cancel: cancel.clone(),
            };
            // A model takes its time, and mostly that of another process.
            slot = slot.filter(|_| info.wants_sentences && !backend.has_server());
            let patience = if at + 1 == chain.len() { PATIENCE } else { Duration::ZERO };
            match begin(generator.as_ref(), &request, patience) {
                Ok(generation) => {
                    let note = match weak && !info.wants_sentences {
                        true => fitting.render(prompts, Use::Weak)? + "\n\n",
                        false => String::new(),
                    };
                    return Ok(Started {
                        slot,
                        generation,
                        sources: fitting.passages.to_vec(),
                        truncated: fitting.passages.len() < found.len(),
                        weak,
                        note,
                        backend: backend.clone(),
                        model: question.model.clone().unwrap_or(info.model),
                    });
                }
                Err(error) => {
                    tracing::warn!(backend = backend.name, %error, "backend did not begin an answer");
                    backend.note(Some(&error));
                    failure = failure.or(Some(error));
                    if cancel.is_cancelled() {
                        break;
                    }
                }
            }
        }
        Err(failure.map_or_else(|| Error::UnknownBackend(String::new(), String::new()), Error::from))
    }

    /// Persists the turn; what the client is to be told then.
    #[tracing::instrument(name = "persist", level = "debug", skip_all)]
    fn finish(&self, turn: Turn, heard: Heard, clock: Clock) -> Result<End> {
        let answer = message(MessageRole::Assistant, heard.answer.clone(), facts(&turn, &heard));
        let message_id = answer.id;
        if let Some(conversation) = turn.conversation {
            let messages = [turn.question, answer];
            // One that was deleted meanwhile stays deleted.
            match turn.is_new {
                true => self.store.begin_conversation(&conversation, &messages, turn.since)?,
                false => self.store.append_messages(&conversation.user, conversation.id, &messages)?,
            }
        }
        if let Some(error) = heard.failure {
            return Err(error.into());
        }
        Ok(End {
            message_id,
            answer: heard.answer,
            usage: heard.usage,
            finish: heard.finish.unwrap_or(FinishReason::Stop),
            cited: heard.citations.cited(),
            invented: heard.citations.invented(),
            timings: clock.finish(),
            truncated: turn.truncated,
        })
    }
}

impl Asking<'_> {
    /// What to search for: the question, made to stand alone where there was something before it.
    #[tracing::instrument(name = "condense", level = "debug", skip_all)]
    fn standalone(self, slot: &mut Slot) -> String {
        let Self { chain, question, history, prompts, cancel } = self;
        let asked = &question.search.query;
        let follows = history.iter().any(|message| message.role == MessageRole::User);
        let first = chain.first().filter(|_| follows).and_then(|backend| backend.generator().ok());
        let language = answer_language(question.language.as_deref(), asked, &[]);
        let material = Material { language: &language, question: asked, passages: &[], history, weak: false };
        first
            .filter(|generator| generator.info().strong)
            .and_then(|generator| {
                let model = question.model.clone();
                slot.aside(|| by_model(generator.as_ref(), model, prompts, &material, cancel))
            })
            .unwrap_or_else(|| standalone(asked, history))
    }
}

/// What a client sent along; beside the documents there is room for the last of it only.
fn given(said: &[(MessageRole, String)], retrieve: bool) -> Vec<Message> {
    let (system, rest): (Vec<_>, Vec<_>) = said.iter().partition(|(role, _)| *role == MessageRole::System);
    let skipped = if retrieve { rest.len().saturating_sub(HISTORY_MAX) } else { 0 };
    let kept = system.into_iter().chain(rest.into_iter().skip(skipped));
    kept.map(|(role, content)| message(*role, content.clone(), JsonMap::new())).collect()
}

struct Started {
    /// Kept by what computes the answer here and now.
    slot: Option<Slot>,
    generation: Generation,
    sources: Vec<Passage>,
    truncated: bool,
    weak: bool,
    /// What the answer begins with.
    note: String,
    backend: Arc<Backend>,
    model: String,
}

/// Begins an answer; a server that says when it will be there is asked again until the patience ends.
fn begin(
    generator: &dyn Generator,
    request: &GenerateRequest,
    patience: Duration,
) -> std::result::Result<Generation, PluginError> {
    let until = Instant::now() + patience;
    loop {
        let error = match generator.generate(request) {
            Ok(generation) => return Ok(generation),
            Err(error) => error,
        };
        // Whoever finds no place in our own house is told at once.
        let is_starting = error.retryable && error.kind == FaultKind::Unavailable;
        let pause = error.retry_after_ms.filter(|_| is_starting);
        let Some(pause) = pause.map(|ms| Duration::from_millis(ms.max(PAUSE_MIN_MS).into())) else {
            return Err(error);
        };
        if Instant::now() + pause > until || !wait(pause, &request.cancel) {
            return Err(error);
        }
    }
}

/// False if nobody waits for the answer any more.
fn wait(pause: Duration, cancel: &Cancel) -> bool {
    let until = Instant::now() + pause;
    while !cancel.is_cancelled() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(LOOK));
    }
    false
}

/// Asks the generator to end once nobody listens, even while it waits for a server.
fn when_closed(events: &Sender<AnswerEvent>) -> Cancel {
    // Weak, lest the wait itself keep the channel open.
    let events = events.downgrade();
    Cancel::when(move || events.upgrade().is_none_or(|events| events.is_closed()))
}

/// Passes text on until the generation ends or fails, or the client is gone.
#[tracing::instrument(name = "generate", level = "debug", skip_all, fields(plugin))]
fn listen(mut heard: Heard, generation: Generation, plugin: &str, events: &Sender<AnswerEvent>) -> Heard {
    let note = heard.answer.len();
    for batch in generation {
        match batch {
            Ok(batch) => batch.into_iter().for_each(|event| heard.take(event, events)),
            Err(error) => heard.failure = Some(error),
        }
        heard.interrupted |= events.is_closed() || heard.failure.is_some();
        if heard.interrupted {
            return heard;
        }
    }
    let rest = heard.citations.end();
    heard.say(rest, events);
    heard.failure = heard.is_empty(note).then(|| nothing_said(plugin));
    heard
}

fn nothing_said(plugin: &str) -> PluginError {
    PluginError {
        plugin: plugin.to_owned(),
        kind: FaultKind::Upstream,
        message: "the model ended without a word: ask again, or try another model".into(),
        retryable: true,
        retry_after_ms: None,
    }
}

impl Heard {
    fn new(begin: &Begin) -> Self {
        Self {
            answer: String::new(),
            citations: Citations::new(begin.sources.len()),
            usage: Usage::default(),
            finish: None,
            is_limited: false,
            interrupted: false,
            failure: None,
            slot: None,
        }
    }

    /// An answer of no words behind the note is none, unless there is a reason for it.
    fn is_empty(&self, note: usize) -> bool {
        let reason = |finish| {
            matches!(finish, FinishReason::Abstained | FinishReason::Cancelled | FinishReason::Filtered)
        };
        // So few tokens were asked for that no word is whole.
        let is_cut = self.is_limited && self.finish == Some(FinishReason::Length);
        self.answer[note..].trim().is_empty() && !is_cut && !self.finish.is_some_and(reason)
    }

    fn say(&mut self, text: String, events: &Sender<AnswerEvent>) {
        if !text.is_empty() {
            self.answer.push_str(&text);
            // A closed channel is noticed behind the batch.
            if let Err(TrySendError::Full(event)) = events.try_send(AnswerEvent::Text(text)) {
                // Nobody else waits for a client that reads slowly.
                self.slot = None;
                let _ = events.blocking_send(event);
            }
        }
    }

    fn take(&mut self, event: GenerateEvent, events: &Sender<AnswerEvent>) {
        match event {
            GenerateEvent::Text(text) => {
                let text = self.citations.push(&text);
                self.say(text, events);
            }
            GenerateEvent::Reasoning(_) => {}
            GenerateEvent::Usage(usage) => self.usage = usage,
            GenerateEvent::Finish(reason) => self.finish = Some(reason),
        }
    }
}

/// As many of the passages, best first, and of the conversation, newest first, as there is room for, in tokens: the
/// conversation gets half of it at most, one passage stays in any case.
fn fit<'a>(
    generator: &dyn Generator,
    room: u32,
    all: &Material<'a>,
    prompts: &Prompts,
) -> Result<Material<'a>> {
    let fixed = Material { passages: &[], history: &[], ..*all }.messages(prompts)?;
    let fixed: Vec<&str> = fixed.iter().map(|(_, text)| text.as_str()).collect();
    let said = all.history.iter().map(|message| message.content.as_str());
    let found = all.passages.iter().map(|passage| passage.text.as_str());
    let texts: Vec<&str> = fixed.iter().copied().chain(said).chain(found).collect();
    // Whoever can't count now says so again when asked to answer.
    let Ok(tokens) = generator.count_tokens(&texts) else { return Ok(*all) };
    let (fixed, rest) = tokens.split_at(fixed.len().min(tokens.len()));
    let (said, found) = rest.split_at(all.history.len().min(rest.len()));
    let room = room.saturating_sub(fixed.iter().sum::<u32>() + FRAME_TOKENS);
    let (history, used) = as_many(said.iter().rev(), room / 2);
    let (passages, _) = as_many(found.iter(), room - used);
    let passages = passages.max(1).min(all.passages.len());
    let history = &all.history[all.history.len() - history..];
    Ok(Material { passages: &all.passages[..passages], history, ..*all })
}

/// How many of them go into so much room, and what they use of it.
fn as_many<'a>(tokens: impl Iterator<Item = &'a u32>, room: u32) -> (usize, u32) {
    let (mut count, mut used) = (0, 0);
    for tokens in tokens {
        let with = u32::saturating_add(used, tokens.saturating_add(FRAME_TOKENS));
        if with > room {
            break;
        }
        (count, used) = (count + 1, with);
    }
    (count, used)
}

/// The language asked for, else the question's own, else that of the best passage, else English.
pub(super) fn answer_language(asked: Option<&str>, question: &str, passages: &[Passage]) -> String {
    let of_passage = || passages.first().and_then(|passage| passage.language.clone());
    let of_question = || text::language(question).map(str::to_owned);
    asked.map(str::to_owned).or_else(of_question).or_else(of_passage).unwrap_or_else(|| "en".into())
}

/// What is kept with an answer.
fn facts(turn: &Turn, heard: &Heard) -> JsonMap {
    let source = |(passage, number): (&Passage, usize)| {
        json!({
            "citation": number, "document_id": passage.document.id.to_string(), "chunk_id": passage.chunk.to_string(),
            "filename": passage.document.filename, "page_number": passage.page.map(|page| page + 1),
        })
    };
    let sources: Vec<_> = turn.begin.sources.iter().zip(1..).map(source).collect();
    let facts = json!({
        "query_id": turn.begin.query_id.to_string(), "backend": turn.begin.backend, "model": turn.begin.model,
        "sources": sources, "finish": heard.finish.map(FinishReason::as_str), "interrupted": heard.interrupted,
        "citations": heard.citations.cited(), "invented_citations": heard.citations.invented(),
        "weak_evidence": turn.begin.weak_evidence,
        "usage": {"prompt_tokens": heard.usage.prompt_tokens, "completion_tokens": heard.usage.completion_tokens},
    });
    match facts {
        serde_json::Value::Object(map) => map,
        _ => JsonMap::new(),
    }
}

fn message(role: MessageRole, content: String, metadata: JsonMap) -> Message {
    Message { id: MessageId::new(), role, content, metadata, created_at: now() }
}

fn title(question: &str) -> String {
    let line = question.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TITLE_CHARS) {
        Some((at, _)) => format!("{}…", line[..at].trim_end()),
        None => line,
    }
}

fn now() -> TimestampMs {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_leaves_cancels() {
        let (events, heard) = tokio::sync::mpsc::channel(1);
        let cancel = when_closed(&events);
        assert!(!cancel.is_cancelled());
        drop(heard);
        assert!(cancel.is_cancelled());

        let (events, mut heard) = tokio::sync::mpsc::channel(1);
        let cancel = when_closed(&events);
        drop(events);
        assert!(heard.blocking_recv().is_none(), "the wait does not keep the channel open");
        assert!(cancel.is_cancelled());
    }
}
