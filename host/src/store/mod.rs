//! The one truth: redb for records, content-addressed blobs for bytes. Indexes are derived from it.
//!
//! Invariants: owner and collection stand in every key; what was acknowledged is fsynced; blocking calls only.

mod backup;
mod blobs;
mod chats;
mod collections;
mod commit;
mod damage;
mod delete;
mod documents;
mod engine;
mod error;
mod generations;
mod grants;
mod health;
mod home;
mod idempotency;
mod jobs;
mod journal;
mod keys;
mod model;
mod open;
mod optimize;
mod paths;
mod records;
mod scratch;
mod sessions;
mod settle;
mod submit;
mod tables;
mod usage;
mod users;

pub use backup::{
    Backup, BackupStep, Counts, EmbedderNote, FileSum, LargeBlobs, Manifest, PluginNote, Progress, Restored,
    Surroundings, Verified, backups, restore, verify as verify_backup,
};
pub use blobs::{BlobHandle, BlobWriter, StagedBlob};
pub use error::{Error, Result};
pub use idempotency::Answered;
pub use keys::is_key;
pub use model::{
    Artefact, Collection, Committed, DocumentQuery, Embedded, EmbedderSource, Finished, Generation, Job,
    JournalEntry, Listed, NewDocument, NextVectors, OptimizeStep, Optimized, Pending, Purged, Slice,
    StoredChange, Submitted, Totals,
};
pub use open::Store;

#[cfg(test)]
mod tests;
