//! Vectors of two embedders: those that searches use, and beside them those of the next embedder while they are made.
//!
//! A generation is a number that a collection never uses again. Its rows begin with it, so that a generation that
//! nobody needs can be removed in steps at any time: whatever is neither present nor next is left over. The first
//! generation, number 0, has a table of its own.

use redb::{ReadableTable, WriteTransaction};

use super::records::{
    CollectionRecord, EmbedderRecord, NextRecord, pack, pack_floats, unpack, unpack_floats,
};
use super::tables::*;
use super::{Embedded, EmbedderSource, Error, NextVectors, Pending, Result, Store, collections, documents};
use crate::types::*;

/// Rows that one transaction removes.
const SWEEP: usize = 1024;

/// The vectors of a document in a generation.
pub(super) fn get(
    txn: &impl Snapshot,
    (collection, document): DocumentKey,
    generation: u32,
) -> Result<Option<Vec<f32>>> {
    let packed = |row: redb::AccessGuard<'_, Packed>| unpack_floats(row.value());
    if generation == 0 {
        return Ok(txn.table(VECTORS)?.get((collection, document))?.map(packed));
    }
    Ok(txn.table(GENERATIONS)?.get((collection, generation, document))?.map(packed))
}

/// Writes the vectors of a document; whether there were some.
fn insert(
    txn: &WriteTransaction,
    (collection, document): DocumentKey,
    generation: u32,
    vectors: &[f32],
) -> Result<bool> {
    let packed = pack_floats(vectors);
    if generation == 0 {
        return Ok(txn.open_table(VECTORS)?.insert((collection, document), packed.as_slice())?.is_some());
    }
    let key = (collection, generation, document);
    Ok(txn.open_table(GENERATIONS)?.insert(key, packed.as_slice())?.is_some())
}

/// Removes the vectors of a document; whether there were some.
fn remove(txn: &WriteTransaction, (collection, document): DocumentKey, generation: u32) -> Result<bool> {
    if generation == 0 {
        return Ok(txn.open_table(VECTORS)?.remove((collection, document))?.is_some());
    }
    Ok(txn.open_table(GENERATIONS)?.remove((collection, generation, document))?.is_some())
}

/// Removes all vectors of a document that is deleted; whether searches had some.
pub(super) fn forget(
    txn: &WriteTransaction,
    key: DocumentKey,
    record: &mut CollectionRecord,
) -> Result<bool> {
    if let Some(next) = &mut record.next {
        next.done -= u64::from(remove(txn, key, next.generation)?);
    }
    remove(txn, key, record.generation)
}

/// Vectors of another length than their dimension says would poison a collection.
fn check_shape(id: u128, offer: &Offer<'_>, dimension: usize, chunks: usize) -> Result<()> {
    let floats = offer.vectors.len();
    if offer.dimension == dimension && floats == chunks * dimension {
        return Ok(());
    }
    let id = document_id(id);
    Err(Error::Conflict(format!(
        "document {id}: {floats} numbers are not {chunks} vectors of {dimension} dimensions"
    )))
}

/// Vectors of a version that is to be committed, and by whom.
#[derive(Clone, Copy)]
pub(super) struct Offer<'a> {
    pub fingerprint: &'a str,
    pub dimension: usize,
    pub vectors: &'a [f32],
}

impl<'a> From<&'a Embedded> for Offer<'a> {
    fn from(embedded: &'a Embedded) -> Self {
        let Embedded { fingerprint, dimension, vectors } = embedded;
        Self { fingerprint, dimension: *dimension, vectors }
    }
}

/// Replaces the vectors of a document by those of its new version, each generation by the offer of its embedder. The
/// first vectors of a collection settle its embedder. While there is a next one, the present one may be missing (its
/// plugin is gone, say); a next one that is missing is made up for later.
pub(super) fn commit(
    txn: &WriteTransaction,
    key: DocumentKey,
    record: &mut CollectionRecord,
    offers: &[Offer<'_>],
    chunks: usize,
) -> Result<()> {
    if record.embedder.is_none()
        && let Some(first) = offers.first()
    {
        record.embedder = Some(first.fingerprint.to_owned());
        record.dimension = Some(first.dimension);
    }
    let by = |fingerprint: &str| offers.iter().find(|offer| offer.fingerprint == fingerprint);
    let (present, dimension) =
        (record.embedder.as_deref().and_then(by), record.dimension.unwrap_or_default());
    match present {
        Some(offer) => {
            check_shape(key.1, offer, dimension, chunks)?;
            insert(txn, key, record.generation, offer.vectors)?;
        }
        None if offers.is_empty()
            || record.next.as_ref().is_some_and(|next| by(&next.fingerprint).is_some()) =>
        {
            remove(txn, key, record.generation)?;
        }
        None => return Err(Error::Conflict("the collection holds vectors of another embedder".into())),
    }
    let Some(next) = &mut record.next else { return Ok(()) };
    let former = match by(&next.fingerprint) {
        Some(offer) => {
            check_shape(key.1, offer, next.dimension, chunks)?;
            next.done += 1;
            insert(txn, key, next.generation, offer.vectors)?
        }
        None => remove(txn, key, next.generation)?,
    };
    next.done -= u64::from(former);
    Ok(())
}

/// Generations that nobody needs, with their collections.
fn old(txn: &impl Snapshot) -> Result<Vec<(u32, u32)>> {
    let mut old = Vec::new();
    for record in collections::records(txn)? {
        let needed = [Some(record.generation), record.next.map(|next| next.generation)];
        let unneeded = (0..=record.generations).filter(|one| !needed.contains(&Some(*one)));
        old.extend(unneeded.map(|generation| (record.id, generation)));
    }
    Ok(old)
}

/// Removes some of their rows; how many.
fn sweep(txn: &WriteTransaction) -> Result<usize> {
    let mut left = SWEEP;
    for (collection, generation) in old(txn)? {
        left -= sweep_one(txn, collection, generation, left)?;
    }
    Ok(SWEEP - left)
}

fn has_rows(txn: &impl Snapshot, collection: u32, generation: u32) -> Result<bool> {
    if generation == 0 {
        let all = (collection, 0)..=(collection, u128::MAX);
        return Ok(txn.table(VECTORS)?.range(all)?.next().is_some());
    }
    let all = (collection, generation, 0)..=(collection, generation, u128::MAX);
    Ok(txn.table(GENERATIONS)?.range(all)?.next().is_some())
}

fn sweep_one(txn: &WriteTransaction, collection: u32, generation: u32, limit: usize) -> Result<usize> {
    let mut removed = 0;
    if generation == 0 {
        let mut table = txn.open_table(VECTORS)?;
        let rows = table.extract_from_if((collection, 0)..=(collection, u128::MAX), |_, _| true)?;
        for row in rows.take(limit) {
            row?;
            removed += 1;
        }
        return Ok(removed);
    }
    let mut table = txn.open_table(GENERATIONS)?;
    let range = (collection, generation, 0)..=(collection, generation, u128::MAX);
    for row in table.extract_from_if(range, |_, _| true)?.take(limit) {
        row?;
        removed += 1;
    }
    Ok(removed)
}

impl Store {
    /// Begins, or goes on with, vectors of another embedder for a collection. Those of a third that were begun before
    /// are given up. `false` where the collection's vectors are of this embedder already; then nothing is begun, and
    /// what was begun is given up.
    pub fn begin_generation(&self, id: CollectionId, fingerprint: &str, dimension: usize) -> Result<bool> {
        self.edit(id, |record| {
            if record.embedder.as_deref().is_none_or(|present| present == fingerprint) {
                record.next = None;
                return Ok(false);
            }
            if record.next.as_ref().is_some_and(|next| next.fingerprint == fingerprint) {
                return Ok(true);
            }
            record.generations += 1;
            let (generation, fingerprint) = (record.generations, fingerprint.to_owned());
            record.next = Some(NextRecord { generation, fingerprint, dimension, done: 0 });
            Ok(true)
        })
    }

    /// Gives up the vectors of the next embedder: free until the switch.
    pub fn drop_generation(&self, id: CollectionId) -> Result<()> {
        self.edit(id, |record| {
            record.next = None;
            Ok(())
        })
    }

    /// Documents that have no vectors of the next embedder, in order, behind a document; at most `limit`.
    pub fn pending(&self, id: CollectionId, after: Option<DocumentId>, limit: usize) -> Result<Vec<Pending>> {
        self.engine().read(|txn| {
            let key = collections::key_of(txn, id.0)?;
            let next = collections::record(txn, &key)?.and_then(|record| record.next);
            let Some(NextRecord { generation, .. }) = next else { return Ok(Vec::new()) };
            let Some(from) = after.map_or(Some(0), |after| number(after).checked_add(1)) else {
                return Ok(Vec::new());
            };
            let (made, changes) = (txn.open_table(GENERATIONS)?, txn.open_table(LAST_CHANGE)?);
            let mut pending = Vec::new();
            // A document has a change of its own as soon as it is committed.
            for row in changes.range((id.0, from)..=(id.0, u128::MAX))? {
                let (key, seq) = row?;
                let (_, document) = key.value();
                let alive = || Ok::<_, Error>(txn.open_table(DOCUMENTS)?.get((id.0, document))?.is_some());
                if made.get((id.0, generation, document))?.is_none() && alive()? {
                    pending.push(Pending { document: document_id(document), seq: seq.value() });
                    if pending.len() == limit {
                        break;
                    }
                }
            }
            Ok(pending)
        })
    }

    /// Keeps vectors of the next embedder, of the versions of documents that they were made of; how many. A document
    /// that changed or went meanwhile is passed over, and so are all if the embedder is not the next one any more.
    /// `Conflict`, and nothing is kept, where the numbers do not fit.
    pub fn put_next(&self, id: CollectionId, fingerprint: &str, made: &[NextVectors]) -> Result<usize> {
        let bytes = made.iter().map(|made| 4 * made.vectors.len() as u64).sum();
        self.files().check_room(bytes)?;
        self.engine().write(|txn| {
            let key = collections::key_of(txn, id.0)?;
            let Some(mut record) = collections::record(txn, &key)? else { return Ok(0) };
            let Some(next) = record.next.as_mut().filter(|next| next.fingerprint == fingerprint) else {
                return Ok(0);
            };
            let mut kept = 0;
            for NextVectors { document, seq, vectors } in made {
                let key = (id.0, number(*document));
                let current = txn.open_table(LAST_CHANGE)?.get(key)?.map(|row| row.value());
                if current != Some(*seq) || documents::locate(txn, *document)?.is_none() {
                    continue;
                }
                let chunks = documents::record(txn, key)?.chunk_count as usize;
                check_shape(
                    key.1,
                    &Offer { fingerprint, dimension: next.dimension, vectors },
                    next.dimension,
                    chunks,
                )?;
                next.done += u64::from(!insert(txn, key, next.generation, vectors)?);
                kept += 1;
            }
            collections::put(txn, &key, &record)?;
            Ok(kept)
        })
    }

    /// Makes the next embedder's vectors those that searches use, in one step. `false`, and nothing happens, where a
    /// document has none yet, or no next embedder was begun. The old ones are left to [`Self::sweep_generations`].
    pub fn switch_generation(&self, id: CollectionId) -> Result<bool> {
        self.edit(id, |record| {
            let Some(next) = record.next.take_if(|next| next.done == record.documents) else {
                return Ok(false);
            };
            record.embedder = Some(next.fingerprint);
            record.dimension = Some(next.dimension);
            record.generation = next.generation;
            Ok(true)
        })
    }

    /// Removes vectors of generations that nobody needs, some at a time; how many.
    pub fn sweep_generations(&self) -> Result<u64> {
        let mut all = 0;
        while self.has_old_generations()? {
            all += self.engine().write(sweep)? as u64;
        }
        Ok(all)
    }

    /// Whether [`Self::sweep_generations`] would find something.
    pub fn has_old_generations(&self) -> Result<bool> {
        self.engine().read(|txn| {
            for (collection, generation) in old(txn)? {
                if has_rows(txn, collection, generation)? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// The vectors of the next embedder of a document, row-major; `None` where they are not made.
    pub fn next_vectors(&self, id: DocumentId) -> Result<Option<Vec<f32>>> {
        self.engine().read(|txn| {
            let Some(place) = documents::locate(txn, id)? else { return Ok(None) };
            let next = collections::record(txn, &place.collection)?.and_then(|record| record.next);
            next.map_or(Ok(None), |next| get(txn, place.key, next.generation))
        })
    }

    fn edit<T>(&self, id: CollectionId, work: impl FnOnce(&mut CollectionRecord) -> Result<T>) -> Result<T> {
        self.engine().write(|txn| {
            let key = collections::key_of(txn, id.0)?;
            let mut record = collections::record(txn, &key)?.ok_or(Error::NotFound)?;
            let value = work(&mut record)?;
            collections::put(txn, &key, &record)?;
            Ok(value)
        })
    }

    /// Notes how to have an embedder again.
    pub fn remember_embedder(&self, embedder: &EmbedderSource) -> Result<()> {
        if self.embedder_source(&embedder.fingerprint)?.as_ref() == Some(embedder) {
            return Ok(());
        }
        let EmbedderSource { dimension, plugin, settings, .. } = embedder.clone();
        let packed = pack(&EmbedderRecord { dimension, plugin, settings })?;
        self.engine().write(|txn| {
            txn.open_table(EMBEDDERS)?.insert(embedder.fingerprint.as_str(), packed.as_slice())?;
            Ok(())
        })
    }

    /// How to have an embedder again; `None` if it was never used here.
    pub fn embedder_source(&self, fingerprint: &str) -> Result<Option<EmbedderSource>> {
        self.engine().read(|txn| {
            let row = txn.open_table(EMBEDDERS)?.get(fingerprint)?;
            let record: Option<EmbedderRecord> = row.map(|row| unpack(row.value())).transpose()?;
            Ok(record.map(|EmbedderRecord { dimension, plugin, settings }| {
                let fingerprint = fingerprint.to_owned();
                EmbedderSource { fingerprint, dimension, plugin, settings }
            }))
        })
    }
}
