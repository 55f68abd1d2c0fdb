//! `/admin`

use std::sync::Arc;
use std::time::Instant;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::access::Principal;
use super::blocking::blocking;
use super::error::{ApiError, Result};
use super::extract::Query;
use super::models::record as model_record;
use super::plugins::reloaded as plugin_reload;
use crate::app::App;
use crate::ingest::Migration;
use crate::store::{Collection, Optimized};
use crate::types::{CollectionKey, CollectionName};
use crate::wire::{ConfigReload, MigrationRecord, OptimizeReport, ReindexReport, Reindexed};

/// Give room back
///
/// Removes what nothing needs any more, rewrites the database without its free pages, gives the room back to the
/// device. Searches go on; uploads and deletions wait while the database is rewritten.
#[utoipa::path(post, path = "/admin/optimize", tag = "operation", operation_id = "optimize",
    responses((status = 200, description = "What was done", body = OptimizeReport),
        (status = 409, description = "`conflict`: a backup is being made")))]
pub(super) async fn optimize(State(app): State<Arc<App>>) -> Result<Answer<OptimizeReport>> {
    let begun = Instant::now();
    let done = blocking(move || app.ingest.optimize(&mut |_| ())).await?;
    Ok(Answer(optimized(&done, begun)))
}

/// Take up a changed configuration
///
/// Reads the configuration again and uses its backends and grants, and plugins that changed, without dropping a question.
/// One that does not check changes nothing. Other sections wait for the next start; the answer names them.
#[utoipa::path(post, path = "/admin/reload", tag = "operation", operation_id = "reload_config",
    responses((status = 200, description = "What is in use now", body = ConfigReload)))]
pub(super) async fn reload(State(app): State<Arc<App>>) -> Result<Answer<ConfigReload>> {
    let done =
        blocking(move || app.reload().map_err(|error| ApiError::invalid("", format!("{error:#}")))).await?;
    Ok(Answer(ConfigReload {
        backends: done.backends.into_iter().map(model_record).collect(),
        plugins: plugin_reload(done.plugins),
        needs_restart: done.needs_restart.into_iter().map(str::to_owned).collect(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    collection: Option<String>,
}

/// Build indexes anew
///
/// From the store, beside the present indexes, which searches use until the new ones stand. Without a collection: all of
/// all users.
#[utoipa::path(post, path = "/admin/reindex", tag = "operation", operation_id = "reindex",
    params(("collection" = Option<String>, Query, description = "This one of the caller alone")),
    responses((status = 200, description = "What was built", body = ReindexReport)))]
pub(super) async fn reindex(
    State(app): State<Arc<App>>,
    principal: Principal,
    Query(which): Query<Which>,
) -> Result<Answer<ReindexReport>> {
    let begun = Instant::now();
    let only = match which.collection {
        None => None,
        Some(name) => Some(collection(&app, &principal, name).await?),
    };
    let done = blocking(move || app.ingest.reindex(only.as_ref(), &mut |_| ())).await?;
    Ok(Answer(reindexed(&done, begun)))
}

/// A collection of the caller that exists.
async fn collection(app: &Arc<App>, principal: &Principal, name: String) -> Result<CollectionKey> {
    let owner = principal.user.clone();
    let unknown = format!("there is no collection {name:?}");
    let unknown = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_collection", unknown);
    let Ok(name) = CollectionName::new(name) else { return Err(unknown) };
    let (store, key) = (app.store.clone(), CollectionKey { owner, name });
    let wanted = key.clone();
    let found = blocking(move || store.collection(&wanted)).await?;
    found.map(|_| key).ok_or(unknown)
}

/// What the API tells of an optimization.
pub(crate) fn optimized(done: &Optimized, begun: Instant) -> OptimizeReport {
    OptimizeReport {
        bytes_before: done.bytes_before,
        bytes_after: done.bytes_after,
        journal_lines: done.journal_lines,
        rows: done.rows,
        files: done.files,
        compacted: done.compacted,
        paused_ms: done.paused_ms,
        took_ms: took_ms(begun),
    }
}

/// What the API tells of indexes that were built anew.
pub(crate) fn reindexed(done: &[Collection], begun: Instant) -> ReindexReport {
    let one = |collection: &Collection| Reindexed {
        owner: collection.key.owner.to_string(),
        collection: collection.key.name.to_string(),
        documents: collection.documents,
        chunks: collection.chunks,
    };
    ReindexReport { collections: done.iter().map(one).collect(), took_ms: took_ms(begun) }
}

/// What the API tells of a change to another embedder.
pub(super) fn migration(Migration { event, problem }: Migration) -> MigrationRecord {
    MigrationRecord {
        owner: event.collection.owner.to_string(),
        collection: event.collection.name.to_string(),
        from: event.from,
        to: event.to,
        done: event.done,
        total: event.total,
        problem,
    }
}

fn took_ms(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
