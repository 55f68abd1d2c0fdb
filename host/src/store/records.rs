//! The stored form of records: MessagePack with named fields, so that fields can be added (with a default) and old
//! records stay readable. The `remote` derives fail to compile when a type changes and its stored form does not.

use std::ops::Range;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{Artefact, Collection, Error, Result};
use crate::types::*;

/// Writes a record.
pub(super) fn pack<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    Ok(rmp_serde::to_vec_named(record)?)
}

/// Reads a record.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(rmp_serde::from_slice(bytes)?)
}

/// Reads a name that was checked before it was stored.
pub(super) fn user(name: &str) -> Result<UserId> {
    UserId::new(name).map_err(|error| Error::Corrupt(error.to_string()))
}

/// Reads a name that was checked before it was stored.
pub(super) fn collection_key(owner: &str, name: &str) -> Result<CollectionKey> {
    let name = CollectionName::new(name).map_err(|error| Error::Corrupt(error.to_string()))?;
    Ok(CollectionKey { owner: user(owner)?, name })
}

/// Packs vectors as little-endian f32.
pub(super) fn pack_floats(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|float| float.to_le_bytes()).collect()
}

/// The inverse of [`pack_floats`].
pub(super) fn unpack_floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

/// `#[serde(with)]` modules for a list and an option of a type that is stored through a remote record.
macro_rules! stored {
    ($module:ident, $record:ident, $type:ty) => {
        mod $module {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            use super::*;

            #[derive(Serialize)]
            struct Out<'a>(#[serde(serialize_with = "write")] &'a $type);

            #[derive(Deserialize)]
            struct In(#[serde(deserialize_with = "read")] $type);

            fn write<S: Serializer>(item: &&$type, to: S) -> Result<S::Ok, S::Error> {
                $record::serialize(item, to)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
                $record::deserialize(from)
            }

            /// Any collection of them: `Vec` or `Option`.
            pub(super) fn serialize<S: Serializer, C: Items<$type>>(
                items: &C,
                to: S,
            ) -> Result<S::Ok, S::Error> {
                to.collect_seq(items.items().map(Out))
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>, C: Items<$type>>(
                from: D,
            ) -> Result<C, D::Error> {
                let items = Vec::<In>::deserialize(from)?;
                Ok(C::from_items(items.into_iter().map(|item| item.0)))
            }
        }
    };
}

/// An option is stored as a list of at most one.
trait Items<T> {
    fn items<'a>(&'a self) -> impl Iterator<Item = &'a T>
    where
        T: 'a;
    fn from_items(items: impl Iterator<Item = T>) -> Self;
}

impl<T> Items<T> for Vec<T> {
    fn items<'a>(&'a self) -> impl Iterator<Item = &'a T>
    where
        T: 'a,
    {
        self.iter()
    }

    fn from_items(items: impl Iterator<Item = T>) -> Self {
        items.collect()
    }
}

impl<T> Items<T> for Option<T> {
    fn items<'a>(&'a self) -> impl Iterator<Item = &'a T>
    where
        T: 'a,
    {
        self.iter()
    }

    fn from_items(mut items: impl Iterator<Item = T>) -> Self {
        items.next()
    }
}

// --- documents ---

/// A document without what its key says; its status is final here, the ledger knows better while a job is open.
#[derive(Serialize, Deserialize)]
pub(super) struct DocumentRecord {
    pub filename: String,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "warnings")]
    pub warnings: Vec<Warning>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "errors")]
    pub error: Option<DocumentError>,
    #[serde(default, with = "ProvenanceRecord")]
    pub provenance: Provenance,
}

impl DocumentRecord {
    /// The document; `open` is the stage of its job, if it has one.
    pub(super) fn document(self, id: DocumentId, collection: CollectionKey, open: Option<Stage>) -> Document {
        let last = if self.error.is_some() { Stage::Failed } else { Stage::Ready };
        Document {
            id,
            collection,
            filename: self.filename,
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
enum StageRecord {
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

// --- chunks ---

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
pub(super) fn pack_chunk(chunk: &Chunk) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Out<'a>(#[serde(serialize_with = "write")] &'a Chunk);

    fn write<S: serde::Serializer>(chunk: &&Chunk, to: S) -> Result<S::Ok, S::Error> {
        ChunkRecord::serialize(chunk, to)
    }
    pack(&Out(chunk))
}

/// Reads a chunk.
pub(super) fn unpack_chunk(bytes: &[u8]) -> Result<Chunk> {
    Ok(ChunkRecord::deserialize(&mut rmp_serde::Deserializer::from_read_ref(bytes))?)
}

// --- outputs of stages ---

#[derive(Serialize, Deserialize)]
#[serde(remote = "BlockKind")]
enum BlockKindRecord {
    Heading,
    Paragraph,
    ListItem,
    Code,
    Quote,
    Table,
    Caption,
    Footnote,
    Formula,
    Image,
    PageHeader,
    PageFooter,
    Other,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Cell")]
struct CellRecord {
    row: u32,
    column: u32,
    row_span: u32,
    column_span: u32,
    header: bool,
    span: Range<usize>,
}
stored!(cells, CellRecord, Cell);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Block")]
struct BlockRecord {
    #[serde(with = "BlockKindRecord")]
    kind: BlockKind,
    level: u8,
    span: Range<usize>,
    page: Option<u32>,
    bbox: Option<[f32; 4]>,
    part: Option<String>,
    language: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "cells")]
    cells: Vec<Cell>,
}
stored!(blocks, BlockRecord, Block);

#[derive(Serialize, Deserialize)]
#[serde(remote = "PageStatus")]
enum PageStatusRecord {
    Ok,
    Empty,
    NeedsOcr,
    Failed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Page")]
struct PageRecord {
    number: u32,
    label: Option<String>,
    width: f32,
    height: f32,
    #[serde(with = "PageStatusRecord")]
    status: PageStatus,
}
stored!(pages, PageRecord, Page);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Parsed")]
struct ParsedRecord {
    text: String,
    #[serde(with = "blocks")]
    blocks: Vec<Block>,
    #[serde(with = "pages")]
    pages: Vec<Page>,
    paged: bool,
    title: Option<String>,
    language: Option<String>,
    metadata: JsonMap,
    #[serde(with = "warnings")]
    warnings: Vec<Warning>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Artefact")]
enum ArtefactRecord {
    Parsed(#[serde(with = "ParsedRecord")] Parsed),
    Chunks(#[serde(with = "chunks")] Vec<Chunk>),
    Enriched {
        #[serde(with = "chunks")]
        chunks: Vec<Chunk>,
        document: JsonMap,
    },
    Vectors(#[serde(with = "floats")] Vec<f32>),
}

mod floats {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(floats: &[f32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&super::pack_floats(floats))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        <&[u8]>::deserialize(from).map(super::unpack_floats)
    }
}

/// A step of a job as the scratch log keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct StepRecord {
    #[serde(with = "StageRecord")]
    pub to: Stage,
    #[serde(with = "artefacts")]
    pub done: Option<Artefact>,
}
stored!(artefacts, ArtefactRecord, Artefact);

// --- collections, sessions, conversations, idempotency ---

#[derive(Serialize, Deserialize)]
pub(super) struct CollectionRecord {
    pub id: u32,
    #[serde(default)]
    pub embedder: Option<String>,
    #[serde(default)]
    pub dimension: Option<usize>,
    #[serde(default)]
    pub documents: u64,
    #[serde(default)]
    pub chunks: u64,
    #[serde(default)]
    pub last_seq: u64,
}

impl CollectionRecord {
    pub(super) fn new(id: u32) -> Self {
        Self { id, embedder: None, dimension: None, documents: 0, chunks: 0, last_seq: 0 }
    }

    pub(super) fn collection(self, key: CollectionKey) -> Collection {
        Collection {
            id: CollectionId(self.id),
            key,
            embedder: self.embedder,
            dimension: self.dimension,
            documents: self.documents,
            chunks: self.chunks,
            last_seq: self.last_seq,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SessionRecord {
    pub user: String,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub context: JsonMap,
    pub created_at: TimestampMs,
    pub last_active: TimestampMs,
}

impl SessionRecord {
    pub(super) fn of(session: &Session) -> Self {
        Self {
            user: session.user.to_string(),
            title: session.title.clone(),
            context: session.context.clone(),
            created_at: session.created_at,
            last_active: session.last_active,
        }
    }

    pub(super) fn session(self, id: SessionId) -> Result<Session> {
        Ok(Session {
            id,
            user: user(&self.user)?,
            title: self.title,
            context: self.context,
            created_at: self.created_at,
            last_active: self.last_active,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ConversationRecord {
    pub user: String,
    #[serde(default)]
    pub session: Option<String>,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub metadata: JsonMap,
    pub created_at: TimestampMs,
    pub updated_at: TimestampMs,
}

impl ConversationRecord {
    pub(super) fn of(conversation: &Conversation) -> Self {
        Self {
            user: conversation.user.to_string(),
            session: conversation.session.as_ref().map(SessionId::to_string),
            title: conversation.title.clone(),
            metadata: conversation.metadata.clone(),
            created_at: conversation.created_at,
            updated_at: conversation.updated_at,
        }
    }

    pub(super) fn conversation(self, id: ConversationId) -> Result<Conversation> {
        let session = self.session.map(SessionId::new).transpose();
        Ok(Conversation {
            id,
            user: user(&self.user)?,
            session: session.map_err(|error| Error::Corrupt(error.to_string()))?,
            title: self.title,
            metadata: self.metadata,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "MessageRole")]
enum MessageRoleRecord {
    System,
    User,
    Assistant,
}

#[derive(Serialize, Deserialize)]
pub(super) struct MessageRecord {
    pub id: Uuid,
    #[serde(with = "MessageRoleRecord")]
    pub role: MessageRole,
    pub content: String,
    #[serde(default)]
    pub metadata: JsonMap,
    pub created_at: TimestampMs,
}

impl MessageRecord {
    pub(super) fn of(message: &Message) -> Self {
        Self {
            id: message.id.0,
            role: message.role,
            content: message.content.clone(),
            metadata: message.metadata.clone(),
            created_at: message.created_at,
        }
    }

    pub(super) fn message(self) -> Message {
        Message {
            id: MessageId(self.id),
            role: self.role,
            content: self.content,
            metadata: self.metadata,
            created_at: self.created_at,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct IdempotencyRecord {
    pub fingerprint: String,
    pub documents: Vec<Uuid>,
    pub at: TimestampMs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_step_comes_back_as_it_was() {
        let parsed = Parsed {
            text: "Ä".into(),
            blocks: vec![Block {
                kind: BlockKind::Table,
                level: 0,
                span: 0..2,
                page: Some(3),
                bbox: Some([0.5; 4]),
                part: None,
                language: Some("de".into()),
                cells: vec![Cell {
                    row: 0,
                    column: 1,
                    row_span: 1,
                    column_span: 2,
                    header: true,
                    span: 0..2,
                }],
            }],
            pages: vec![Page {
                number: 0,
                label: Some("i".into()),
                width: 1.0,
                height: 2.0,
                status: PageStatus::NeedsOcr,
            }],
            paged: true,
            warnings: vec![Warning { code: "x".into(), detail: "y".into(), page: Some(1) }],
            ..Parsed::default()
        };
        let mut document = JsonMap::new();
        document.insert("n".into(), json!({"a": [1, -2, 2.5, null, true]}));
        let artefacts = [
            Artefact::Parsed(parsed),
            Artefact::Enriched { chunks: Vec::new(), document },
            Artefact::Vectors(vec![1.5, -0.0, f32::MIN]),
        ];
        for artefact in artefacts {
            let step = StepRecord { to: Stage::Chunking, done: Some(artefact.clone()) };
            let read: StepRecord = unpack(&pack(&step).unwrap()).unwrap();
            assert_eq!((read.to, read.done), (Stage::Chunking, Some(artefact)));
        }
    }

    #[test]
    fn fields_that_a_newer_version_added_are_passed_over() {
        #[derive(Serialize)]
        struct Newer {
            index: u32,
            text: &'static str,
            chars: Range<usize>,
            colour: &'static str,
        }
        let bytes = pack(&Newer { index: 4, text: "t", chars: 1..2, colour: "red" }).unwrap();
        let chunk = unpack_chunk(&bytes).unwrap();
        assert_eq!((chunk.index, chunk.text.as_str(), chunk.tokens), (4, "t", 0));
    }
}
