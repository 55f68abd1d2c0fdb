use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Timestamp, time};
use crate::types::{self, JsonMap, Stage};

/// A document whose text the client holds already.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentCreate {
    /// The text.
    #[schema(min_length = 1)]
    pub text: String,
    /// Its name; the extension is a hint to its type. Directories are cut off.
    #[schema(value_type = super::texts::Filename)]
    pub filename: String,
    /// Where it comes from, such as its path on the client's disk: a later version from there replaces it in one step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::SourcePath>)]
    pub path: Option<String>,
    /// The session on whose behalf; an unknown one is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::SessionId>)]
    pub session_id: Option<String>,
    /// The collection; `default` where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::CollectionRef>)]
    pub collection: Option<String>,
    /// For filters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<super::texts::Tag>, max_items = 100, required = false)]
    pub tags: Vec<String>,
    /// The client's own data, for filters.
    #[serde(default, skip_serializing_if = "JsonMap::is_empty")]
    #[schema(value_type = Object, required = false)]
    pub metadata: JsonMap,
}

/// The form of `POST /documents/upload`.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadForm {
    /// One or more files, each a part named `file` with a filename.
    #[schema(value_type = Vec<String>, format = Binary, min_items = 1)]
    pub file: Vec<Vec<u8>>,
    /// Where the file of the next part comes from, such as its path on the client's disk: a later version from there
    /// replaces it in one step.
    #[schema(value_type = Option<super::texts::SourcePath>)]
    pub path: Option<String>,
    /// The session on whose behalf; an unknown one is created.
    #[schema(value_type = Option<super::texts::SessionId>)]
    pub session_id: Option<String>,
    /// For filters; repeat the part, or give a JSON array, or separate them by commas.
    #[schema(value_type = Option<Vec<super::texts::Tag>>, max_items = 100)]
    pub tags: Option<Vec<String>>,
    /// The client's own data as a JSON object, for filters.
    pub metadata: Option<String>,
    /// The collection; `default` where none is named.
    #[schema(value_type = Option<super::texts::CollectionRef>)]
    pub collection: Option<String>,
}

/// Which documents to delete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkDelete {
    /// As in searches; at least one condition.
    pub filter: super::FilterBody,
    /// The collection; `default` where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::CollectionRef>)]
    pub collection: Option<String>,
    /// The session on whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::SessionId>)]
    pub session_id: Option<String>,
    /// Only tell what would be deleted.
    #[serde(default)]
    pub dry_run: bool,
}

/// Documents that were deleted, or would be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BulkDeleted {
    /// How many.
    pub documents: u64,
    /// Size of their originals.
    pub bytes: u64,
    /// The first thousand of them, newest first.
    pub document_ids: Vec<String>,
    /// Whether nothing was deleted.
    pub dry_run: bool,
}

/// What became of a file at the door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UploadItem {
    /// Absent where the file was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    /// Without directories.
    pub filename: String,
    /// `queued` and so on as in documents, or `rejected`.
    pub status: String,
    /// Whether the user's collection held these bytes already: then it is that document.
    #[serde(default)]
    pub duplicate: bool,
    /// Why it was rejected, or why it failed: stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The same for people; says what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl UploadItem {
    /// An accepted file.
    pub fn accepted(document: &types::Document, duplicate: bool) -> Self {
        Self {
            document_id: Some(document.id.to_string()),
            filename: document.filename.clone(),
            status: document.status.as_str().into(),
            duplicate,
            code: document.error.as_ref().map(|error| error.code.clone()),
            detail: document.error.as_ref().map(|error| error.detail.clone()),
        }
    }

    /// A file refused at the door.
    pub fn rejected(filename: String, code: &str, detail: String) -> Self {
        Self {
            document_id: None,
            filename,
            status: "rejected".into(),
            duplicate: false,
            code: Some(code.into()),
            detail: Some(detail),
        }
    }
}

/// The answer to an upload, an item a file in the order of the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UploadAnswer {
    /// One for each file.
    pub items: Vec<UploadItem>,
}

/// The answer to a line of a batch: `document_id`, `status` and `duplicate`, or `code` and `detail`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchAnswer {
    /// The line of the request, from 1; blank lines count but get no answer.
    pub line: u64,
    /// Absent where the line was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    /// `queued` and so on, as in documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Whether the user's collection held this text already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<bool>,
    /// Why the line was refused or the document failed: stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The same for people; says what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A plugin as it made something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MadeBy {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Hex SHA-256 of the component.
    pub sha256: String,
}

impl From<types::PluginId> for MadeBy {
    fn from(id: types::PluginId) -> Self {
        Self { name: id.name, version: id.version, sha256: id.sha256 }
    }
}

/// What made the chunks of a document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Provenance {
    /// The parser.
    #[schema(required = true)]
    pub parser: Option<MadeBy>,
    /// Name and version; part of the host.
    #[schema(required = true)]
    pub chunker: Option<String>,
    /// The embedder.
    #[schema(required = true)]
    pub embedder: Option<MadeBy>,
    /// The enrichers that ran.
    pub enrichers: Vec<MadeBy>,
}

impl From<types::Provenance> for Provenance {
    fn from(provenance: types::Provenance) -> Self {
        Self {
            parser: provenance.parser.map(Into::into),
            chunker: provenance.chunker,
            embedder: provenance.embedder.map(Into::into),
            enrichers: provenance.enrichers.into_iter().map(Into::into).collect(),
        }
    }
}

/// Something that went less than well while the document became ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// Stable, snake_case.
    pub code: String,
    /// For people.
    pub detail: String,
    /// The page it concerns, from 1.
    #[schema(required = true)]
    pub page_number: Option<u32>,
}

/// Why a document failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DocumentFailure {
    /// Stable: `empty`, `encrypted`, `corrupt`, `limit_time`, `trap` and so on.
    pub code: String,
    /// The stage that failed.
    pub stage: String,
    /// The plugin that failed, if one did.
    #[schema(required = true)]
    pub plugin: Option<String>,
    /// For people; says what to do.
    pub detail: String,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DocumentRecord {
    /// Its id.
    pub document_id: String,
    /// Without directories.
    pub filename: String,
    /// Where it came from, if the client said so.
    #[schema(required = true)]
    pub path: Option<String>,
    /// Canonical lower-case extension, from the content.
    pub file_type: String,
    /// Bytes.
    pub file_size: u64,
    /// Hex SHA-256 of the original bytes.
    pub file_hash: String,
    /// The collection it is in.
    pub collection: String,
    /// From the file itself.
    #[schema(required = true)]
    pub title: Option<String>,
    /// As given.
    pub tags: Vec<String>,
    /// The client's own, and the enrichers' annotations by plugin.
    #[schema(value_type = Object)]
    pub metadata: JsonMap,
    /// When it was acknowledged.
    pub upload_time: Timestamp,
    /// `queued`, `parsing`, `chunking`, `enriching`, `embedding`, `indexing`, `ready` or `failed`.
    pub status: String,
    /// Share of the work that is done, 0 to 1.
    pub progress: f32,
    /// Whether searches find it.
    pub processed: bool,
    /// How many chunks searches can find.
    pub chunk_count: u32,
    /// What went less than well.
    pub warnings: Vec<Warning>,
    /// Set exactly when `status` is `failed`.
    #[schema(required = true)]
    pub error: Option<DocumentFailure>,
    /// What made the chunks.
    pub provenance: Provenance,
}

impl From<types::Document> for DocumentRecord {
    fn from(document: types::Document) -> Self {
        let collection = document.collection_name();
        Self {
            document_id: document.id.to_string(),
            filename: document.filename,
            path: document.path,
            file_type: document.file_type,
            file_size: document.file_size,
            file_hash: document.hash.to_string(),
            collection,
            title: document.title,
            tags: document.tags,
            metadata: document.metadata,
            upload_time: time(document.upload_time),
            status: document.status.as_str().into(),
            progress: document.status.progress(),
            processed: document.status == Stage::Ready,
            chunk_count: document.chunk_count,
            warnings: document.warnings.into_iter().map(Into::into).collect(),
            error: document.error.map(Into::into),
            provenance: document.provenance.into(),
        }
    }
}

impl From<types::Warning> for Warning {
    fn from(warning: types::Warning) -> Self {
        Self { code: warning.code, detail: warning.detail, page_number: page_number(warning.page) }
    }
}

impl From<types::DocumentError> for DocumentFailure {
    fn from(error: types::DocumentError) -> Self {
        Self {
            code: error.code,
            stage: error.stage.as_str().into(),
            plugin: error.plugin,
            detail: error.detail,
        }
    }
}

/// A page as a reader counts it: from 1.
pub(super) fn page_number(zero_based: Option<u32>) -> Option<u32> {
    zero_based.map(|page| page.saturating_add(1))
}

/// A chunk of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChunkRecord {
    /// `DOCUMENT:INDEX`.
    pub chunk_id: String,
    /// Position in the document, from 0.
    pub chunk_index: u32,
    /// Equals the document's text from `char_start` to `char_end`.
    pub text: String,
    /// The page of its first character, from 1; null where the format has no pages.
    #[schema(required = true)]
    pub page_number: Option<u32>,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// Unicode code points from the beginning of the document's text.
    pub char_start: usize,
    /// First code point behind it.
    pub char_end: usize,
    /// ISO 639-1.
    #[schema(required = true)]
    pub language: Option<String>,
    /// By the embedder's own count.
    pub tokens: u32,
    /// The enrichers' annotations by plugin.
    #[schema(value_type = Object)]
    pub metadata: JsonMap,
}

impl ChunkRecord {
    /// A chunk of this document.
    pub fn new(document: types::DocumentId, chunk: types::Chunk) -> Self {
        Self {
            chunk_id: types::ChunkId { document, index: chunk.index }.to_string(),
            chunk_index: chunk.index,
            text: chunk.text,
            page_number: page_number(chunk.page),
            heading_path: chunk.heading_path,
            char_start: chunk.chars.start,
            char_end: chunk.chars.end,
            language: chunk.language,
            tokens: chunk.tokens,
            metadata: chunk.metadata,
        }
    }
}

/// The answer to a deletion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DocumentDeleted {
    /// Its id.
    pub document_id: String,
    /// What went.
    pub purged: Purged,
}

/// What a deletion removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Purged {
    /// Chunks.
    pub chunks: u64,
    /// Vectors.
    pub vectors: u64,
    /// Whether the bytes went, too: no other document has them.
    pub blob: bool,
    /// Bytes freed on disk by that.
    pub bytes: u64,
}
