//! Gives back what is no longer needed: lines of the journal, rows and files without a document, room in the database.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::error::at;
use super::tables::*;
use super::{OptimizeStep, Optimized, Result, Store, blobs, collections};
use crate::types::*;

/// Rows that one transaction removes, so that nobody waits for long.
const BATCH: usize = 4096;
/// The database is copied if this part of it would be given back.
const GAIN_MIN: u64 = 16;

/// Keys of rows that nothing points to.
#[derive(Default)]
struct Orphans {
    texts: Vec<DocumentKey>,
    vectors: Vec<DocumentKey>,
    generations: Vec<(u32, u32, u128)>,
    /// The documents of the chunks.
    chunks: Vec<DocumentKey>,
    blobs: Vec<[u8; 32]>,
}

impl Orphans {
    fn find(txn: &ReadTransaction) -> Result<Self> {
        let documents = txn.open_table(DOCUMENTS)?;
        let gone = |key: DocumentKey| Ok(documents.get(key)?.is_none());
        let gone_of = |(collection, _, document): (u32, u32, u128)| gone((collection, document));
        Ok(Self {
            texts: without(txn.open_table(TEXTS)?.iter()?.map(|row| Ok(row?.0.value())), gone)?,
            vectors: without(txn.open_table(VECTORS)?.iter()?.map(|row| Ok(row?.0.value())), gone)?,
            generations: without(
                txn.open_table(GENERATIONS)?.iter()?.map(|row| Ok(row?.0.value())),
                gone_of,
            )?,
            chunks: without(documents_of_chunks(txn)?.into_iter().map(Ok), gone)?,
            blobs: unnamed_blobs(txn)?,
        })
    }

    /// Looks again and removes them; how many rows went.
    fn remove(&self, txn: &WriteTransaction) -> Result<u64> {
        let documents = txn.open_table(DOCUMENTS)?;
        let gone = |key: &DocumentKey| Ok::<_, super::Error>(documents.get(*key)?.is_none());
        let (mut texts, mut vectors) = (txn.open_table(TEXTS)?, txn.open_table(VECTORS)?);
        let mut removed = 0;
        for key in &self.texts {
            removed += u64::from(gone(key)? && texts.remove(*key)?.is_some());
        }
        for key in &self.vectors {
            removed += u64::from(gone(key)? && vectors.remove(*key)?.is_some());
        }
        let mut generations = txn.open_table(GENERATIONS)?;
        for key in &self.generations {
            removed += u64::from(gone(&(key.0, key.2))? && generations.remove(*key)?.is_some());
        }
        for key in &self.chunks {
            if gone(key)? {
                super::commit::remove_chunks(txn, *key)?;
                removed += 1;
            }
        }
        for hash in &self.blobs {
            removed += u64::from(blobs::remove_unnamed(txn, hash)?);
        }
        Ok(removed)
    }

    fn is_empty(&self) -> bool {
        let documents = [&self.texts, &self.vectors, &self.chunks];
        documents.iter().all(|keys| keys.is_empty()) && self.generations.is_empty() && self.blobs.is_empty()
    }
}

fn without<K: Copy>(
    keys: impl Iterator<Item = Result<K>>,
    gone: impl Fn(K) -> Result<bool>,
) -> Result<Vec<K>> {
    let mut orphans = Vec::new();
    for key in keys {
        let key = key?;
        if gone(key)? {
            orphans.push(key);
        }
    }
    Ok(orphans)
}

/// Documents that have chunks, without a look at each chunk.
fn documents_of_chunks(txn: &ReadTransaction) -> Result<Vec<DocumentKey>> {
    let chunks = txn.open_table(CHUNKS)?;
    let (mut found, mut from) = (Vec::new(), (0, 0, 0));
    while let Some(row) = chunks.range(from..)?.next() {
        let (collection, document, _) = row?.0.value();
        found.push((collection, document));
        from = match (document.checked_add(1), collection.checked_add(1)) {
            (Some(next), _) => (collection, next, 0),
            (None, Some(next)) => (next, 0, 0),
            (None, None) => break,
        };
    }
    Ok(found)
}

/// Blobs that no document has, and bytes without a record.
fn unnamed_blobs(txn: &ReadTransaction) -> Result<Vec<[u8; 32]>> {
    let mut named = HashSet::new();
    for row in txn.open_table(BY_HASH)?.iter()? {
        named.insert(*row?.0.value().1);
    }
    let mut unnamed = HashSet::new();
    for row in txn.open_table(BLOBS)?.iter()? {
        unnamed.insert(*row?.0.value());
    }
    for row in txn.open_table(BLOB_BYTES)?.iter()? {
        unnamed.insert(*row?.0.value());
    }
    Ok(unnamed.difference(&named).copied().collect())
}

/// The deletions up to `passed`, but not the collection's last change.
fn deletions(txn: &ReadTransaction, id: CollectionId, passed: u64) -> Result<Vec<(u64, u128)>> {
    let key = collections::key_of(txn, id.0)?;
    let last = collections::record(txn, &key)?.map_or(0, |record| record.last_seq);
    let mut lines = Vec::new();
    for row in txn.open_table(JOURNAL)?.range((id.0, 0)..=(id.0, passed.min(last.saturating_sub(1))))? {
        let (line, change) = row?;
        if let (document, true) = change.value() {
            lines.push((line.value().1, document));
        }
    }
    Ok(lines)
}

/// Drops some of them.
fn drop_lines(txn: &WriteTransaction, id: CollectionId, lines: &[(u64, u128)]) -> Result<()> {
    let key = collections::key_of(txn, id.0)?;
    let (Some(mut record), Some((last, _))) = (collections::record(txn, &key)?, lines.last()) else {
        return Ok(());
    };
    let (mut journal, mut changes) = (txn.open_table(JOURNAL)?, txn.open_table(LAST_CHANGE)?);
    for (seq, document) in lines {
        journal.remove((id.0, *seq))?;
        changes.remove((id.0, *document))?;
    }
    record.purged_seq = *last;
    collections::put(txn, &key, &record)
}

impl Store {
    /// Removes what nothing needs any more and gives the room back to the device: lines of the journal about
    /// deletions that every index knows of, rows and files without a document, free pages of the database.
    ///
    /// `passed` has, of each collection, the sequence number up to which all its indexes are complete; the journal
    /// of others is left alone. An index that is found behind [`Collection::purged_seq`](super::Collection) later must
    /// be built anew. A conflict while a backup is made. The daemon may go on: readers are not hindered, writers wait while the database is copied (see
    /// [`Optimized::paused_ms`]). A crash or a full disk leaves the store as it was before or after a step.
    pub fn optimize(
        &self,
        passed: &HashMap<CollectionId, u64>,
        progress: &mut dyn FnMut(OptimizeStep),
    ) -> Result<Optimized> {
        let _alone = self.try_upkeep()?;
        progress(OptimizeStep::Sweep);
        let mut done = Optimized { bytes_before: self.bytes_on_disk()?, ..Optimized::default() };
        for (id, passed) in passed {
            let lines = self.engine().read(|txn| deletions(txn, *id, *passed))?;
            for batch in lines.chunks(BATCH) {
                self.engine().write(|txn| drop_lines(txn, *id, batch))?;
            }
            done.journal_lines += lines.len() as u64;
        }
        done.rows = self.sweep_generations()? + self.remove_orphans()?;
        done.files = self.remove_files()?;
        let begun = Instant::now();
        if self.worth_a_copy()? {
            self.copy(progress)?;
            done.compacted = true;
        }
        done.paused_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        done.bytes_after = self.bytes_on_disk()?;
        Ok(done)
    }

    fn remove_orphans(&self) -> Result<u64> {
        let orphans = self.engine().read(Orphans::find)?;
        if orphans.is_empty() {
            return Ok(0);
        }
        tracing::warn!("the store held rows that nothing pointed to");
        self.engine().write(|txn| orphans.remove(txn))
    }

    /// Removes files of large blobs that no record names.
    fn remove_files(&self) -> Result<u64> {
        let files = self.files().list()?;
        let unnamed: Vec<ContentHash> = self.engine().read(|txn| {
            let blobs = txn.open_table(BLOBS)?;
            let unnamed =
                files.into_iter().map(|(hash, _)| Ok(blobs.get(&hash.0)?.is_none().then_some(hash)));
            unnamed.filter_map(Result::transpose).collect()
        })?;
        // Looks again at each, and removes it.
        unnamed.iter().try_for_each(|hash| self.with_files(&[*hash], || Ok(())))?;
        Ok(unnamed.len() as u64)
    }

    fn worth_a_copy(&self) -> Result<bool> {
        let (now, used) = (self.database_bytes()?, self.engine().used_bytes()?);
        Ok(now.saturating_sub(used) > now / GAIN_MIN)
    }

    /// Gives free pages of the database back.
    pub(super) fn copy(&self, progress: &mut dyn FnMut(OptimizeStep)) -> Result<()> {
        self.engine().renew(|from, to| {
            copy_all(from, to, &mut |bytes| {
                progress(OptimizeStep::Copy(bytes));
                self.files().check_room(0)
            })
        })
    }

    fn database_bytes(&self) -> Result<u64> {
        let path = self.database_path();
        Ok(fs::metadata(path).map_err(at(path))?.blocks() * 512)
    }

    fn bytes_on_disk(&self) -> Result<u64> {
        let files = self.files().list()?;
        Ok(self.database_bytes()? + files.iter().map(|(_, size)| size).sum::<u64>())
    }
}
