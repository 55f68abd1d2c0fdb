//! One question: retrieve, fit, generate, persist.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc::Sender;

use super::backends::Backend;
use super::cite::Citations;
use super::condense::standalone;
use super::retrieve::Clock;
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

/// For how long a server that is starting, or has too much to do, is asked again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two such questions at least.
const PAUSE_MIN_MS: u32 = 100;
/// How often is looked meanwhile whether somebody still waits.
const LOOK: Duration = Duration::from_millis(25);

/// Everything that is decided before the first word.
struct Turn {
    /// `None` where nothing is kept.
    conversation: Option<Conversation>,
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
    interrupted: bool,
    failure: Option<PluginError>,
}

impl Core {
    /// Answers into `events`; a closed channel ends the generation.
    pub(super) fn ask(&self, caller: &Caller, question: Question, events: &Sender<AnswerEvent>) {
        let result = self.answer(caller, question, events);
        metrics().query("answer", result.is_ok());
        if let Err(error) = result {
            // Nobody is left to be told if this fails.
            let _ = events.blocking_send(AnswerEvent::Failed(error));
        }
    }

    fn answer(&self, caller: &Caller, question: Question, events: &Sender<AnswerEvent>) -> Result<()> {
        let mut clock = Clock::start();
        let chain = self.backends.load().chain(question.backend.as_deref())?;
        let (conversation, history) = self.conversation(caller, &question)?;
        let mut search = question.search.clone();
        let found = if question.retrieve {
            search.query = standalone(&question.search.query, &history);
            self.passages(caller, &search, &mut clock)?
        } else {
            Vec::new()
        };
        let cancel = when_closed(events);
        let started = self.start(&chain, &question, &search.query, &history, found, &cancel)?;
        clock.lap("prepare");
        let turn = Turn {
            question: message(MessageRole::User, question.search.query.clone(), JsonMap::new()),
            begin: Begin {
                query_id: QueryId::new(),
                conversation_id: conversation.as_ref().map_or_else(ConversationId::new, |kept| kept.id),
                sources: started.sources,
                rewritten: Some(search.query).filter(|query| *query != question.search.query),
                backend: started.backend.name.clone(),
                model: started.model,
            },
            conversation,
            truncated: started.truncated,
        };
        let heard = match events.blocking_send(AnswerEvent::Begin(Box::new(turn.begin.clone()))) {
            Ok(()) => listen(started.generation, &turn.begin, started.backend.plugin(), events),
            Err(_) => Heard { interrupted: true, ..Heard::new(&turn.begin) },
        };
        // Whoever left before the end says nothing about the backend.
        if heard.failure.is_some() || !heard.interrupted {
            started.backend.note(heard.failure.as_ref());
        }
        clock.lap("generate");
        self.finish(turn, heard, clock, events)
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
    fn start(
        &self,
        chain: &[Arc<Backend>],
        question: &Question,
        standalone: &str,
        history: &[Message],
        found: Vec<Passage>,
        cancel: &Cancel,
    ) -> Result<Started> {
        let language = answer_language(question.language.as_deref(), &question.search.query, &found);
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
            let window = info.context_window;
            let (sources, truncated) = fit(generator.as_ref(), window, question, found.clone());
            let context = prompt::context(&sources);
            let request = GenerateRequest {
                model: question.model.clone(),
                question: standalone.to_owned(),
                language: language.clone(),
                messages: match question.retrieve {
                    true => prompt::messages(&language, &question.search.query, &context, history),
                    false => prompt::plain(&question.search.query, history),
                },
                passages: self.evidence(standalone, &sources, info.wants_sentences),
                options: question.options.clone(),
                cancel: cancel.clone(),
            };
            let patience = if at + 1 == chain.len() { PATIENCE } else { Duration::ZERO };
            match begin(generator.as_ref(), &request, patience) {
                Ok(generation) => {
                    let model = question.model.clone().unwrap_or(info.model);
                    let backend = backend.clone();
                    return Ok(Started { generation, sources, truncated, backend, model });
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

    /// Persists the turn, then tells the client.
    fn finish(&self, turn: Turn, heard: Heard, clock: Clock, events: &Sender<AnswerEvent>) -> Result<()> {
        let answer = message(MessageRole::Assistant, heard.answer.clone(), facts(&turn, &heard));
        let message_id = answer.id;
        if let Some(conversation) = turn.conversation {
            let conversation = Conversation { updated_at: answer.created_at, ..conversation };
            self.store.append_turn(&conversation, &[turn.question, answer])?;
        }
        if let Some(error) = heard.failure {
            return Err(error.into());
        }
        let end = End {
            message_id,
            answer: heard.answer,
            usage: heard.usage,
            finish: heard.finish.unwrap_or(FinishReason::Stop),
            cited: heard.citations.cited(),
            invented: heard.citations.invented(),
            timings: clock.finish(),
            truncated: turn.truncated,
        };
        // A client that went away was noticed already.
        let _ = events.blocking_send(AnswerEvent::End(Box::new(end)));
        Ok(())
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
    generation: Generation,
    sources: Vec<Passage>,
    truncated: bool,
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
fn listen(generation: Generation, begin: &Begin, plugin: &str, events: &Sender<AnswerEvent>) -> Heard {
    let mut heard = Heard::new(begin);
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
    heard.failure = heard.is_empty().then(|| nothing_said(plugin));
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
            interrupted: false,
            failure: None,
        }
    }

    /// An answer of no words is none, unless there is a reason for it.
    fn is_empty(&self) -> bool {
        let reason = |finish| {
            matches!(finish, FinishReason::Abstained | FinishReason::Cancelled | FinishReason::Filtered)
        };
        self.answer.trim().is_empty() && !self.finish.is_some_and(reason)
    }

    fn say(&mut self, text: String, events: &Sender<AnswerEvent>) {
        if !text.is_empty() {
            self.answer.push_str(&text);
            // A closed channel is noticed behind the batch.
            let _ = events.blocking_send(AnswerEvent::Text(text));
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

/// As many passages, best first, as the model's window has room for; at least one.
fn fit(
    generator: &dyn Generator,
    window: Option<u32>,
    question: &Question,
    mut found: Vec<Passage>,
) -> (Vec<Passage>, bool) {
    let Some(window) = window else { return (found, false) };
    let room = window.saturating_sub(question.options.max_tokens.unwrap_or(ANSWER_TOKENS));
    let fixed = prompt::enhanced("en", &question.search.query, "");
    let mut texts = vec![fixed.as_str()];
    texts.extend(found.iter().map(|passage| passage.text.as_str()));
    // Whoever can't count now says so again when asked to answer.
    let Ok(tokens) = generator.count_tokens(&texts) else { return (found, false) };
    let mut used: u32 = 0;
    let fitting = tokens.iter().take_while(|tokens| {
        used = used.saturating_add(tokens.saturating_add(16));
        used <= room
    });
    let keep = fitting.count().saturating_sub(1).max(1);
    let truncated = keep < found.len();
    found.truncate(keep);
    (found, truncated)
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
