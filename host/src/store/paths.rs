//! Where documents come from: versions of one file share a path, and the newest that is ready replaces the others.

use redb::{ReadableTable, WriteTransaction};

use super::Result;
use super::tables::{DocumentKey, PATHS, PATHS_OF, Snapshot};

/// Notes that a document came from a path.
pub(super) fn note(txn: &WriteTransaction, (collection, document): DocumentKey, path: &str) -> Result<()> {
    txn.open_table(PATHS)?.insert((collection, path, document), ())?;
    txn.open_table(PATHS_OF)?.insert((document, path), ())?;
    Ok(())
}

/// The paths that a document came from.
pub(super) fn of(txn: &impl Snapshot, document: u128) -> Result<Vec<String>> {
    let table = txn.table(PATHS_OF)?;
    let mut paths = Vec::new();
    for row in table.range((document, "")..)? {
        let (key, _) = row?;
        let (of, path) = key.value();
        if of != document {
            break;
        }
        paths.push(path.to_owned());
    }
    Ok(paths)
}

/// The documents that came from a path, oldest first.
pub(super) fn at(txn: &impl Snapshot, collection: u32, path: &str) -> Result<Vec<u128>> {
    let table = txn.table(PATHS)?;
    let rows = table.range((collection, path, 0)..=(collection, path, u128::MAX))?;
    rows.map(|row| Ok(row?.0.value().2)).collect()
}

/// Takes a document from a path; whether it has no other.
pub(super) fn detach(
    txn: &WriteTransaction,
    (collection, document): DocumentKey,
    path: &str,
) -> Result<bool> {
    txn.open_table(PATHS)?.remove((collection, path, document))?;
    txn.open_table(PATHS_OF)?.remove((document, path))?;
    Ok(of(txn, document)?.is_empty())
}

/// Takes a document from all its paths.
pub(super) fn forget(txn: &WriteTransaction, key: DocumentKey) -> Result<()> {
    of(txn, key.1)?.iter().try_for_each(|path| detach(txn, key, path).map(drop))
}

/// Documents that are to go when this one is ready: older ones that have no other path than those of this one, and this one
/// itself where a newer one is ready already. They are taken from the paths.
pub(super) fn replaced(
    txn: &WriteTransaction,
    key: DocumentKey,
    is_ready: impl Fn(u128) -> Result<bool>,
) -> Result<Vec<u128>> {
    let (collection, document) = key;
    let mut gone = Vec::new();
    for path in of(txn, document)? {
        for other in at(txn, collection, &path)? {
            let older = match other.cmp(&document) {
                std::cmp::Ordering::Less => other,
                std::cmp::Ordering::Greater if is_ready(other)? => document,
                _ => continue,
            };
            if detach(txn, (collection, older), &path)? {
                gone.push(older);
            }
        }
    }
    Ok(gone)
}
