use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use crate::api::access::Principal;
use crate::api::blocking::blocking;
use crate::api::caller::{Unknown, resolve};
use crate::api::collections::{Named, check_writable};
use crate::api::error::{ApiError, Result};
use crate::api::extract::Json;
use crate::app::App;
use crate::store::Listed;
use crate::wire;

/// Documents that an answer names.
const NAMED_MAX: usize = 1000;

/// Delete all documents that pass a filter
///
/// The filter sees what is said of the document itself, not annotations of its chunks. With `dry_run` nothing is deleted: the
/// answer tells what would be.
#[utoipa::path(post, path = "/documents/delete", tag = "documents", operation_id = "delete_documents",
    request_body = wire::BulkDelete,
    responses((status = 200, description = "What was deleted, or would be", body = wire::BulkDeleted)))]
pub(in crate::api) async fn delete_many(
    State(app): State<Arc<App>>,
    principal: Principal,
    Json(body): Json<wire::BulkDelete>,
) -> Result<Answer<wire::BulkDeleted>> {
    if body.filter.0.is_empty() {
        let detail = "is empty, which would be all documents: DELETE the collection instead";
        return Err(ApiError::invalid("/filter", detail));
    }
    let filter = body.filter.check("/filter")?;
    let named = Named::parse(body.collection.as_deref(), "/collection")?;
    let who = resolve(&app, &principal, body.session_id.as_deref(), Unknown::Refuse).await?;
    blocking(move || {
        let key = named.key(who.user());
        check_writable(&app.store, who.user(), &key)?;
        let mut answer = wire::BulkDeleted { dry_run: body.dry_run, ..Default::default() };
        app.ingest.each_matching(who.user(), Listed::One(key), &filter, !body.dry_run, &mut |document| {
            answer.documents += 1;
            answer.bytes += document.file_size;
            if answer.document_ids.len() < NAMED_MAX {
                answer.document_ids.push(document.id.to_string());
            }
        })?;
        Ok::<_, ApiError>(Answer(answer))
    })
    .await
}
