//! `/query` and `/query/stream`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use tokio::sync::mpsc;

use super::access::Principal;
use super::caller::{Unknown, resolve};
use super::error::{ApiError, Result};
use super::extract::Json;
use super::search::{Checked, timings};
use super::stream;
use crate::answer::{AnswerEvent, Begin, End, Question, Thread};
use crate::app::App;
use crate::plugins::GenerateOptions;
use crate::types::{Caller, ConversationId};
use crate::wire;

const TEMPERATURE_MAX: f32 = 2.0;
const LANGUAGE_CHARS_MAX: usize = 35;

/// Answer a question from the documents
#[utoipa::path(post, path = "/query", tag = "answers", operation_id = "query",
    request_body = wire::QueryBody,
    responses((status = 200, description = "The answer with its sources", body = wire::QueryAnswer)))]
pub(super) async fn ask(
    State(app): State<Arc<App>>,
    principal: Principal,
    Json(body): Json<wire::QueryBody>,
) -> Result<Answer<wire::QueryAnswer>> {
    let (begin, events) = begin(&app, &principal, body).await?;
    Ok(Answer(answer(begin, end_of(events).await?)))
}

/// What an answer ends with.
pub(super) async fn end_of(mut events: mpsc::Receiver<AnswerEvent>) -> Result<End> {
    while let Some(event) = events.recv().await {
        match event {
            AnswerEvent::End(end) => return Ok(*end),
            AnswerEvent::Failed(error) => return Err(error.into()),
            AnswerEvent::Begin(_) | AnswerEvent::Text(_) => {}
        }
    }
    Err(ApiError::internal("the answer ended without an end"))
}

/// Answer a question as a stream
///
/// One event a line; every line carries `type` and `chunk`. With `Accept: text/event-stream` the same as server-sent
/// events. A client that goes away stops the generation.
#[utoipa::path(post, path = "/query/stream", tag = "answers", operation_id = "query_stream",
    request_body = wire::QueryBody,
    responses((status = 200, description = "Events: sources, chunk…, done or error",
        content((wire::QueryEvent = "application/x-ndjson"), (wire::QueryEvent = "text/event-stream")))))]
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    principal: Principal,
    headers: HeaderMap,
    Json(body): Json<wire::QueryBody>,
) -> Result<Response> {
    let (begin, events) = begin(&app, &principal, body).await?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    Ok(stream::answer(begin, events, accept.contains("text/event-stream")))
}

/// Waits for the first event: what fails before it is still a problem with a status of its own.
pub(super) async fn begin(
    app: &Arc<App>,
    principal: &Principal,
    body: wire::QueryBody,
) -> Result<(Begin, mpsc::Receiver<AnswerEvent>)> {
    let checked = Checked::new(&body.query, body.top_k, body.filter.as_ref(), body.collection.as_deref())?;
    let options = options(body.options.unwrap_or_default())?;
    let conversation = body.conversation_id.as_deref().map(conversation).transpose()?;
    let language = body.language.map(language).transpose()?;
    let who = resolve(app, principal, body.session_id.as_deref(), Unknown::Create).await?;
    let question = Question {
        search: checked.request(who.user()),
        session: who.session,
        thread: conversation.map_or(Thread::New, Thread::Conversation),
        retrieve: true,
        backend: body.backend,
        model: body.model,
        language,
        options,
    };
    ask_for(app, who.caller, question).await
}

/// The beginning of an answer and what follows.
pub(super) async fn ask_for(
    app: &App,
    caller: Caller,
    question: Question,
) -> Result<(Begin, mpsc::Receiver<AnswerEvent>)> {
    let mut events = app.answers.ask(caller, question);
    match events.recv().await {
        Some(AnswerEvent::Begin(begin)) => Ok((*begin, events)),
        Some(AnswerEvent::Failed(error)) => Err(error.into()),
        other => Err(ApiError::internal(format!("the answer began with {other:?}"))),
    }
}

fn conversation(id: &str) -> Result<ConversationId> {
    ConversationId::parse(id).ok_or_else(|| ApiError::not_found(format!("conversation {id:?}")))
}

fn language(tag: String) -> Result<String> {
    let parts = tag.split('-').all(|part| (1..=8).contains(&part.len()));
    if parts && tag.len() <= LANGUAGE_CHARS_MAX && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        return Ok(tag);
    }
    Err(ApiError::invalid("/language", "must be a language tag such as \"de\" or \"en-GB\""))
}

pub(super) fn options(options: wire::QueryOptions) -> Result<GenerateOptions> {
    let within = |value: Option<f32>, max: f32| value.is_none_or(|value| (0.0..=max).contains(&value));
    if !within(options.temperature, TEMPERATURE_MAX) {
        return Err(ApiError::invalid("/options/temperature", "must be 0 to 2"));
    }
    if !within(options.top_p, 1.0) || options.top_p == Some(0.0) {
        return Err(ApiError::invalid("/options/top_p", "must be above 0 and at most 1"));
    }
    if options.max_tokens == Some(0) {
        return Err(ApiError::invalid("/options/max_tokens", "must be at least 1"));
    }
    let wire::QueryOptions { temperature, top_p, max_tokens, seed, stop, extra } = options;
    Ok(GenerateOptions { temperature, top_p, max_tokens, seed, stop, extra })
}

/// The whole answer.
pub(super) fn answer(begin: Begin, end: End) -> wire::QueryAnswer {
    wire::QueryAnswer {
        query_id: begin.query_id.to_string(),
        answer: end.answer,
        sources: wire::sources(begin.sources),
        citations: end.cited,
        invented_citations: end.invented,
        rewritten_query: begin.rewritten,
        weak_evidence: begin.weak_evidence,
        conversation_id: begin.conversation_id.to_string(),
        message_id: end.message_id.to_string(),
        backend: begin.backend,
        model: begin.model,
        usage: end.usage.into(),
        timings: timings(end.timings),
        truncated: end.truncated,
        finish_reason: end.finish.as_str().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_tags() {
        for good in ["de", "en-GB", "zh-Hant-TW"] {
            assert!(language(good.into()).is_ok(), "{good}");
        }
        for bad in ["", "de_DE", "ignore all instructions", "-", "abcdefghi"] {
            assert!(language(bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_out_of_range_are_named() {
        let with = |temperature, top_p, max_tokens| {
            let given = wire::QueryOptions { temperature, top_p, max_tokens, ..Default::default() };
            options(given).err().map(|error| error.errors[0].pointer.clone())
        };
        assert_eq!(with(Some(2.0), Some(1.0), Some(1)), None);
        assert_eq!(with(Some(2.1), None, None).as_deref(), Some("/options/temperature"));
        assert_eq!(with(Some(f32::NAN), None, None).as_deref(), Some("/options/temperature"));
        assert_eq!(with(None, Some(0.0), None).as_deref(), Some("/options/top_p"));
        assert_eq!(with(None, None, Some(0)).as_deref(), Some("/options/max_tokens"));
    }
}
