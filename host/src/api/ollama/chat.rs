//! `/api/chat`, `/api/generate`

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc;

use super::said;
use crate::answer::{AnswerEvent, Begin, End};
use crate::api::access::Principal;
use crate::api::chats::{self, Chat};
use crate::api::error::{ApiError, Result};
use crate::api::extract::LooseJson;
use crate::api::query::{ask_for, end_of};
use crate::api::stream::{log_failure, ndjson, unbuffered};
use crate::app::App;
use crate::types::{FinishReason, MessageRole};
use crate::wire::{
    self, OllamaAnswer, OllamaChatBody, OllamaEnd, OllamaFailure, OllamaGenerateBody, OllamaMessage,
    OllamaOptions,
};

/// Chat in Ollama's form
///
/// The model `smartrag` answers from the caller's documents, `smartrag/NAME` from another collection, `BACKEND/MODEL` without
/// documents. Nothing of it is kept: the client sends along what was said.
#[utoipa::path(post, path = "/api/chat", tag = "ollama", operation_id = "ollama_chat", request_body = OllamaChatBody,
    responses((status = 200, description = "The answer, or its pieces one a line",
        content((OllamaAnswer = "application/x-ndjson"), (OllamaAnswer = "application/json"))),
        (status = 404, description = "`model_not_found`: there is no such model")))]
pub(in crate::api) async fn chat(
    State(app): State<Arc<App>>,
    principal: Principal,
    LooseJson(body): LooseJson<OllamaChatBody>,
) -> Result<Response> {
    let shape = Shape::new(body.model.clone(), true);
    if body.messages.is_empty() {
        return is_there(&app, &principal, shape).await;
    }
    if body.messages.iter().any(|message| message.images.as_ref().is_some_and(|images| !images.is_empty())) {
        return Err(images());
    }
    let messages = body.messages.into_iter().filter_map(message).collect();
    let chat = Chat { model: body.model, messages, options: options(body.options) };
    answer(app, principal, chat, shape, body.stream).await
}

/// Ask once in Ollama's form
#[utoipa::path(post, path = "/api/generate", tag = "ollama", operation_id = "ollama_generate",
    request_body = OllamaGenerateBody,
    responses((status = 200, description = "The answer, or its pieces one a line",
        content((OllamaAnswer = "application/x-ndjson"), (OllamaAnswer = "application/json"))),
        (status = 404, description = "`model_not_found`: there is no such model")))]
pub(in crate::api) async fn generate(
    State(app): State<Arc<App>>,
    principal: Principal,
    LooseJson(body): LooseJson<OllamaGenerateBody>,
) -> Result<Response> {
    let shape = Shape::new(body.model.clone(), false);
    if body.prompt.is_empty() {
        return is_there(&app, &principal, shape).await;
    }
    if body.images.is_some_and(|images| !images.is_empty()) {
        return Err(images());
    }
    let system = body.system.map(|system| (MessageRole::System, system));
    let messages = system.into_iter().chain([(MessageRole::User, body.prompt)]).collect();
    let chat = Chat { model: body.model, messages, options: options(body.options) };
    answer(app, principal, chat, shape, body.stream).await
}

async fn answer(
    app: Arc<App>,
    principal: Principal,
    chat: Chat,
    shape: Shape,
    stream: Option<bool>,
) -> Result<Response> {
    let (who, question) = chats::question(&app, &principal, chat).await?;
    let (begin, events) = ask_for(&app, who.caller, question).await?;
    if stream.unwrap_or(true) {
        return Ok(unbuffered(ndjson(lines(Streamed { shape, begin, events, first: None, is_over: false }))));
    }
    let end = end_of(events).await?;
    let text = end.answer.clone();
    Ok(Answer(shape.last(text, begin, &end, None)).into_response())
}

/// Clients ask without a question to have a model loaded.
async fn is_there(app: &Arc<App>, principal: &Principal, shape: Shape) -> Result<Response> {
    chats::model(app, principal, &shape.model).await?;
    let mut answer = shape.piece(String::new());
    answer.done = true;
    answer.end = Some(shape.end("load"));
    Ok(Answer(answer).into_response())
}

/// How the answer to one question looks.
struct Shape {
    model: String,
    is_chat: bool,
    began: Instant,
}

impl Shape {
    fn new(model: String, is_chat: bool) -> Self {
        Self { model, is_chat, began: Instant::now() }
    }

    fn piece(&self, text: String) -> OllamaAnswer {
        let (message, response) = match self.is_chat {
            true => (Some(OllamaMessage { role: "assistant".into(), content: text, images: None }), None),
            false => (None, Some(text)),
        };
        OllamaAnswer {
            model: self.model.clone(),
            created_at: jiff::Timestamp::now().to_string(),
            message,
            response,
            done: false,
            end: None,
        }
    }

    fn end(&self, reason: &str) -> OllamaEnd {
        OllamaEnd {
            done_reason: reason.into(),
            total_duration: nanoseconds(self.began.elapsed()),
            load_duration: 0,
            prompt_eval_count: 0,
            prompt_eval_duration: 0,
            eval_count: 0,
            eval_duration: 0,
            citations: Vec::new(),
        }
    }

    fn last(&self, text: String, begin: Begin, end: &End, first: Option<Instant>) -> OllamaAnswer {
        let reason = if end.finish == FinishReason::Length { "length" } else { "stop" };
        let first = first.unwrap_or_else(Instant::now);
        OllamaAnswer {
            done: true,
            end: Some(OllamaEnd {
                prompt_eval_count: end.usage.prompt_tokens,
                prompt_eval_duration: nanoseconds(first.saturating_duration_since(self.began)),
                eval_count: end.usage.completion_tokens,
                eval_duration: nanoseconds(first.elapsed()),
                citations: wire::sources(begin.sources),
                ..self.end(reason)
            }),
            ..self.piece(text)
        }
    }
}

/// A line of a streamed answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Answer(Box<OllamaAnswer>),
    Failure(OllamaFailure),
}

/// Dropping it ends the generation.
struct Streamed {
    shape: Shape,
    begin: Begin,
    events: mpsc::Receiver<AnswerEvent>,
    /// When the first word came.
    first: Option<Instant>,
    is_over: bool,
}

fn lines(answer: Streamed) -> impl stream::Stream<Item = Line> + Send + 'static {
    stream::unfold(answer, |mut answer| async move {
        let line = answer.next().await?;
        Some((line, answer))
    })
}

impl Streamed {
    async fn next(&mut self) -> Option<Line> {
        if self.is_over {
            return None;
        }
        loop {
            match self.events.recv().await {
                Some(AnswerEvent::Begin(_)) => {}
                Some(AnswerEvent::Text(text)) => {
                    self.first.get_or_insert_with(Instant::now);
                    return Some(Line::Answer(Box::new(self.shape.piece(text))));
                }
                Some(AnswerEvent::End(end)) => {
                    self.is_over = true;
                    let last = self.shape.last(String::new(), self.begin.clone(), &end, self.first);
                    return Some(Line::Answer(Box::new(last)));
                }
                Some(AnswerEvent::Failed(error)) => return self.fail(&error.into()),
                None => return self.fail(&ApiError::internal("the answer ended without an end")),
            }
        }
    }

    /// The status is sent already: the failure becomes the last line, and a line in the log.
    fn fail(&mut self, error: &ApiError) -> Option<Line> {
        log_failure(error);
        self.is_over = true;
        Some(Line::Failure(said(error)))
    }
}

fn options(options: OllamaOptions) -> wire::QueryOptions {
    wire::QueryOptions {
        temperature: options.temperature,
        top_p: options.top_p,
        // Negative ones mean that there is no bound.
        max_tokens: options.num_predict.and_then(|count| u32::try_from(count).ok()),
        seed: options.seed.and_then(|seed| u64::try_from(seed).ok()),
        stop: options.stop.map(wire::OneOrMany::into_vec).unwrap_or_default(),
        ..Default::default()
    }
}

fn message(message: OllamaMessage) -> Option<(MessageRole, String)> {
    MessageRole::parse(&message.role).map(|role| (role, message.content))
}

fn images() -> ApiError {
    ApiError::invalid("/images", "images can't be read here: send text")
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
