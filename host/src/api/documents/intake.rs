//! From bytes at the door to acknowledged documents.

use axum::http::{HeaderMap, StatusCode};

use crate::api::collections::check_writable;
use crate::api::error::{ApiError, Result};
use crate::app::App;
use crate::ingest::{self, Ingest, Refused, Upload};
use crate::store::{BlobWriter, StagedBlob, Store, Submitted};
use crate::types::{CollectionKey, JsonMap, UserId};
use crate::wire::UploadItem;

/// Of a document that somebody waited for.
pub(super) const GONE: &str = "the document is gone: it was deleted before it was ready, or the disk failed";
const KEY_CHARS_MAX: usize = 255;

/// What belongs to every file of a request.
#[derive(Debug, Default)]
pub(super) struct Labels {
    pub tags: Vec<String>,
    pub metadata: JsonMap,
}

/// A file that has arrived, or why it was refused on the way.
pub(super) struct Arrived {
    pub filename: String,
    /// Where it comes from.
    pub path: Option<String>,
    pub bytes: std::result::Result<BlobWriter, Refused>,
}

/// What became of a file.
pub(super) enum Outcome {
    Taken(Box<Submitted>),
    Refused { filename: String, why: Refused },
}

/// Takes files in as one commit; on disk is that on return, or, for a client that waits, once they are final. An
/// idempotency key stands for one request for ever the same: repeated, it finds the documents of the first time, because
/// the same bytes are never stored twice. Blocks.
pub(super) fn take_in(
    app: &App,
    user: &UserId,
    collection: CollectionKey,
    labels: &Labels,
    files: Vec<Arrived>,
    key: Option<&str>,
    wait: bool,
) -> Result<Vec<Outcome>> {
    check_writable(&app.store, user, &collection)?;
    let staged = files.into_iter().map(stage).collect::<Result<Vec<_>>>()?;
    let fingerprint = fingerprint(&collection, labels, &staged);
    if let Some(key) = key {
        check_key(&app.store, user, key, &fingerprint)?;
    }
    let uploads = staged.into_iter().map(|(filename, path, blob)| {
        let upload = blob.map(|blob| Upload {
            path,
            collection: collection.clone(),
            filename: filename.clone(),
            blob,
            tags: labels.tags.clone(),
            metadata: labels.metadata.clone(),
        });
        (filename, upload)
    });
    let outcomes = submit(&app.ingest, uploads.collect(), wait)?;
    let ids: Vec<_> = outcomes.iter().filter_map(Outcome::document_id).collect();
    // A request that was refused did nothing that its repetition must not do again.
    if let Some(key) = key.filter(|_| !ids.is_empty()) {
        app.store.set_idempotency(user, key, &fingerprint, &ids, crate::api::caller::now_ms())?;
    }
    Ok(outcomes)
}

type Staged = (String, Option<String>, std::result::Result<StagedBlob, Refused>);

fn stage(file: Arrived) -> Result<Staged> {
    let blob = file.bytes.map(BlobWriter::finish);
    match blob {
        Ok(blob) => Ok((file.filename, file.path, Ok(blob?))),
        Err(why) => Ok((file.filename, file.path, Err(why))),
    }
}

/// Submits the fit ones, for a client that waits until they are final or for one that does not; the answer has one
/// outcome for each, in order. Blocks.
pub(super) fn submit(
    ingest: &Ingest,
    files: Vec<(String, std::result::Result<Upload, Refused>)>,
    wait: bool,
) -> std::result::Result<Vec<Outcome>, ingest::Error> {
    let mut uploads = Vec::with_capacity(files.len());
    let mut places = Vec::with_capacity(files.len());
    for (filename, upload) in files {
        let refused = upload.map(|upload| uploads.push(upload)).err();
        places.push((filename, refused));
    }
    let results = if uploads.is_empty() { Vec::new() } else { ingest.submit(uploads, wait)? };
    let mut results = results.into_iter();
    let outcome = |(filename, refused): (String, Option<Refused>)| match refused {
        Some(why) => Some(Outcome::Refused { filename, why }),
        None => results.next().map(|result| match result {
            Ok(submitted) => Outcome::Taken(Box::new(submitted)),
            Err(why) => Outcome::Refused { filename, why },
        }),
    };
    Ok(places.into_iter().filter_map(outcome).collect())
}

impl Outcome {
    pub fn document_id(&self) -> Option<crate::types::DocumentId> {
        match self {
            Outcome::Taken(submitted) => Some(submitted.document.id),
            Outcome::Refused { .. } => None,
        }
    }

    /// As it stands now.
    pub fn item(self) -> UploadItem {
        match self {
            Outcome::Taken(submitted) => UploadItem::accepted(&submitted.document, submitted.duplicate),
            Outcome::Refused { filename, why } => UploadItem::rejected(filename, why.code, why.detail),
        }
    }

    /// As it stands in the end.
    pub async fn settled(self, ingest: &Ingest) -> Result<UploadItem> {
        let Outcome::Taken(submitted) = self else { return Ok(self.item()) };
        match ingest.wait(submitted.document.id).await? {
            Some(document) => Ok(UploadItem::accepted(&document, submitted.duplicate)),
            None => Ok(UploadItem::rejected(submitted.document.filename, "not_found", GONE.into())),
        }
    }
}

/// The `Idempotency-Key` of a request.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=KEY_CHARS_MAX).contains(&key.len()) => Ok(Some(key.into())),
        _ => {
            let detail = format!("the header must have 1 to {KEY_CHARS_MAX} ASCII characters");
            Err(ApiError::invalid("Idempotency-Key", detail))
        }
    }
}

fn check_key(store: &Store, owner: &UserId, key: &str, fingerprint: &str) -> Result<()> {
    match store.idempotency(owner, key)? {
        Some((known, _)) if known != fingerprint => {
            let detail = "this Idempotency-Key was used for another request: choose a new one";
            Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", detail))
        }
        _ => Ok(()),
    }
}

/// Equal for equal requests only.
fn fingerprint(collection: &CollectionKey, labels: &Labels, files: &[Staged]) -> String {
    let files: Vec<(&str, Option<&str>, String)> = files
        .iter()
        .map(|(name, path, blob)| {
            let content =
                blob.as_ref().map_or_else(|why| why.code.to_string(), |blob| blob.hash().to_string());
            (name.as_str(), path.as_deref(), content)
        })
        .collect();
    let request = serde_json::json!([collection.full_name(), labels.tags, labels.metadata, files]);
    blake3::hash(request.to_string().as_bytes()).to_hex().to_string()
}
