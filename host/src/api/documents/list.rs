use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::access::Principal;
use crate::api::blocking::blocking;
use crate::api::caller::{Unknown, resolve};
use crate::api::collections::{EVERYWHERE, Named};
use crate::api::cursor;
use crate::api::error::{ApiError, Result};
use crate::api::extract::Query;
use crate::app::App;
use crate::store::{DocumentQuery, Listed};
use crate::types::{Document, DocumentId, Stage, UserId};
use crate::wire;

/// Which documents to list, and in which order.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct DocumentListParams {
    /// Names the user by one of its sessions.
    #[param(value_type = Option<wire::texts::SessionId>, inline)]
    session_id: Option<String>,
    /// `queued`, `parsing`, `chunking`, `enriching`, `embedding`, `indexing`, `ready` or `failed`.
    #[param(value_type = Option<wire::texts::DocumentStatus>, inline)]
    status: Option<String>,
    /// Such as `pdf`.
    file_type: Option<String>,
    /// One of the document's tags.
    tag: Option<String>,
    /// One of the caller's own, or `OWNER/NAME`; all of its own where left out, `*` for all that the caller may read.
    #[param(value_type = Option<wire::texts::CollectionRef>, inline)]
    collection: Option<String>,
    /// The exact name.
    filename: Option<String>,
    /// Where it came from, exactly.
    path: Option<String>,
    /// `upload_time` (oldest first) or `-upload_time` (newest first, the default).
    #[param(value_type = Option<wire::texts::DocumentOrder>, inline)]
    sort: Option<String>,
    /// Items at most, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// From the page before.
    cursor: Option<String>,
}

/// List documents
#[utoipa::path(get, path = "/documents", tag = "documents", operation_id = "list_documents",
    params(DocumentListParams),
    responses((status = 200, description = "Documents", body = wire::List<wire::DocumentRecord>)))]
pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    principal: Principal,
    Query(params): Query<DocumentListParams>,
) -> Result<Answer<wire::List<wire::DocumentRecord>>> {
    let session = params.session_id.clone();
    let named = params.collection.clone();
    let mut query = query(params)?;
    let kind = cursor_kind(query.descending);
    let who = resolve(&app, &principal, session.as_deref(), Unknown::Refuse).await?;
    query.listed = listed(named.as_deref(), who.user())?;
    let slice = blocking(move || app.store.documents(who.user(), &query)).await?;
    let position = |document: &Document| document.id.to_string();
    Ok(Answer(cursor::page(slice.items, slice.more, kind, position, Into::into)))
}

fn query(params: DocumentListParams) -> Result<DocumentQuery> {
    let descending = descending(params.sort.as_deref())?;
    let after = params.cursor.map(|text| cursor::decode(cursor_kind(descending), &text)).transpose()?;
    let after = after.map(|id| DocumentId::parse(&id).ok_or_else(cursor::invalid)).transpose()?;
    Ok(DocumentQuery {
        listed: Listed::Own,
        status: params.status.as_deref().map(stage).transpose()?,
        file_type: params.file_type.map(|name| name.trim_start_matches('.').to_ascii_lowercase()),
        tag: params.tag,
        filename: params.filename,
        path: params.path,
        descending,
        after,
        limit: cursor::limit(params.limit)?,
    })
}

fn listed(name: Option<&str>, user: &UserId) -> Result<Listed> {
    match name {
        None => Ok(Listed::Own),
        Some(EVERYWHERE) => Ok(Listed::Readable),
        name => Ok(Listed::One(Named::parse(name, "?collection")?.key(user))),
    }
}

/// A cursor is good for the order it was made in.
fn cursor_kind(descending: bool) -> &'static str {
    if descending { "documents-" } else { "documents+" }
}

fn descending(sort: Option<&str>) -> Result<bool> {
    match sort {
        None | Some("-upload_time") => Ok(true),
        Some("upload_time") => Ok(false),
        Some(_) => Err(ApiError::invalid("?sort", "must be upload_time or -upload_time")),
    }
}

fn stage(name: &str) -> Result<Stage> {
    Stage::parse(name).ok_or_else(|| {
        let names: Vec<&str> = Stage::ALL.into_iter().map(Stage::as_str).collect();
        ApiError::invalid("?status", format!("must be one of {}", names.join(", ")))
    })
}
