//! The chunks that a filter lets through, by document: how the filter reaches vector search.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use crate::types::*;

/// Sets of chunk indexes by document.
#[derive(Clone, Debug, Default)]
pub struct Allowed(HashMap<u128, Indexes, BuildHasherDefault<IdHasher>>);

/// Ranges of chunk indexes. Nearly always there is but one.
#[derive(Clone, Debug, Default)]
struct Indexes {
    first: Range<u32>,
    more: Vec<Range<u32>>,
}

impl Allowed {
    /// Adds a chunk; cheap where its predecessor was added just before.
    pub fn push(&mut self, chunk: ChunkId) {
        let next = chunk.index..chunk.index.saturating_add(1);
        let indexes = self.0.entry(chunk.document.0.as_u128()).or_default();
        let last = indexes.more.last_mut().unwrap_or(&mut indexes.first);
        if last.start == last.end {
            *last = next;
        } else if last.end == chunk.index {
            last.end = next.end;
        } else {
            indexes.more.push(next);
        }
    }

    /// The chunks of a document.
    pub fn of(&self, document: DocumentId) -> impl Iterator<Item = Range<u32>> + '_ {
        let indexes = self.0.get(&document.0.as_u128());
        indexes.into_iter().flat_map(|indexes| std::iter::once(&indexes.first).chain(&indexes.more).cloned())
    }
}

/// Document ids are random enough by themselves, and clients can't choose them.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = (id as u64) ^ ((id >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn holds_exactly_what_was_pushed(chunks in proptest::collection::btree_set((0u128..4, 0u32..12), 0..30)) {
            let id = |document| DocumentId(Uuid::from_u128(document));
            let mut allowed = Allowed::default();
            chunks.iter().for_each(|(document, index)| allowed.push(ChunkId { document: id(*document), index: *index }));
            let found = (0..4).flat_map(|document| allowed.of(id(document)).flatten().map(move |index| (document, index)));
            prop_assert_eq!(found.collect::<std::collections::BTreeSet<_>>(), chunks);
        }
    }
}
