use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::access::Principal;
use crate::api::blocking::blocking;
use crate::api::caller::{Unknown, UserParams, Who, resolve};
use crate::api::collections::why_unchangeable;
use crate::api::cursor;
use crate::api::error::{ApiError, Result};
use crate::api::etag;
use crate::api::extract::{DocumentPath, Query};
use crate::app::App;
use crate::store::Store;
use crate::types::{Chunk, Document, DocumentId, UserId};
use crate::wire;

/// Which chunks.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ChunkListParams {
    /// Names the user by one of its sessions.
    #[param(value_type = Option<wire::texts::SessionId>, inline)]
    session_id: Option<String>,
    /// Items at most, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// From the page before.
    cursor: Option<String>,
}

/// Show a document
#[utoipa::path(get, path = "/documents/{id}", tag = "documents", operation_id = "get_document",
    params(("id" = String, Path, format = "uuid", description = "Its id"), UserParams,
        ("If-None-Match" = Option<String>, Header, description = "Only if it has none of these tags")),
    responses((status = 200, description = "The document", body = wire::DocumentRecord,
        headers(("etag" = String, description = "For `If-Match` and `If-None-Match`"))),
        (status = 304, description = "It is as `If-None-Match` says")))]
pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    principal: Principal,
    DocumentPath(id): DocumentPath,
    Query(params): Query<UserParams>,
) -> Result<Response> {
    let who = who(&app, &principal, params).await?;
    let document = blocking(move || find(&app.store, who.user(), id)).await?;
    Ok(etag::tagged(&headers, wire::DocumentRecord::from(document)))
}

/// Show a document's normalised text, into which all offsets point
#[utoipa::path(get, path = "/documents/{id}/text", tag = "documents", operation_id = "get_document_text",
    params(("id" = String, Path, format = "uuid", description = "Its id"), UserParams),
    responses((status = 200, description = "The text", body = String, content_type = "text/plain"),
        (status = 409, description = "`conflict`: it has no text, or none yet")))]
pub(in crate::api) async fn text(
    State(app): State<Arc<App>>,
    principal: Principal,
    DocumentPath(id): DocumentPath,
    Query(params): Query<UserParams>,
) -> Result<impl IntoResponse> {
    let who = who(&app, &principal, params).await?;
    let text = blocking(move || {
        let document = find(&app.store, who.user(), id)?;
        app.store.text(who.user(), id)?.ok_or_else(|| no_text(&document))
    });
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, text.await?))
}

fn no_text(document: &Document) -> ApiError {
    let detail = match &document.error {
        Some(error) => format!("the document has no text because it failed: {}", error.detail),
        None => format!("the document has no text yet: it is {}", document.status.as_str()),
    };
    ApiError::new(StatusCode::CONFLICT, "conflict", detail)
}

/// List a document's chunks in order
#[utoipa::path(get, path = "/documents/{id}/chunks", tag = "documents", operation_id = "list_chunks",
    params(("id" = String, Path, format = "uuid", description = "Its id"), ChunkListParams),
    responses((status = 200, description = "Chunks", body = wire::List<wire::ChunkRecord>)))]
pub(in crate::api) async fn chunks(
    State(app): State<Arc<App>>,
    principal: Principal,
    DocumentPath(id): DocumentPath,
    Query(params): Query<ChunkListParams>,
) -> Result<Answer<wire::List<wire::ChunkRecord>>> {
    let limit = cursor::limit(params.limit)?;
    let last = params.cursor.map(|text| cursor::decode("chunks", &text)).transpose()?;
    let from = last.map(|text| next_index(&text)).transpose()?.unwrap_or(0);
    let who = who(&app, &principal, UserParams { session_id: params.session_id }).await?;
    let slice = blocking(move || {
        find(&app.store, who.user(), id)?;
        app.store.chunks(who.user(), id, from, limit).map_err(ApiError::from)
    })
    .await?;
    let position = |chunk: &Chunk| chunk.index.to_string();
    let convert = |chunk| wire::ChunkRecord::new(id, chunk);
    Ok(Answer(cursor::page(slice.items, slice.more, "chunks", position, convert)))
}

fn next_index(text: &str) -> Result<u32> {
    text.parse::<u32>().ok().and_then(|index| index.checked_add(1)).ok_or_else(cursor::invalid)
}

/// Work on a document anew
///
/// Its present chunks stay searchable until the new ones replace them.
#[utoipa::path(post, path = "/documents/{id}/reprocess", tag = "documents", operation_id = "reprocess_document",
    params(("id" = String, Path, format = "uuid", description = "Its id"), UserParams),
    responses((status = 202, description = "It is queued", body = wire::DocumentRecord)))]
pub(in crate::api) async fn reprocess(
    State(app): State<Arc<App>>,
    principal: Principal,
    DocumentPath(id): DocumentPath,
    Query(params): Query<UserParams>,
) -> Result<impl IntoResponse> {
    let who = who(&app, &principal, params).await?;
    let document = blocking(move || match app.ingest.reprocess(who.user(), id)? {
        Some(document) => Ok(document),
        None => Err(why_unchangeable(&app.store, who.user(), id, unknown(id))),
    })
    .await?;
    Ok((StatusCode::ACCEPTED, Answer(wire::DocumentRecord::from(document))))
}

/// Stop the work on a document
///
/// It fails with the code `cancelled`; chunks of an earlier version stay searchable. 409 where the work is done already.
#[utoipa::path(post, path = "/documents/{id}/cancel", tag = "documents", operation_id = "cancel_document",
    params(("id" = String, Path, format = "uuid", description = "Its id"), UserParams),
    responses((status = 200, description = "The document as it stands", body = wire::DocumentRecord),
        (status = 409, description = "`conflict`: the work is done")))]
pub(in crate::api) async fn cancel(
    State(app): State<Arc<App>>,
    principal: Principal,
    DocumentPath(id): DocumentPath,
    Query(params): Query<UserParams>,
) -> Result<Answer<wire::DocumentRecord>> {
    let who = who(&app, &principal, params).await?;
    let document = blocking(move || match app.ingest.cancel(who.user(), id)? {
        Some(document) => Ok(document),
        None => Err(why_unchangeable(&app.store, who.user(), id, unknown(id))),
    });
    Ok(Answer(document.await?.into()))
}

/// Delete a document
///
/// No search that starts after the answer finds it. With `If-Match` only while it is as it was read.
#[utoipa::path(delete, path = "/documents/{id}", tag = "documents", operation_id = "delete_document",
    params(("id" = String, Path, format = "uuid", description = "Its id"), UserParams,
        ("If-Match" = Option<String>, Header, description = "Only while it has one of these tags")),
    responses((status = 200, description = "What was purged", body = wire::DocumentDeleted),
        (status = 412, description = "`precondition_failed`: it was changed since it was read")))]
pub(in crate::api) async fn delete(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    principal: Principal,
    DocumentPath(id): DocumentPath,
    Query(params): Query<UserParams>,
) -> Result<Answer<wire::DocumentDeleted>> {
    let who = who(&app, &principal, params).await?;
    let purged = blocking(move || {
        let state = || find(&app.store, who.user(), id).map(wire::DocumentRecord::from);
        etag::guarded(&headers, state, || match app.ingest.delete(who.user(), id)? {
            Some(purged) => Ok(purged),
            None => Err(why_unchangeable(&app.store, who.user(), id, unknown(id))),
        })
    })
    .await?;
    let crate::store::Purged { chunks, vectors, blob, bytes } = purged;
    let purged = wire::Purged { chunks, vectors, blob, bytes };
    Ok(Answer(wire::DocumentDeleted { document_id: id.to_string(), purged }))
}

pub(super) async fn who(app: &Arc<App>, principal: &Principal, params: UserParams) -> Result<Who> {
    resolve(app, principal, params.session_id.as_deref(), Unknown::Refuse).await
}

/// A document of this user. Blocks.
pub(super) fn find(store: &Store, user: &UserId, id: DocumentId) -> Result<Document> {
    store.document(user, id)?.ok_or_else(|| unknown(id))
}

/// The same for one that is not there and one that is somebody else's.
pub(super) fn unknown(id: DocumentId) -> ApiError {
    ApiError::not_found(format!("document {id}"))
}
