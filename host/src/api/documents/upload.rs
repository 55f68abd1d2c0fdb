use std::sync::Arc;

use axum::Json as Answer;
use axum::body::Bytes;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{Multipart, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;

use super::create::IntakeParams;
use super::form;
use super::intake::{Arrived, Labels, idempotency_key, take_in};
use crate::api::access::Principal;
use crate::api::blocking::blocking;
use crate::api::caller::{Unknown, resolve, session_id};
use crate::api::collections::Named;
use crate::api::error::{ApiError, Result};
use crate::api::extract::Query;
use crate::app::App;
use crate::ingest::Refused;
use crate::store::{BlobWriter, Store};
use crate::types::JsonMap;
use crate::wire::{UploadAnswer, UploadForm};

/// Files of one request: their small ones wait in memory.
const FILES_MAX: usize = 1000;
/// Pieces of a file on their way to the disk.
const PIECES_WAITING: usize = 8;

/// Take in files
///
/// A file refused at the door is an item with `status: rejected`, `code` and `detail`; the others go on.
#[utoipa::path(post, path = "/documents/upload", tag = "documents", operation_id = "upload_documents",
    params(IntakeParams, ("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe",
        min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$")),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 202, description = "They are queued", body = UploadAnswer),
        (status = 200, description = "With wait: each is ready, failed or rejected", body = UploadAnswer)))]
pub(in crate::api) async fn upload(
    State(app): State<Arc<App>>,
    principal: Principal,
    headers: HeaderMap,
    Query(params): Query<IntakeParams>,
    multipart: std::result::Result<Multipart, MultipartRejection>,
) -> Result<Response> {
    let key = idempotency_key(&headers)?;
    let form = Form::read(&app, multipart.map_err(|rejection| no_multipart(&rejection))?).await?;
    let named = Named::parse(form.collection.as_deref(), "/collection")?;
    let labels = Labels { tags: form::tags(form.tags)?, metadata: form.metadata, since: principal.since };
    // Checked also where the body goes before it.
    params.session_id.as_deref().map(session_id).transpose()?;
    let session = form.session_id.or(params.session_id);
    let who = resolve(&app, &principal, session.as_deref(), Unknown::Create).await?;
    let collection = named.key(who.user());
    let (inner, files) = (app.clone(), form.files);
    let outcomes = blocking(move || {
        take_in(&inner, who.user(), collection, &labels, files, key.as_deref(), params.wait)
    })
    .await?;
    let mut items = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        items.push(if params.wait { outcome.settled(&app.ingest).await? } else { outcome.item() });
    }
    let status = if params.wait { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Answer(UploadAnswer { items })).into_response())
}

/// The parts, in whatever order they came: what they belong to is known only at the end.
#[derive(Default)]
struct Form {
    files: Vec<Arrived>,
    /// Of the next file.
    path: Option<String>,
    session_id: Option<String>,
    collection: Option<String>,
    tags: Vec<String>,
    metadata: JsonMap,
}

impl Form {
    async fn read(app: &App, mut multipart: Multipart) -> Result<Self> {
        let mut form = Self::default();
        while let Some(field) = multipart.next_field().await.map_err(|error| broken(&error))? {
            form.part(app, field).await?;
        }
        if form.path.is_some() {
            return Err(ApiError::invalid("/path", "stands before the file that it belongs to"));
        }
        if form.files.is_empty() {
            return Err(ApiError::invalid("/file", "send at least one part named file with a filename"));
        }
        Ok(form)
    }

    async fn part(&mut self, app: &App, field: Field<'_>) -> Result<()> {
        let name = field.name().unwrap_or_default().to_string();
        let bytes_max = app.config.api.body_bytes_max;
        match name.as_str() {
            "file" | "files" | "file[]" | "files[]" => self.file(app, field).await?,
            "path" => self.path = Some(form::path(text(field, bytes_max).await?)?),
            "session_id" => self.session_id = Some(text(field, bytes_max).await?),
            "collection" => self.collection = Some(text(field, bytes_max).await?),
            "tags" => self.tags.extend(form::tags_part(&text(field, bytes_max).await?)?),
            "metadata" => self.metadata = form::metadata_part(&text(field, bytes_max).await?)?,
            _ => return Err(unknown_part(&name)),
        }
        Ok(())
    }

    async fn file(&mut self, app: &App, field: Field<'_>) -> Result<()> {
        if self.files.len() == FILES_MAX {
            return Err(ApiError::invalid("/file", format!("at most {FILES_MAX} files in one request")));
        }
        let given = field.file_name().unwrap_or_default().to_string();
        let (filename, bytes_max) = match form::filename(&given) {
            Ok(filename) => (Ok(filename), app.config.api.upload_bytes_max),
            Err(why) => (Err(why), 0),
        };
        let path = self.path.take();
        let received = receive(&app.store, field, bytes_max).await?;
        self.files.push(match filename {
            Err(why) => Arrived { filename: form::shown(&given), path, bytes: Err(why) },
            Ok(filename) => Arrived { filename, path, bytes: received.ok_or_else(|| too_large(bytes_max)) },
        });
        Ok(())
    }
}

/// Takes a file to the store as it arrives. One that is too large is read to its end all the same, unstored: the
/// client hears of it, and the parts behind it count. `None`: too large.
async fn receive(store: &Store, mut field: Field<'_>, bytes_max: u64) -> Result<Option<BlobWriter>> {
    let (pieces, inbox) = mpsc::channel(PIECES_WAITING);
    let mut pieces = Some(pieces);
    let store = store.clone();
    let writer = tokio::task::spawn_blocking(move || write(&store, inbox));
    let mut size = 0;
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error))? {
        size += piece.len() as u64;
        if size > bytes_max {
            pieces = None;
        }
        if let Some(pieces) = &pieces
            && pieces.send(piece).await.is_err()
        {
            break; // the writer has failed and says why below
        }
    }
    drop(pieces);
    let written = writer.await.map_err(ApiError::internal)??;
    Ok(Some(written).filter(|_| size <= bytes_max))
}

fn write(store: &Store, mut inbox: mpsc::Receiver<Bytes>) -> Result<BlobWriter> {
    let mut writer = store.blob_writer()?;
    while let Some(piece) = inbox.blocking_recv() {
        writer.write(&piece)?;
    }
    Ok(writer)
}

async fn text(mut field: Field<'_>, bytes_max: u64) -> Result<String> {
    let pointer = format!("/{}", field.name().unwrap_or_default());
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > bytes_max {
            return Err(ApiError::too_large("a part of the form", bytes_max));
        }
    }
    String::from_utf8(bytes).map_err(|_| ApiError::invalid(pointer, "must be UTF-8"))
}

fn too_large(bytes_max: u64) -> Refused {
    let detail =
        format!("the file is larger than {bytes_max} bytes: split it, or raise api.upload_bytes_max");
    Refused { code: "too_large", detail }
}

fn unknown_part(name: &str) -> ApiError {
    let detail = format!(
        "unknown part {name:?}: the form has file (one or more), path, session_id, tags, metadata and collection"
    );
    let mut error = ApiError::invalid(format!("/{name}"), &*detail);
    (error.status, error.code, error.detail) = (StatusCode::BAD_REQUEST, "unknown_field".into(), detail);
    error
}

fn no_multipart(rejection: &MultipartRejection) -> ApiError {
    let detail = format!("send the files as multipart/form-data: {}", rejection.body_text());
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

fn broken(error: &MultipartError) -> ApiError {
    let hint = "is it cut off, or is there a control character in a filename?";
    ApiError::invalid("", format!("the multipart body can't be read: {}; {hint}", error.body_text()))
}
