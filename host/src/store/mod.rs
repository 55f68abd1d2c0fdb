//! The one truth: redb for records, content-addressed blobs for bytes. Indexes are derived from it.
//!
//! Invariants: owner and collection stand in every key; what was acknowledged is fsynced; blocking calls only.

use std::path::Path;

use bytes::Bytes;

use crate::types::*;

/// What can go wrong, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("{0} is used by another smartrag process: stop it, or choose another data_dir")]
    Locked(std::path::PathBuf),
    #[error("no space left on the device of the data directory: free some, then try again")]
    Full,
    #[error("not found")]
    NotFound,
    #[error("the queue holds {0} documents already: try again later")]
    QueueFull(usize),
    #[error("{0}")]
    Conflict(String),
    #[error("{path}: {source}")]
    Io { path: std::path::PathBuf, source: std::io::Error },
    #[error("the database is damaged: {0}; restore a backup, or move the file away to begin anew")]
    Corrupt(String),
    #[error("database: {0}")]
    Database(String),
}

/// Result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// A page of a list, in order of id.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice<T> {
    /// At most the limit asked for.
    pub items: Vec<T>,
    /// Whether there is more behind the last item.
    pub more: bool,
}

/// Bytes that were taken in but belong to no document yet. Dropping it forgets them.
#[derive(Debug)]
pub struct StagedBlob;

impl StagedBlob {
    /// Of the bytes.
    pub fn hash(&self) -> ContentHash {
        todo!()
    }
    /// In bytes.
    pub fn size(&self) -> u64 {
        todo!()
    }
    /// The first bytes, at most 8 KiB: enough to tell the type.
    pub fn head(&self) -> &[u8] {
        todo!()
    }
    /// The bytes, to be read at any offset.
    pub fn open(&self) -> Result<BlobHandle> {
        todo!()
    }
}

/// Takes bytes in as they arrive: hashes them; small blobs stay in memory, large ones go to a temporary file.
#[derive(Debug)]
pub struct BlobWriter;

impl BlobWriter {
    /// Appends.
    pub fn write(&mut self, _bytes: &[u8]) -> Result<()> {
        todo!()
    }
    /// Bytes so far.
    pub fn len(&self) -> u64 {
        todo!()
    }
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Ends it.
    pub fn finish(self) -> Result<StagedBlob> {
        todo!()
    }
}

/// The bytes of a stored file.
#[derive(Clone, Debug)]
pub enum BlobHandle {
    /// A small one.
    Bytes(Bytes),
    /// A large one and its size.
    File(std::sync::Arc<std::fs::File>, u64),
}

/// A document to take in.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct NewDocument {
    pub collection: CollectionKey,
    pub filename: String,
    pub file_type: FileType,
    pub blob: StagedBlob,
    pub tags: Vec<String>,
    pub metadata: JsonMap,
    pub upload_time: TimestampMs,
}

/// What became of a [`NewDocument`].
#[derive(Clone, Debug, PartialEq)]
pub struct Submitted {
    /// The new document, or the one that has these bytes already.
    pub document: Document,
    /// Whether it was there before.
    pub duplicate: bool,
}

/// A job of the ledger: a document that is not final, and where to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// As stored.
    pub document: Document,
    /// The first stage that is not done: its inputs are stored. `Queued` means from the beginning.
    pub stage: Stage,
    /// How often it was begun before, since it was last acknowledged.
    pub attempts: u32,
}

/// The output of a stage, kept until the document is ready so that a restart need not repeat it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Artefact {
    Parsed(Parsed),
    Chunks(Vec<Chunk>),
    /// Chunks again, now with annotations, and those of the document.
    Enriched {
        chunks: Vec<Chunk>,
        document: JsonMap,
    },
    Vectors(Vec<f32>),
}

/// A document whose every stage is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The record to store: status, title, metadata, chunk_count, warnings and provenance filled in.
    pub document: Document,
    /// The text that `GET /documents/{id}/text` returns; every chunk's `chars` point into it.
    pub text: String,
    /// In order.
    pub chunks: Vec<Chunk>,
    /// Row-major; `chunks.len() * dimension`.
    pub vectors: Vec<f32>,
}

/// What a deletion removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Purged {
    pub chunks: u64,
    pub vectors: u64,
    /// Whether the bytes went, too: no other document has them.
    pub blob: bool,
    pub bytes: u64,
}

/// A collection.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Collection {
    pub id: CollectionId,
    pub key: CollectionKey,
    /// Fingerprint of the embedder whose vectors it holds; `None` while it has none.
    pub embedder: Option<String>,
    pub dimension: Option<usize>,
    /// Ready documents.
    pub documents: u64,
    pub chunks: u64,
    /// Sequence number of its last change in the journal; 0 before the first.
    pub last_seq: u64,
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct JournalEntry {
    /// Counts all changes of the store, from 1.
    pub seq: u64,
    pub collection: CollectionId,
    pub document: DocumentId,
    /// Whether the document is gone; else it was put.
    pub deleted: bool,
}

/// Which documents to list; all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct DocumentQuery {
    pub collection: Option<CollectionName>,
    pub status: Option<Stage>,
    pub file_type: Option<FileType>,
    pub tag: Option<String>,
    pub filename: Option<String>,
    /// Newest first; else oldest first. Ids are in order of upload.
    pub descending: bool,
    /// Only what comes behind this document in that order.
    pub after: Option<DocumentId>,
    pub limit: usize,
}

/// Totals for health and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Totals {
    pub documents: u64,
    pub ready: u64,
    pub failed: u64,
    /// Jobs not final.
    pub queued: u64,
    pub chunks: u64,
    pub sessions: u64,
    /// Size of the database file.
    pub database_bytes: u64,
}

/// The store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store;

impl Store {
    /// Opens or creates `<data_dir>/database/smartrag.redb` and `<data_dir>/file_storage`; takes the lock of the
    /// directory; removes what an interrupted upload left behind.
    pub fn open(_data_dir: &Path) -> Result<Self> {
        todo!()
    }

    // --- blobs and documents ---

    /// Begins to take in a file.
    pub fn blob_writer(&self) -> Result<BlobWriter> {
        todo!()
    }
    /// Takes documents in: blobs, records and jobs in one durable commit. On return they are acknowledged.
    pub fn submit(&self, _documents: Vec<NewDocument>, _queue_max: usize) -> Result<Vec<Submitted>> {
        todo!()
    }
    /// A document of this owner.
    pub fn document(&self, _owner: &UserId, _id: DocumentId) -> Result<Option<Document>> {
        todo!()
    }
    /// Any document: for the daemon's own work, never for a request.
    pub fn document_any(&self, _id: DocumentId) -> Result<Option<Document>> {
        todo!()
    }
    /// Documents of this owner.
    pub fn documents(&self, _owner: &UserId, _query: &DocumentQuery) -> Result<Slice<Document>> {
        todo!()
    }
    /// The original bytes.
    pub fn content(&self, _owner: &UserId, _id: DocumentId) -> Result<Option<BlobHandle>> {
        todo!()
    }
    /// The normalised text; `None` until the document is ready.
    pub fn text(&self, _owner: &UserId, _id: DocumentId) -> Result<Option<String>> {
        todo!()
    }
    /// Chunks `from..from + limit`.
    pub fn chunks(
        &self,
        _owner: &UserId,
        _id: DocumentId,
        _from: u32,
        _limit: usize,
    ) -> Result<Slice<Chunk>> {
        todo!()
    }
    /// Chunks by id, each with its document, in the order asked for; those that are gone or another owner's are
    /// left out. One read transaction.
    pub fn chunks_by_id(
        &self,
        _owner: &UserId,
        _ids: &[ChunkId],
    ) -> Result<Vec<(std::sync::Arc<Document>, Chunk)>> {
        todo!()
    }
    /// Removes a document and all that was derived from it: one durable commit with a journal entry.
    /// Returns the entry so that the indexes can follow; `None` where the owner has no such document.
    pub fn delete(&self, _owner: &UserId, _id: DocumentId) -> Result<Option<(Purged, JournalEntry)>> {
        todo!()
    }
    /// Queues a document anew; its present chunks stay searchable until the new ones replace them.
    pub fn reprocess(&self, _owner: &UserId, _id: DocumentId) -> Result<Option<Document>> {
        todo!()
    }

    // --- the ledger ---

    /// The oldest job that nobody works on; it is taken until it is final or the process ends. `None` if there is none.
    pub fn claim(&self) -> Result<Option<Job>> {
        todo!()
    }
    /// Gives a claimed job back untouched (shutdown).
    pub fn release(&self, _id: DocumentId) {
        todo!()
    }
    /// The bytes for a claimed job.
    pub fn job_content(&self, _id: DocumentId) -> Result<BlobHandle> {
        todo!()
    }
    /// Notes that a stage begins, and keeps the output of the one before. Survives a crash of the process; not
    /// fsynced, because the work can be repeated.
    pub fn advance(&self, _id: DocumentId, _to: Stage, _done: Option<Artefact>) -> Result<()> {
        todo!()
    }
    /// The kept outputs of a job, as far as it got.
    pub fn artefacts(&self, _id: DocumentId) -> Result<Vec<Artefact>> {
        todo!()
    }
    /// Commits finished documents in one durable transaction, replaces their former chunks, appends to the
    /// journal. Their status becomes `Indexing`. A document deleted meanwhile is skipped: no entry for it.
    /// `embedder` is the fingerprint and dimension of the vectors.
    pub fn commit(
        &self,
        _finished: Vec<Finished>,
        _embedder: Option<(&str, usize)>,
    ) -> Result<Vec<JournalEntry>> {
        todo!()
    }
    /// The indexes have the documents: `Indexing` becomes `Ready`, their jobs end, artefacts go.
    pub fn mark_ready(&self, _ids: &[DocumentId]) -> Result<()> {
        todo!()
    }
    /// Ends a job with a reason. Chunks of an earlier version stay.
    pub fn fail(&self, _id: DocumentId, _error: DocumentError) -> Result<()> {
        todo!()
    }

    // --- collections, journal, indexes ---

    /// A collection by its key.
    pub fn collection(&self, _key: &CollectionKey) -> Result<Option<Collection>> {
        todo!()
    }
    /// All collections of an owner, or of everybody.
    pub fn collections(&self, _owner: Option<&UserId>) -> Result<Vec<Collection>> {
        todo!()
    }
    /// The journal of a collection behind `after`, oldest first; each document once, with its last change.
    pub fn journal(&self, _collection: CollectionId, _after: u64) -> Result<Vec<JournalEntry>> {
        todo!()
    }
    /// What an index needs of a document; `None` if it is gone or has never been ready.
    pub fn index_document(&self, _id: DocumentId) -> Result<Option<IndexDocument>> {
        todo!()
    }
    /// Ids of all documents of a collection that have chunks.
    pub fn indexed_documents(&self, _collection: CollectionId) -> Result<Vec<DocumentId>> {
        todo!()
    }
    /// The vectors of a document, row-major.
    pub fn vectors(&self, _id: DocumentId) -> Result<Option<Vec<f32>>> {
        todo!()
    }

    // --- idempotency ---

    /// What an idempotency key of this owner stands for: the fingerprint of the request and its documents.
    pub fn idempotency(&self, _owner: &UserId, _key: &str) -> Result<Option<(String, Vec<DocumentId>)>> {
        todo!()
    }
    /// Remembers a key for 24 hours.
    pub fn set_idempotency(
        &self,
        _owner: &UserId,
        _key: &str,
        _fingerprint: &str,
        _ids: &[DocumentId],
        _now: TimestampMs,
    ) -> Result<()> {
        todo!()
    }

    // --- sessions and conversations ---

    /// Stores a session; `Conflict` if the id is taken.
    pub fn create_session(&self, _session: &Session) -> Result<()> {
        todo!()
    }
    /// A session by id, whoever owns it: decides who the caller is in local mode.
    pub fn session(&self, _id: &SessionId) -> Result<Option<Session>> {
        todo!()
    }
    /// Sessions of an owner, newest first, behind `after`.
    pub fn sessions(
        &self,
        _owner: &UserId,
        _after: Option<&SessionId>,
        _limit: usize,
    ) -> Result<Slice<Session>> {
        todo!()
    }
    /// Replaces a session of the same owner.
    pub fn update_session(&self, _session: &Session) -> Result<()> {
        todo!()
    }
    /// Deletes a session with its conversations; `false` where the owner has none such. Documents stay.
    pub fn delete_session(&self, _owner: &UserId, _id: &SessionId) -> Result<bool> {
        todo!()
    }
    /// Stores or replaces a conversation.
    pub fn put_conversation(&self, _conversation: &Conversation) -> Result<()> {
        todo!()
    }
    /// A conversation of this owner.
    pub fn conversation(&self, _owner: &UserId, _id: ConversationId) -> Result<Option<Conversation>> {
        todo!()
    }
    /// Conversations of an owner, newest first, behind `after`; only those of a session if one is given.
    pub fn conversations(
        &self,
        _owner: &UserId,
        _session: Option<&SessionId>,
        _after: Option<ConversationId>,
        _limit: usize,
    ) -> Result<Slice<Conversation>> {
        todo!()
    }
    /// Appends messages in one durable commit.
    pub fn append_messages(
        &self,
        _owner: &UserId,
        _conversation: ConversationId,
        _messages: &[Message],
    ) -> Result<()> {
        todo!()
    }
    /// The last `limit` messages, oldest first.
    pub fn messages(
        &self,
        _owner: &UserId,
        _conversation: ConversationId,
        _limit: usize,
    ) -> Result<Vec<Message>> {
        todo!()
    }

    // --- health ---

    /// Totals over everything.
    pub fn totals(&self) -> Result<Totals> {
        todo!()
    }
    /// Reads the whole database and compares checksums; slow.
    pub fn verify(&self) -> Result<()> {
        todo!()
    }
}
