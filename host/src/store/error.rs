use std::io;
use std::path::{Path, PathBuf};

use crate::types::DocumentId;

/// What can go wrong, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("{0} is used by another smartrag process: stop it, or choose another data_dir")]
    Locked(PathBuf),
    #[error("no space left on the device of the data directory: free some, then try again")]
    Full,
    #[error("no space left on the device of {0}: free some, then try again")]
    FullAt(PathBuf),
    #[error("interrupted: the daemon is about to stop")]
    Stopped,
    #[error("not found")]
    NotFound,
    #[error("the queue is full for now, and {0} of your documents wait in it: try again later")]
    QueueFull(usize),
    #[error("{0}")]
    Conflict(String),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    #[error("the data have format {found}, which this smartrag does not know (it knows {known})")]
    Format { found: u64, known: u64 },
    #[error("the original {}: upload it again, or delete the document", missing(.0))]
    MissingOriginals(Vec<DocumentId>),
    #[error("the bytes of {0} changed since they were stored: move it away, then upload the original again")]
    Changed(PathBuf),
    #[error("the backup {0} can't be used: {1}")]
    BadBackup(PathBuf, String),
    #[error("database: {0}")]
    Database(String),
}

/// Documents that are named one by one.
const NAMED_MAX: usize = 10;

fn missing(documents: &[DocumentId]) -> String {
    let named: Vec<String> = documents.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let named = named.join(", ");
    match documents.len() {
        1 => format!("of document {named} is missing or cut off"),
        count @ ..=NAMED_MAX => format!("of {count} documents is missing or cut off ({named})"),
        count => format!("of {count} documents is missing or cut off ({named}, …)"),
    }
}

/// Result of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Turns an I/O error at a path into ours: `.map_err(at(path))`.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| {
        if is_full(&source) { Error::Full } else { Error::Io { path: path.to_owned(), source } }
    }
}

impl From<redb::Error> for Error {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(source) if is_full(&source) => Error::Full,
            // redb says so of a file that is not one of its own, or that is cut off.
            redb::Error::Io(source)
                if matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                Error::Corrupt(source.to_string())
            }
            redb::Error::Corrupted(detail) => Error::Corrupt(detail),
            error @ (redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableDoesNotExist(_)) => Error::Corrupt(error.to_string()),
            error => Error::Database(error.to_string()),
        }
    }
}

macro_rules! from_redb {
    ($($kind:ident),+) => {$(
        impl From<redb::$kind> for Error {
            fn from(error: redb::$kind) -> Self {
                redb::Error::from(error).into()
            }
        }
    )+};
}
from_redb!(StorageError, TableError, TransactionError, CommitError, DatabaseError, SetDurabilityError);

impl From<rmp_serde::decode::Error> for Error {
    fn from(error: rmp_serde::decode::Error) -> Self {
        Error::Corrupt(format!("a record can't be read: {error}"))
    }
}

impl From<rmp_serde::encode::Error> for Error {
    fn from(error: rmp_serde::encode::Error) -> Self {
        Error::Database(format!("a record can't be written: {error}"))
    }
}
