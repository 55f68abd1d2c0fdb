use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Items, Result, pack};
use crate::types::*;

/// A document without what its key says; its status is final here, the ledger knows better while a job is open.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct DocumentRecord {
    pub filename: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub file_type: String,
    pub file_size: u64,
    #[serde(with = "serde_bytes_32")]
    pub hash: [u8; 32],
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "JsonMap::is_empty")]
    pub metadata: JsonMap,
    pub upload_time: TimestampMs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether a version was committed: searches find it.
    #[serde(default)]
    pub committed: bool,
    #[serde(default)]
    pub chunk_count: u32,
    /// Row number of its first chunk in the indexes of the collection.
    #[serde(default)]
    pub first_row: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "warnings")]
    pub warnings: Vec<Warning>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "errors")]
    pub error: Option<DocumentError>,
    /// Sequence number of the failure.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_seq: u64,
    #[serde(default, with = "ProvenanceRecord")]
    pub provenance: Provenance,
}

fn is_zero(seq: &u64) -> bool {
    *seq == 0
}

impl DocumentRecord {
    /// The document; `open` is the stage of its job, if it has one.
    pub(in crate::store) fn document(
        self,
        id: DocumentId,
        collection: CollectionKey,
        open: Option<Stage>,
    ) -> Document {
        let last = if self.error.is_some() { Stage::Failed } else { Stage::Ready };
        Document {
            id,
            collection,
            foreign: false,
            filename: self.filename,
            path: self.path,
            file_type: self.file_type,
            file_size: self.file_size,
            hash: ContentHash(self.hash),
            tags: self.tags,
            metadata: self.metadata,
            upload_time: self.upload_time,
            status: open.unwrap_or(last),
            title: self.title,
            chunk_count: self.chunk_count,
            warnings: self.warnings,
            error: self.error.filter(|_| open.is_none()),
            provenance: self.provenance,
        }
    }
}

mod serde_bytes_32 {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = [u8; 32];

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("32 bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                bytes.try_into().map_err(E::custom)
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Stage")]
pub(super) enum StageRecord {
    Queued,
    Parsing,
    Chunking,
    Enriching,
    Embedding,
    Indexing,
    Ready,
    Failed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DocumentError")]
struct ErrorRecord {
    code: String,
    #[serde(with = "StageRecord")]
    stage: Stage,
    #[serde(default)]
    plugin: Option<String>,
    detail: String,
}
stored!(errors, ErrorRecord, DocumentError);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Warning")]
struct WarningRecord {
    code: String,
    detail: String,
    #[serde(default)]
    page: Option<u32>,
}
stored!(warnings, WarningRecord, Warning);

#[derive(Serialize, Deserialize)]
#[serde(remote = "PluginId")]
struct PluginRecord {
    name: String,
    version: String,
    sha256: String,
}
stored!(plugins, PluginRecord, PluginId);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Provenance")]
struct ProvenanceRecord {
    #[serde(default, skip_serializing_if = "Option::is_none", with = "plugins")]
    parser: Option<PluginId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chunker: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "plugins")]
    embedder: Option<PluginId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "plugins")]
    enrichers: Vec<PluginId>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Chunk")]
struct ChunkRecord {
    index: u32,
    text: String,
    chars: Range<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    heading_path: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(default)]
    tokens: u32,
    #[serde(default, skip_serializing_if = "JsonMap::is_empty")]
    metadata: JsonMap,
}
stored!(chunks, ChunkRecord, Chunk);

/// Writes a chunk.
pub(in crate::store) fn pack_chunk(chunk: &Chunk) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Out<'a>(#[serde(serialize_with = "write")] &'a Chunk);

    fn write<S: serde::Serializer>(chunk: &&Chunk, to: S) -> Result<S::Ok, S::Error> {
        ChunkRecord::serialize(chunk, to)
    }
    pack(&Out(chunk))
}

/// Reads a chunk.
pub(in crate::store) fn unpack_chunk(bytes: &[u8]) -> Result<Chunk> {
    Ok(ChunkRecord::deserialize(&mut rmp_serde::Deserializer::from_read_ref(bytes))?)
}
