//! `/v1/chat/completions`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::chunks;
use crate::api::access::Principal;
use crate::api::caller::now_ms;
use crate::api::chats::{self, Chat};
use crate::api::error::{ApiError, Result};
use crate::api::extract::Json;
use crate::api::query::{ask_for, end_of};
use crate::app::App;
use crate::types::{FinishReason, MessageRole};
use crate::wire::{self, ChatAnswer, ChatBody, ChatChoice, ChatCompletion, ChatMessage};

/// Chat in OpenAI's form
///
/// The model `smartrag` answers from the caller's documents, `smartrag/NAME` from another collection, `BACKEND/MODEL` without
/// documents. Nothing of it is kept: the client sends along what was said.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "openai", operation_id = "openai_chat",
    request_body = ChatBody,
    responses((status = 200, description = "The answer, or its chunks as server-sent events",
        content((ChatCompletion = "application/json"), (wire::ChatChunk = "text/event-stream"))),
        (status = 404, description = "`model_not_found`: there is no such model")))]
pub(in crate::api) async fn complete(
    State(app): State<Arc<App>>,
    principal: Principal,
    Json(body): Json<ChatBody>,
) -> Result<Response> {
    if body.n.is_some_and(|n| n != 1) {
        return Err(ApiError::invalid("/n", "only one answer is given: leave n out"));
    }
    let streams = body.stream.unwrap_or(false);
    let with_usage = body.stream_options.as_ref().is_some_and(|options| options.include_usage);
    let head = chunks::Head {
        id: format!("chatcmpl-{}", uuid::Uuid::now_v7().simple()),
        created: now_ms() / 1000,
        model: body.model.clone(),
    };
    let (who, question) = chats::question(&app, &principal, chat(body)).await?;
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

fn chat(body: ChatBody) -> Chat {
    let options = wire::QueryOptions {
        temperature: body.temperature,
        top_p: body.top_p,
        max_tokens: body.max_completion_tokens.or(body.max_tokens),
        seed: body.seed,
        stop: body.stop.map(wire::OneOrMany::into_vec).unwrap_or_default(),
        ..Default::default()
    };
    let messages = body.messages.into_iter().filter_map(message).collect();
    Chat { model: body.model, messages, options }
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
