//! `/conversations`

use std::fmt::Write;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::access::Principal;
use super::blocking::blocking;
use super::caller::{Unknown, UserParams, Who, now_ms, resolve, session_id};
use super::cursor;
use super::error::{ApiError, Result};
use super::etag;
use super::extract::{Json, NamePath, Query};
use super::router::PREFIX;
use super::sessions::title;
use crate::app::App;
use crate::store::Slice;
use crate::types::{Conversation, ConversationId, Message, MessageId, MessageRole};
use crate::wire;

/// Messages that come with a conversation.
const MESSAGES_MAX: usize = 200;
/// Cursors of messages.
const MESSAGES: &str = "messages";

/// Which conversations to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Only those of this session, which also names the user.
    #[param(value_type = Option<wire::texts::SessionId>, inline)]
    session_id: Option<String>,
    /// Items at most, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// From the page before.
    cursor: Option<String>,
}

/// How many messages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MessageParams {
    /// The last so many, 1 to 200; 50 where left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// From the page before: those that were said before it.
    cursor: Option<String>,
    /// Names the user by one of its sessions.
    #[param(value_type = Option<wire::texts::SessionId>, inline)]
    session_id: Option<String>,
}

/// In which form.
#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    Json,
    Markdown,
}

/// In which form.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportParams {
    /// `json`, or `markdown` for people.
    #[param(inline)]
    format: Option<Format>,
    /// Names the user by one of its sessions.
    #[param(value_type = Option<wire::texts::SessionId>, inline)]
    session_id: Option<String>,
}

/// Begin a conversation
#[utoipa::path(post, path = "/conversations", tag = "conversations", operation_id = "create_conversation",
    request_body = wire::ConversationCreate,
    responses((status = 201, description = "The conversation", body = wire::Conversation,
        headers(("location" = String, description = "Where it is found")))))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    principal: Principal,
    Json(body): Json<wire::ConversationCreate>,
) -> Result<impl IntoResponse> {
    let who = resolve(&app, &principal, body.session_id.as_deref(), Unknown::Create).await?;
    let now = now_ms();
    let conversation = Conversation {
        id: ConversationId::new(),
        user: who.user().clone(),
        session: who.session,
        title: body.title.map(title).transpose()?,
        metadata: body.metadata.unwrap_or_default(),
        created_at: now,
        updated_at: now,
    };
    let stored = conversation.clone();
    blocking(move || app.store.begin_conversation(&stored, &[], principal.since)).await?;
    let place = format!("{PREFIX}/conversations/{}", conversation.id);
    let location: [(HeaderName, String); 1] = [(header::LOCATION, place)];
    Ok((StatusCode::CREATED, location, Answer(wire::Conversation::from(conversation))))
}

/// List the user's conversations, newest first
#[utoipa::path(get, path = "/conversations", tag = "conversations", operation_id = "list_conversations",
    params(ListParams),
    responses((status = 200, description = "Conversations", body = wire::List<wire::Conversation>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    principal: Principal,
    Query(params): Query<ListParams>,
) -> Result<Answer<wire::List<wire::Conversation>>> {
    let limit = cursor::limit(params.limit)?;
    let after = params.cursor.map(|text| cursor::decode("conversations", &text)).transpose()?;
    let after = after.map(|id| ConversationId::parse(&id).ok_or_else(cursor::invalid)).transpose()?;
    let session = params.session_id.as_deref().map(session_id).transpose()?;
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    let slice = blocking(move || app.store.conversations(who.user(), session.as_ref(), after, limit)).await?;
    let position = |conversation: &Conversation| conversation.id.to_string();
    Ok(Answer(cursor::page(slice.items, slice.more, "conversations", position, Into::into)))
}

/// Show a conversation with its last messages
#[utoipa::path(get, path = "/conversations/{id}", tag = "conversations", operation_id = "get_conversation",
    params(("id" = String, Path, format = "uuid", description = "Its id"), UserParams,
        ("If-None-Match" = Option<String>, Header, description = "Only if it has none of these tags")),
    responses((status = 200, description = "The conversation", body = wire::WholeConversation,
        headers(("etag" = String, description = "For `If-Match` and `If-None-Match`"))),
        (status = 304, description = "It is as `If-None-Match` says")))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    principal: Principal,
    NamePath(id): NamePath,
    Query(params): Query<UserParams>,
) -> Result<Response> {
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    let (conversation, messages) = blocking(move || whole(&app, &who, &id, MESSAGES_MAX)).await?;
    Ok(etag::tagged(&headers, wire_of(conversation, messages)))
}

/// Change title or metadata of a conversation
///
/// With `If-Match` only while it is as it was read.
#[utoipa::path(patch, path = "/conversations/{id}", tag = "conversations", operation_id = "change_conversation",
    params(("id" = String, Path, format = "uuid", description = "Its id"), UserParams,
        ("If-Match" = Option<String>, Header, description = "Only while it has one of these tags")),
    request_body = wire::ConversationPatch,
    responses((status = 200, description = "The changed conversation", body = wire::Conversation),
        (status = 412, description = "`precondition_failed`: it was changed since it was read")))]
pub(super) async fn change(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    principal: Principal,
    NamePath(id): NamePath,
    Query(params): Query<UserParams>,
    Json(body): Json<wire::ConversationPatch>,
) -> Result<Answer<wire::Conversation>> {
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    let changed = blocking(move || {
        etag::guarded(
            &headers,
            || state(&app, &who, &id),
            || {
                let mut conversation = find(&app, &who, &id)?;
                if let Some(changed) = body.title {
                    conversation.title = changed.map(title).transpose()?;
                }
                conversation.metadata = body.metadata.unwrap_or(conversation.metadata);
                app.store.update_conversation(&conversation)?;
                Ok::<_, ApiError>(conversation)
            },
        )
    });
    Ok(Answer(changed.await?.into()))
}

/// What the tag of a conversation is made from: all that its reader saw. Blocks.
fn state(app: &App, who: &Who, id: &str) -> Result<wire::WholeConversation> {
    let (conversation, messages) = whole(app, who, id, MESSAGES_MAX)?;
    Ok(wire_of(conversation, messages))
}

/// Delete a conversation
///
/// With `If-Match` only while it is as it was read.
#[utoipa::path(delete, path = "/conversations/{id}", tag = "conversations", operation_id = "delete_conversation",
    params(("id" = String, Path, format = "uuid", description = "Its id"), UserParams,
        ("If-Match" = Option<String>, Header, description = "Only while it has one of these tags")),
    responses((status = 204, description = "It is gone"),
        (status = 412, description = "`precondition_failed`: it was changed since it was read")))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    principal: Principal,
    NamePath(id): NamePath,
    Query(params): Query<UserParams>,
) -> Result<StatusCode> {
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    let is_gone = blocking(move || {
        let parsed = parse(&id)?;
        etag::guarded(
            &headers,
            || state(&app, &who, &id),
            || match app.store.delete_conversation(who.user(), parsed)? {
                true => Ok(()),
                false => Err(unknown(&id)),
            },
        )
    });
    is_gone.await.map(|()| StatusCode::NO_CONTENT)
}

/// Add a message to a conversation
///
/// For what was said elsewhere; `/query` adds its own. It counts as said in the questions that follow.
#[utoipa::path(post, path = "/conversations/{id}/messages", tag = "conversations", operation_id = "add_message",
    params(("id" = String, Path, format = "uuid", description = "Its id"), UserParams), request_body = wire::MessageCreate,
    responses((status = 201, description = "The message", body = wire::Message)))]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(id): NamePath,
    Query(params): Query<UserParams>,
    Json(body): Json<wire::MessageCreate>,
) -> Result<impl IntoResponse> {
    let expected = || ApiError::invalid("/role", "must be user, assistant or system");
    let role = MessageRole::parse(&body.role).ok_or_else(expected)?;
    if body.content.trim().is_empty() {
        return Err(ApiError::invalid("/content", "must not be empty"));
    }
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    let message = Message {
        id: MessageId::new(),
        role,
        content: body.content,
        metadata: body.metadata.unwrap_or_default(),
        created_at: now_ms(),
    };
    let stored = message.clone();
    blocking(move || {
        let conversation = find(&app, &who, &id)?.id;
        app.store.append_messages(who.user(), conversation, &[stored]).map_err(ApiError::from)
    })
    .await?;
    Ok((StatusCode::CREATED, Answer(wire::Message::from(message))))
}

/// List the last messages of a conversation, oldest first
///
/// The next page has those before them.
#[utoipa::path(get, path = "/conversations/{id}/messages", tag = "conversations", operation_id = "list_messages",
    params(("id" = String, Path, format = "uuid", description = "Its id"), MessageParams),
    responses((status = 200, description = "Messages", body = wire::List<wire::Message>)))]
pub(super) async fn messages(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(id): NamePath,
    Query(params): Query<MessageParams>,
) -> Result<Answer<wire::List<wire::Message>>> {
    let limit = cursor::limit(params.limit)?;
    let before = params.cursor.map(|text| position(&text)).transpose()?.unwrap_or(u64::MAX);
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    let page = blocking(move || {
        let conversation = find(&app, &who, &id)?.id;
        Ok::<_, ApiError>(app.store.messages_before(who.user(), conversation, before, limit)?)
    });
    let Slice { items, more } = page.await?;
    let position = |(position, _): &(u64, Message)| position.to_string();
    let mut page = cursor::page(items, more, MESSAGES, position, |(_, message)| message.into());
    page.items.reverse();
    Ok(Answer(page))
}

/// Export a conversation
#[utoipa::path(get, path = "/conversations/{id}/export", tag = "conversations", operation_id = "export_conversation",
    params(("id" = String, Path, format = "uuid", description = "Its id"), ExportParams),
    responses((status = 200, description = "All of it, as an attachment",
        content((wire::WholeConversation = "application/json"), (String = "text/markdown")))))]
pub(super) async fn export(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(id): NamePath,
    Query(params): Query<ExportParams>,
) -> Result<Response> {
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    let (conversation, messages) = blocking(move || whole(&app, &who, &id, usize::MAX)).await?;
    let name = format!("conversation-{}", conversation.id);
    let whole = wire_of(conversation, messages);
    let attachment =
        |extension| (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.{extension}\""));
    Ok(match params.format.unwrap_or(Format::Json) {
        Format::Json => ([attachment("json")], Answer(whole)).into_response(),
        Format::Markdown => {
            let kind = (header::CONTENT_TYPE, "text/markdown; charset=utf-8".to_owned());
            ([attachment("md"), kind], markdown(&whole)).into_response()
        }
    })
}

/// For people: who said what, with the sources of each answer.
fn markdown(whole: &wire::WholeConversation) -> String {
    let conversation = &whole.conversation;
    let mut text = format!("# {}\n", conversation.title.as_deref().unwrap_or("Conversation"));
    for message in &whole.messages {
        // Writing into a String does not fail.
        let _ = write!(text, "\n## {}, {}\n\n{}\n", message.role, message.created_at, message.content.trim());
        let sources = message.metadata.get("sources").and_then(|sources| sources.as_array());
        for (at, source) in sources.into_iter().flatten().enumerate() {
            let gap = if at == 0 { "\n" } else { "" };
            let _ = writeln!(text, "{gap}- {}", wire::source_line(source));
        }
    }
    text
}

fn wire_of(conversation: Conversation, messages: Vec<Message>) -> wire::WholeConversation {
    wire::WholeConversation {
        conversation: conversation.into(),
        messages: messages.into_iter().map(Into::into).collect(),
    }
}

fn whole(app: &App, who: &Who, id: &str, limit: usize) -> Result<(Conversation, Vec<Message>)> {
    let conversation = find(app, who, id)?;
    let messages = app.store.messages(who.user(), conversation.id, limit)?;
    Ok((conversation, messages))
}

/// Before which message a page ends.
fn position(text: &str) -> Result<u64> {
    cursor::decode(MESSAGES, text)?.parse().map_err(|_| cursor::invalid())
}

/// The caller's; what is somebody else's is not there.
fn find(app: &App, who: &Who, id: &str) -> Result<Conversation> {
    app.store.conversation(who.user(), parse(id)?)?.ok_or_else(|| unknown(id))
}

fn parse(id: &str) -> Result<ConversationId> {
    ConversationId::parse(id).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> ApiError {
    ApiError::not_found(format!("conversation {id:?}"))
}
