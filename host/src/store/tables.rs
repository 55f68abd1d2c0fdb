//! Every table and its key. A document's rows begin with the number of its collection, which stands for one owner
//! and one name and is never used again; rows of sessions and conversations begin with their owner or own id.

use std::collections::HashSet;

use redb::{
    Database, Durability, Key, ReadTransaction, ReadableTable, Table, TableDefinition, TableHandle, Value,
    WriteTransaction,
};

use super::Result;
use crate::types::*;

/// Collection and document.
pub(super) type DocumentKey = (u32, u128);
/// A record in MessagePack, see `records`.
pub(super) type Packed = &'static [u8];

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $key:ty => $value:ty = $text:literal;)+) => {
        $($(#[$doc])* pub(super) const $name: TableDefinition<'static, $key, $value> = TableDefinition::new($text);)+

        /// Creates what is missing, so that readers find every table.
        pub(super) fn create_all(txn: &WriteTransaction) -> Result<()> {
            $(txn.open_table($name)?;)+
            Ok(())
        }

        /// Whether nothing is missing.
        pub(super) fn all_exist(txn: &ReadTransaction) -> Result<bool> {
            let names: HashSet<String> = txn.list_tables()?.map(|table| table.name().to_owned()).collect();
            Ok([$($text),+].iter().all(|name| names.contains(*name)))
        }

        /// Copies every table into an empty database; `each` is told after some MiB how many bytes there are by now.
        pub(super) fn copy_all(
            from: &ReadTransaction,
            to: &Database,
            each: &mut dyn FnMut(u64) -> Result<()>,
        ) -> Result<()> {
            let mut copy = Copy { from, to, bytes: 0, each };
            $(copy.table($name)?;)+
            Ok(())
        }
    };
}

tables! {
    /// Counters: `collection`, `job`, `seq`; and `format`, the version of all this.
    META: &'static str => u64 = "meta";

    /// Owner and name to the collection's record.
    COLLECTIONS: (&'static str, &'static str) => Packed = "collections";
    /// The inverse: number to owner and name.
    COLLECTION_KEYS: u32 => (&'static str, &'static str) = "collection_keys";

    /// Document to its collection.
    LOCATORS: u128 => u32 = "locators";
    /// The records.
    DOCUMENTS: DocumentKey => Packed = "documents";
    /// Collection and SHA-256 to the document with these bytes.
    BY_HASH: (u32, &'static [u8; 32]) => u128 = "by_hash";
    /// Collection, path, document: the versions that came from a path.
    PATHS: (u32, &'static str, u128) => () = "paths";
    /// The inverse: document and path.
    PATHS_OF: (u128, &'static str) => () = "paths_of";
    /// Documents whose last job failed.
    FAILED: u128 => () = "failed";

    /// SHA-256 to size and number of documents.
    BLOBS: &'static [u8; 32] => (u64, u32) = "blobs";
    /// The bytes of small blobs.
    BLOB_BYTES: &'static [u8; 32] => Packed = "blob_bytes";

    /// Normalised text.
    TEXTS: DocumentKey => &'static str = "texts";
    /// Collection, document, position.
    CHUNKS: (u32, u128, u32) => Packed = "chunks";
    /// Little-endian f32, row-major.
    VECTORS: DocumentKey => Packed = "vectors";
    /// Collection, generation, document: as [`VECTORS`], which has generation 0.
    GENERATIONS: (u32, u32, u128) => Packed = "generations";
    /// Fingerprint of an embedder to how it can be had again.
    EMBEDDERS: &'static str => Packed = "embedders";

    /// Jobs that are not final, in order of acknowledgement.
    JOBS: u64 => u128 = "jobs";
    /// Document to its job, and whether it is committed.
    JOB_OF: u128 => (u64, bool) = "job_of";

    /// Collection and sequence number to the document and whether it was deleted: its last change only.
    JOURNAL: (u32, u64) => (u128, bool) = "journal";
    /// Document to the sequence number of its last change.
    LAST_CHANGE: DocumentKey => u64 = "last_change";

    /// Session id to its record.
    SESSIONS: &'static str => Packed = "sessions";
    /// Owner, time of creation, session id.
    SESSIONS_BY_OWNER: (&'static str, i64, &'static str) => () = "sessions_by_owner";
    /// Conversation to its record.
    CONVERSATIONS: u128 => Packed = "conversations";
    /// Owner and conversation.
    CONVERSATIONS_BY_OWNER: (&'static str, u128) => () = "conversations_by_owner";
    /// Session and conversation.
    CONVERSATIONS_BY_SESSION: (&'static str, u128) => () = "conversations_by_session";
    /// Conversation and position.
    MESSAGES: (u128, u64) => Packed = "messages";

    /// Users that were created; others exist through what they own.
    USERS: &'static str => Packed = "users";
    /// Key id to its record, which has the hash of the key.
    KEYS: &'static str => Packed = "keys";
    /// Owner and key id.
    KEYS_BY_OWNER: (&'static str, &'static str) => () = "keys_by_owner";
    /// Collection and user to what he may do there.
    GRANTS: (u32, &'static str) => u8 = "grants";
    /// The inverse: user and collection.
    GRANTS_BY_USER: (&'static str, u32) => u8 = "grants_by_user";

    /// Logged queries.
    QUERIES: u128 => Packed = "queries";
    /// User and query.
    QUERIES_BY_USER: (&'static str, u128) => () = "queries_by_user";
    /// Time to the figures of that moment.
    SAMPLES: i64 => Packed = "samples";

    /// Owner and key to the remembered request.
    IDEMPOTENCY: (&'static str, &'static str) => Packed = "idempotency";
    /// Time, owner and key: what to forget first.
    IDEMPOTENCY_BY_TIME: (i64, &'static str, &'static str) => () = "idempotency_by_time";
}

/// The number that redb keeps for an id: its order is the order of the ids.
pub(super) fn number(id: DocumentId) -> u128 {
    id.0.as_u128()
}

/// The inverse of [`number`].
pub(super) fn document_id(number: u128) -> DocumentId {
    DocumentId::from_bytes(number.to_be_bytes())
}

/// Counts on and returns the new number; the first is 1.
pub(super) fn count(meta: &mut Table<'_, &'static str, u64>, name: &str) -> Result<u64> {
    let next = meta.get(name)?.map_or(0, |row| row.value()) + 1;
    meta.insert(name, next)?;
    Ok(next)
}

/// A state of the database to read from: of a reader or of a writer.
pub(super) trait Snapshot {
    fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<impl ReadableTable<K, V>>;
}

impl Snapshot for ReadTransaction {
    fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<impl ReadableTable<K, V>> {
        Ok(self.open_table(table)?)
    }
}

impl Snapshot for WriteTransaction {
    fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<impl ReadableTable<K, V>> {
        Ok(self.open_table(table)?)
    }
}

/// Rows of so many bytes are copied in one transaction.
const COPY_BYTES: u64 = 8 << 20;

struct Copy<'a> {
    from: &'a ReadTransaction,
    to: &'a Database,
    bytes: u64,
    each: &'a mut dyn FnMut(u64) -> Result<()>,
}

impl Copy<'_> {
    /// In order of the keys, which fills pages best.
    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<()> {
        let from = self.from.open_table(table)?;
        let mut rows = from.iter()?.peekable();
        loop {
            let mut txn = self.to.begin_write()?;
            // Closing it makes all of this durable.
            txn.set_durability(Durability::None)?;
            let until = self.bytes + COPY_BYTES;
            {
                let mut to = txn.open_table(table)?;
                while self.bytes < until {
                    let Some(row) = rows.next() else { break };
                    let (key, value) = row?;
                    self.bytes += V::as_bytes(&value.value()).as_ref().len() as u64;
                    to.insert(key.value(), value.value())?;
                }
            }
            txn.commit()?;
            (self.each)(self.bytes)?;
            if rows.peek().is_none() {
                return Ok(());
            }
        }
    }
}
