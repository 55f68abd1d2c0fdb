//! Sets of rows.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tantivy::index::SegmentId;

/// Rows of each segment.
#[derive(Clone, Debug, Default)]
pub struct Rows(pub Arc<HashMap<SegmentId, RoaringBitmap>>);

impl Rows {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.values().map(RoaringBitmap::len).sum()
    }
}

/// Rows that all get the same score.
#[derive(Clone, Debug)]
pub struct ScoredRows {
    /// Which rows.
    pub rows: Rows,
    /// What each of them gets.
    pub score: f32,
}
