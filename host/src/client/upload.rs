use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use reqwest::multipart::{Form, Part};
use tokio_util::io::ReaderStream;

use super::{Client, Error, Result};
use crate::types::JsonMap;
use crate::wire::{UploadAnswer, UploadItem};

/// Bytes read from a file at once.
const BLOCK: usize = 64 << 10;

/// A file to send.
#[derive(Clone, Debug)]
pub struct FileUpload {
    /// Where it is.
    pub path: PathBuf,
    /// Its name for the daemon.
    pub filename: String,
    /// Where it comes from, so that a later version replaces it.
    pub origin: Option<String>,
}

/// What goes with a file.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct UploadFields {
    pub tags: Vec<String>,
    pub metadata: JsonMap,
    pub collection: Option<String>,
}

impl Client {
    /// Sends a file; with `wait` answers once it is searchable or failed. `sent` hears of each block that left.
    pub async fn upload(
        &self,
        file: &FileUpload,
        fields: &UploadFields,
        wait: bool,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<UploadItem> {
        let part = file_part(&file.path, sent).await?.file_name(file.filename.clone());
        let mut form = self.form(fields);
        if let Some(origin) = &file.origin {
            form = form.text("path", origin.clone());
        }
        let form = form.part("file", part);
        let wait: &[(&str, &str)] = if wait { &[("wait", "true")] } else { &[] };
        let request = self.request(reqwest::Method::POST, "/documents/upload", wait).multipart(form);
        let answer: UploadAnswer =
            self.send(request).await?.json().await.map_err(|error| self.broken(error))?;
        let item = answer.items.into_iter().next();
        item.ok_or_else(|| self.foreign("an upload was answered without an item".to_owned()))
    }

    /// The fields come before the file, so that the daemon knows them when the bytes arrive.
    fn form(&self, fields: &UploadFields) -> Form {
        let mut form = Form::new();
        if let Some(session) = self.session_id() {
            form = form.text("session_id", session.to_owned());
        }
        if let Some(collection) = &fields.collection {
            form = form.text("collection", collection.clone());
        }
        if !fields.tags.is_empty() {
            form = form.text("tags", serde_json::Value::from(fields.tags.clone()).to_string());
        }
        if !fields.metadata.is_empty() {
            form = form.text("metadata", serde_json::Value::Object(fields.metadata.clone()).to_string());
        }
        form
    }
}

async fn file_part(path: &Path, sent: impl Fn(u64) + Send + Sync + 'static) -> Result<Part> {
    let wrong = |source| Error::File { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(wrong)?;
    let size = file.metadata().await.map_err(wrong)?.len();
    let blocks = ReaderStream::with_capacity(file, BLOCK).inspect_ok(move |block| sent(block.len() as u64));
    Ok(Part::stream_with_length(reqwest::Body::wrap_stream(blocks), size))
}
