//! Writes segments for tantivy in the calling thread. Its own writer begins each commit with tables of many megabytes,
//! which costs more than all the rest of a commit of one document; these tables fit what goes in.

use tantivy::index::SegmentMeta;
use tantivy::indexer::{AddOperation, SegmentWriter};
use tantivy::{Index, TantivyDocument};

use super::schema::Fields;
use crate::search::Result;
use crate::types::*;

/// A segment is closed once it has as much text.
const TEXT_BYTES_MAX: usize = 8 << 20;
const BUDGET_MIN: usize = 100_000;
/// Bytes of tables for each byte of text.
const BUDGET_A_BYTE: usize = 4;

/// Segments with all chunks of these documents, not yet part of the index.
pub fn write(
    index: &Index,
    fields: Fields,
    version: u64,
    documents: &[&IndexDocument],
) -> Result<Vec<SegmentMeta>> {
    let mut segments = Vec::new();
    let mut rest = documents;
    while !rest.is_empty() {
        let (bytes, count) = portion(rest);
        let (these, others) = rest.split_at(count);
        segments.extend(write_one(index, fields, version, these, bytes)?);
        rest = others;
    }
    Ok(segments)
}

/// How many of the first documents make a segment, and how much text they have.
fn portion(documents: &[&IndexDocument]) -> (usize, usize) {
    let mut bytes = 0;
    let mut count = 0;
    for document in documents {
        if bytes >= TEXT_BYTES_MAX {
            break;
        }
        bytes += document.chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>();
        count += 1;
    }
    (bytes, count)
}

fn write_one(
    index: &Index,
    fields: Fields,
    version: u64,
    documents: &[&IndexDocument],
    bytes: usize,
) -> Result<Option<SegmentMeta>> {
    let budget = (bytes * BUDGET_A_BYTE).clamp(BUDGET_MIN, TEXT_BYTES_MAX * BUDGET_A_BYTE);
    let segment = index.new_segment();
    let mut writer = SegmentWriter::for_segment(budget, segment.clone())?;
    for row in documents.iter().flat_map(|document| fields.rows(document, version)) {
        writer.add_document::<TantivyDocument>(AddOperation { opstamp: 0, document: row })?;
    }
    let rows = writer.max_doc();
    if rows == 0 {
        return Ok(None);
    }
    writer.finalize()?;
    let meta = segment.with_max_doc(rows).meta().clone();
    meta.untrack_temp_docstore();
    Ok(Some(meta))
}
