//! `/admin/backup` and `/admin/backups`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;

use super::blocking::blocking;
use super::error::{ApiError, Result};
use crate::app::App;
use crate::store::{self, Backup};
use crate::wire::{BackupRecord, List, Problem};

/// Make a backup
///
/// Of this moment, while everything goes on; answers when it is whole and on disk. A client that goes away does not end it.
/// Backups that are too old by the configuration are removed afterwards.
#[utoipa::path(post, path = "/admin/backup", tag = "operation", operation_id = "create_backup",
    responses(
        (status = 201, description = "The backup", body = BackupRecord),
        (status = 409, description = "`conflict`: another one is being made", body = Problem,
            content_type = "application/problem+json"),
        (status = 507, description = "`storage_full`: no room where backups are kept", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn create(State(app): State<Arc<App>>) -> Result<(StatusCode, Answer<BackupRecord>)> {
    let backup = blocking(move || app.backups.create().map_err(told)).await?;
    Ok((StatusCode::CREATED, Answer(record(&backup))))
}

/// A directory that can't be written is for the operator to know of, who alone may call this.
fn told(error: store::Error) -> ApiError {
    match &error {
        store::Error::Io { .. } => {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
        }
        _ => error.into(),
    }
}

/// List backups
#[utoipa::path(get, path = "/admin/backups", tag = "operation", operation_id = "list_backups",
    responses((status = 200, description = "Newest first", body = List<BackupRecord>)))]
pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Answer<List<BackupRecord>>> {
    let backups = blocking(move || app.backups.list()).await?;
    Ok(Answer(List::whole(backups.iter().map(record))))
}

/// What the API tells of a backup.
pub(crate) fn record(backup: &Backup) -> BackupRecord {
    let manifest = backup.manifest.as_ref().ok();
    let counts = manifest.map(|manifest| manifest.counts).unwrap_or_default();
    BackupRecord {
        name: backup.name.clone(),
        path: backup.path.display().to_string(),
        created_at: backup.created_at,
        took_ms: manifest.map_or(0, |manifest| manifest.took_ms),
        bytes: manifest.map_or(0, |manifest| manifest.bytes()),
        documents: counts.documents,
        chunks: counts.chunks,
        sessions: counts.sessions,
        conversations: counts.conversations,
        smartrag: manifest.map(|manifest| manifest.smartrag.clone()).unwrap_or_default(),
        verified_at: backup.verified_at,
        problem: backup.manifest.as_ref().err().cloned(),
    }
}
