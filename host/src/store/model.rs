use std::convert::Infallible;
use std::time::Instant;

use super::StagedBlob;
use crate::types::*;

/// A page of a list, in order of id.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice<T> {
    /// At most the limit asked for.
    pub items: Vec<T>,
    /// Whether there is more behind the last item.
    pub more: bool,
}

impl<T> Slice<T> {
    /// Takes at most `limit` items and looks whether another one follows.
    pub(super) fn take<E>(items: impl Iterator<Item = Result<T, E>>, limit: usize) -> Result<Self, E> {
        let mut slice = Slice { items: Vec::new(), more: false };
        for item in items {
            let item = item?;
            if slice.items.len() == limit {
                slice.more = true;
                break;
            }
            slice.items.push(item);
        }
        Ok(slice)
    }

    /// The same of items that are there.
    pub fn of(items: impl Iterator<Item = T>, limit: usize) -> Self {
        let Ok(slice) = Self::take(items.map(Ok::<_, Infallible>), limit);
        slice
    }
}

/// A document to take in.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct NewDocument {
    pub collection: CollectionKey,
    pub filename: String,
    /// Where it comes from.
    pub path: Option<String>,
    pub file_type: FileType,
    pub blob: StagedBlob,
    pub tags: Vec<String>,
    pub metadata: JsonMap,
    pub upload_time: TimestampMs,
    /// When its request was let in: for a user who was deleted since, nothing is taken in.
    pub since: Instant,
}

/// What became of a [`NewDocument`].
#[derive(Clone, Debug, PartialEq)]
pub struct Submitted {
    /// The new document, or the one that has these bytes already.
    pub document: Document,
    /// Whether it was there before.
    pub duplicate: bool,
    /// Documents that the one which was there before replaces at its new path: for the caller to delete.
    pub replaces: Vec<DocumentId>,
}

/// A job of the ledger: a document that is not final, and where to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// As stored.
    pub document: Document,
    /// The first stage that is not done: its inputs are stored. `Queued` means from the beginning; `Indexing`
    /// that the document is committed and only the indexes have to follow.
    pub stage: Stage,
    /// How often it was claimed before without an end: neither done, failed nor given back. A document that
    /// takes the process down with it comes back with a higher number.
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
    /// The record to store: file type, title, metadata, warnings and provenance are taken from it; what the
    /// upload fixed (name, size, hash, tags, time) stays as it is, and `chunk_count` is that of `chunks`.
    pub document: Document,
    /// The text that `GET /documents/{id}/text` returns; every chunk's `chars` point into it.
    pub text: String,
    /// In order.
    pub chunks: Vec<Chunk>,
    /// Row-major; `chunks.len() * dimension`.
    pub vectors: Vec<f32>,
    /// Those of another embedder: the present one of the collection, while `vectors` are of the next.
    pub also: Option<Embedded>,
}

impl Finished {
    /// The vectors that an embedder made; `vectors` are of the one with the fingerprint `main`.
    pub fn vectors_by(&self, fingerprint: &str, main: &str) -> Option<&[f32]> {
        let also = || self.also.as_ref().filter(|also| also.fingerprint == fingerprint);
        if fingerprint == main { Some(&self.vectors) } else { also().map(|also| also.vectors.as_slice()) }
    }
}

/// Vectors of all chunks of a document.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Embedded {
    pub fingerprint: String,
    pub dimension: usize,
    /// Row-major.
    pub vectors: Vec<f32>,
}

/// Vectors of the next embedder for a document.
#[derive(Clone, Debug, PartialEq)]
pub struct NextVectors {
    /// As it was pending.
    pub document: DocumentId,
    /// As it was pending.
    pub seq: u64,
    /// Of all its chunks, row-major.
    pub vectors: Vec<f32>,
}

/// A document without vectors of the next embedder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Which.
    pub document: DocumentId,
    /// Of its last change.
    pub seq: u64,
}

/// How to have an embedder again.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct EmbedderSource {
    pub fingerprint: String,
    pub dimension: usize,
    pub plugin: String,
    pub settings: JsonMap,
}

/// What a deletion removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Purged {
    pub chunks: u64,
    pub vectors: u64,
    /// Whether the bytes went, too: no other document has them.
    pub blob: bool,
    /// How many bytes of the original went; 0 where another document has them.
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
    /// Documents that were committed: searches find them, also while they are processed anew.
    pub documents: u64,
    pub chunks: u64,
    /// Sequence number of its last change in the journal; 0 before the first.
    pub last_seq: u64,
    /// Lines of deletions up to here may be gone from the journal: an index whose cursor is behind, but not at 0, may
    /// hold what was deleted and must be built anew.
    pub purged_seq: u64,
    /// Vectors of another embedder that are being made.
    pub next: Option<Generation>,
}

/// Vectors that are being made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Generation {
    pub fingerprint: String,
    pub dimension: usize,
    /// Documents that have them, of the collection's `documents`.
    pub done: u64,
}

/// A committed version of a document.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Committed {
    pub entry: JournalEntry,
    /// See [`IndexDocument::first_row`].
    pub first_row: u32,
    /// See [`IndexDocument::is_first`].
    pub is_first: bool,
    /// Deletions of what it replaces, in the same commit; it may be among them itself, where a newer version is ready already.
    pub replaced: Vec<JournalEntry>,
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

/// Documents of which collections.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Listed {
    /// All of the user's own.
    #[default]
    Own,
    /// Also those of others that he may read.
    Readable,
    /// This one.
    One(CollectionKey),
}

/// A change of a document that an event can be told of.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct StoredChange {
    /// In the order of all changes.
    pub seq: u64,
    pub collection: CollectionKey,
    pub document: DocumentId,
    /// Whether it is gone; else it is ready, failed, or worked on.
    pub deleted: bool,
}

/// Which documents to list; all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct DocumentQuery {
    pub listed: Listed,
    pub status: Option<Stage>,
    pub file_type: Option<FileType>,
    pub tag: Option<String>,
    pub filename: Option<String>,
    pub path: Option<String>,
    /// Newest first; else oldest first. Ids are in order of upload.
    pub descending: bool,
    /// Only what comes behind this document in that order.
    pub after: Option<DocumentId>,
    pub limit: usize,
}

impl DocumentQuery {
    /// Whether a document passes all conditions but those of collection and path.
    pub(super) fn matches(&self, document: &Document) -> bool {
        self.status.is_none_or(|status| document.status == status)
            && self.file_type.as_ref().is_none_or(|file_type| document.file_type == *file_type)
            && self.tag.as_ref().is_none_or(|tag| document.tags.contains(tag))
            && self.filename.as_ref().is_none_or(|filename| document.filename == *filename)
    }
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

/// What [`Store::optimize`](super::Store::optimize) is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptimizeStep {
    /// Looks for rows and files that nothing points to. Everything goes on.
    Sweep,
    /// Copies what lives into a new database file, so many bytes by now; writers wait.
    Copy(u64),
}

/// What [`Store::optimize`](super::Store::optimize) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Optimized {
    /// What database and files took on the device.
    pub bytes_before: u64,
    /// What they take now.
    pub bytes_after: u64,
    /// Lines of the journal about deletions that every index knows of.
    pub journal_lines: u64,
    /// Rows that nothing pointed to.
    pub rows: u64,
    /// Files that nothing pointed to.
    pub files: u64,
    /// Whether the database was copied; it is not where that would gain little.
    pub compacted: bool,
    /// How long writers had to wait, in milliseconds.
    pub paused_ms: u64,
}
