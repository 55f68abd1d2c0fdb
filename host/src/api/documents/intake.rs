//! From bytes at the door to acknowledged documents.

use std::time::Instant;

use axum::http::{HeaderMap, StatusCode};

use crate::api::caller::now_ms;
use crate::api::collections::check_writable;
use crate::api::error::{ApiError, Result};
use crate::app::App;
use crate::ingest::{self, Ingest, Refused, Upload};
use crate::store::{Answered, BlobWriter, StagedBlob, Store, Submitted};
use crate::types::{CollectionKey, DocumentId, JsonMap, UserId};
use crate::wire::UploadItem;

/// Of a document that somebody waited for.
pub(super) const GONE: &str = "the document is gone: it was deleted before it was ready, or the disk failed";
const KEY_CHARS_MAX: usize = 255;

/// What belongs to every file of a request.
#[derive(Debug)]
pub(super) struct Labels {
    pub tags: Vec<String>,
    pub metadata: JsonMap,
    /// When the request was let in.
    pub since: Instant,
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
/// idempotency key stands for one request: repeated, it is answered with the documents of the first time. Blocks.
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
    let former = key.map(|key| former(&app.store, user, key, &fingerprint)).transpose()?.flatten();
    // Where some of the files were refused the first time, all are looked at again.
    if let Some(former) = former.filter(|former| former.documents.len() == staged.len()) {
        return repeated(&app.store, user, former, staged);
    }
    let uploads = staged.into_iter().map(|(filename, path, blob)| {
        let upload = blob.map(|blob| Upload {
            path,
            collection: collection.clone(),
            filename: filename.clone(),
            blob,
            tags: labels.tags.clone(),
            metadata: labels.metadata.clone(),
            since: labels.since,
        });
        (filename, upload)
    });
    let outcomes = submit(&app.ingest, uploads.collect(), wait)?;
    let documents: Vec<_> = outcomes.iter().filter_map(Outcome::taken).collect();
    // A request that was refused did nothing that its repetition must not do again.
    if let Some(key) = key.filter(|_| !documents.is_empty()) {
        app.store.set_idempotency(user, key, Answered { fingerprint, documents }, now_ms(), labels.since)?;
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
    /// Its document, and whether that was there already.
    fn taken(&self) -> Option<(DocumentId, bool)> {
        match self {
            Outcome::Taken(submitted) => Some((submitted.document.id, submitted.duplicate)),
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

/// What was answered to the same request with this key.
fn former(store: &Store, owner: &UserId, key: &str, fingerprint: &str) -> Result<Option<Answered>> {
    let former = store.idempotency(owner, key)?;
    if former.as_ref().is_some_and(|former| former.fingerprint != fingerprint) {
        let detail = "this Idempotency-Key was used for another request: choose a new one";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", detail));
    }
    Ok(former)
}

/// The same answer again. What was deleted meanwhile does not come back.
fn repeated(store: &Store, user: &UserId, former: Answered, files: Vec<Staged>) -> Result<Vec<Outcome>> {
    let outcome = |((id, duplicate), (filename, ..)): ((DocumentId, bool), Staged)| {
        Ok(match store.document(user, id)? {
            Some(document) => {
                Outcome::Taken(Box::new(Submitted { document, duplicate, replaces: Vec::new() }))
            }
            None => {
                let detail =
                    "the document of this request was deleted since: send it with a new Idempotency-Key";
                Outcome::Refused { filename, why: Refused { code: "not_found", detail: detail.into() } }
            }
        })
    };
    former.documents.into_iter().zip(files).map(outcome).collect()
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
