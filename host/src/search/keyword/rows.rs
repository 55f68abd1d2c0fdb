//! Sets of rows that a filter lets through, as a tantivy query that scores nothing.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tantivy::index::SegmentId;
use tantivy::query::{ConstScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{DocId, DocSet, Score, SegmentReader, TERMINATED};

/// The rows of each segment that may be found.
#[derive(Clone, Debug, Default)]
pub struct Rows(pub Arc<HashMap<SegmentId, RoaringBitmap>>);

impl Query for Rows {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Rows {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.values().map(RoaringBitmap::len).sum()
    }

    fn scorer(&self, reader: &SegmentReader, score: Score) -> Box<dyn Scorer> {
        let rows = self.0.get(&reader.segment_id()).cloned().unwrap_or_default();
        Box::new(ConstScorer::new(RowSet::new(rows), score))
    }
}

impl Weight for Rows {
    fn scorer(&self, reader: &SegmentReader, _: Score) -> tantivy::Result<Box<dyn Scorer>> {
        Ok(self.scorer(reader, 0.0))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("passes the filter", 0.0))
    }
}

/// Rows that all have the same score.
#[derive(Clone, Debug)]
pub struct ScoredRows {
    /// Which rows.
    pub rows: Rows,
    /// What each of them gets.
    pub score: Score,
}

impl Query for ScoredRows {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for ScoredRows {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        Ok(self.rows.scorer(reader, self.score * boost))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("has a word that begins so", self.score))
    }
}

struct RowSet {
    rest: roaring::bitmap::IntoIter,
    row: DocId,
    len: u32,
}

impl RowSet {
    fn new(rows: RoaringBitmap) -> Self {
        let len = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let mut rest = rows.into_iter();
        let row = rest.next().unwrap_or(TERMINATED);
        Self { rest, row, len }
    }
}

impl DocSet for RowSet {
    fn advance(&mut self) -> DocId {
        self.row = self.rest.next().unwrap_or(TERMINATED);
        self.row
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.row < target {
            self.rest.advance_to(target);
            self.advance();
        }
        self.row
    }

    fn doc(&self) -> DocId {
        self.row
    }

    fn size_hint(&self) -> u32 {
        self.len
    }
}
