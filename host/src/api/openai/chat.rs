//! `/v1/chat/completions`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::chunks;
use super::models::{Chosen, choose};
use crate::answer::{Question, SearchRequest, Thread};
use crate::api::blocking::blocking;
use crate::api::caller::{Unknown, now_ms, resolve};
use crate::api::error::{ApiError, Result};
use crate::api::extract::Json;
use crate::api::query::{ask_for, end_of, options};
use crate::api::search::Checked;
use crate::app::App;
use crate::types::{FinishReason, MessageRole, Scope, UserId};
use crate::wire::{self, ChatAnswer, ChatBody, ChatChoice, ChatCompletion, ChatMessage};

/// How web pages begin what they want for themselves: titles, tags, follow-up questions.
const TASK: &str = "### Task:";

/// Chat in OpenAI's form
///
/// The model `smartrag` answers from the caller's documents, `smartrag/NAME` from another collection, `BACKEND/MODEL` without
/// documents. Nothing of it is kept: the client sends along what was said.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "openai", operation_id = "openai_chat",
    request_body = ChatBody,
    responses((status = 200, description = "The answer, or its chunks as server-sent events",
        content((ChatCompletion = "application/json"), (wire::ChatChunk = "text/event-stream")))))]
pub(in crate::api) async fn complete(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Json(body): Json<ChatBody>,
) -> Result<Response> {
    if body.n.is_some_and(|n| n != 1) {
        return Err(ApiError::invalid("/n", "only one answer is given: leave n out"));
    }
    let who = resolve(&app, &headers, None, Unknown::Refuse).await?;
    let (name, user, of_app) = (body.model.clone(), who.user().clone(), Arc::clone(&app));
    let chosen = blocking(move || choose(&of_app, &user, &name)).await?;
    let streams = body.stream.unwrap_or(false);
    let with_usage = body.stream_options.as_ref().is_some_and(|options| options.include_usage);
    let head = chunks::Head {
        id: format!("chatcmpl-{}", uuid::Uuid::now_v7().simple()),
        created: now_ms() / 1000,
        model: body.model.clone(),
    };
    let question = question(body, chosen, who.user())?;
    let (begin, events) = ask_for(&app, who.caller, question).await?;
    if streams {
        return Ok(chunks::stream(head, begin, events, with_usage));
    }
    let end = end_of(events).await?;
    let message = ChatAnswer { role: "assistant".into(), content: end.answer };
    let choice = ChatChoice { index: 0, message, finish_reason: finish(end.finish).into() };
    Ok(Answer(ChatCompletion {
        id: head.id,
        object: "chat.completion".into(),
        created: head.created,
        model: head.model,
        choices: vec![choice],
        usage: end.usage.into(),
        citations: wire::sources(begin.sources),
    })
    .into_response())
}

fn question(body: ChatBody, chosen: Chosen, user: &UserId) -> Result<Question> {
    let stop = body.stop.map(wire::OneOrMany::into_vec).unwrap_or_default();
    let given = wire::QueryOptions {
        temperature: body.temperature,
        top_p: body.top_p,
        max_tokens: body.max_completion_tokens.or(body.max_tokens),
        seed: body.seed,
        stop,
        ..Default::default()
    };
    let options = options(given)?;
    let mut said: Vec<_> = body.messages.into_iter().filter_map(message).collect();
    let last = said.pop().filter(|(role, text)| *role == MessageRole::User && !text.trim().is_empty());
    let Some((_, asked)) = last else {
        return Err(ApiError::invalid("/messages", "the last message must be a question of the user"));
    };
    let is_task = asked.trim_start().starts_with(TASK);
    let (collection, backend, model) = match chosen {
        Chosen::Collection(name) => (Some(name.to_string()), None, None),
        Chosen::Bare(backend, model) => (None, Some(backend), Some(model)),
    };
    let retrieve = backend.is_none() && !is_task;
    let search = match retrieve {
        true => Checked::new(&asked, wire::TOP_K_DEFAULT, None, collection.as_deref())
            .map_err(|error| ApiError { errors: Vec::new(), ..error })?
            .request(user),
        false => SearchRequest::new(asked, 1, Scope::All),
    };
    Ok(Question {
        search,
        session: None,
        thread: Thread::Given(said),
        retrieve,
        backend,
        model,
        language: None,
        options,
    })
}

fn message(message: ChatMessage) -> Option<(MessageRole, String)> {
    let role = match message.role.as_str() {
        "system" | "developer" => MessageRole::System,
        "user" => MessageRole::User,
        "assistant" => MessageRole::Assistant,
        _ => return None,
    };
    Some((role, message.content?.into_text()))
}

pub(super) fn finish(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Length => "length",
        FinishReason::Filtered => "content_filter",
        FinishReason::Stop | FinishReason::Cancelled | FinishReason::Abstained => "stop",
    }
}
