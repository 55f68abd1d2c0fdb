//! Documents that share rare words, for collections without vectors.

use std::collections::HashMap;

use tantivy::index::SegmentReader;
use tantivy::postings::Postings;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, Searcher, TERMINATED, Term};

use super::dictionary::Dictionary;
use super::query::Statistics;
use super::score::{self, Asked};
use super::{Fields, Keywords};
use crate::search::{Result, filter};
use crate::types::*;

/// Words that stand for a document.
const TERMS_MAX: usize = 24;
/// Rows looked at for each document asked for: a document has many.
const ROWS_A_DOCUMENT: usize = 20;

impl Keywords {
    /// Other documents by the words they share with this one, best first; 1 would be the document itself.
    pub fn similar(&self, document: DocumentId, limit: usize) -> Result<Vec<(DocumentId, f32)>> {
        let statistics = Statistics::of(&self.searcher, self.fields)?;
        let mut dictionary = Dictionary::new(&self.searcher, self.fields.body, &self.languages)?;
        let mut asked = Asked::default();
        for (term, weight) in self.characteristic(&mut dictionary, document)? {
            let Some(entry) = dictionary.look_up(&term)? else { continue };
            let weight = weight * statistics.idf(entry.frequency);
            asked.words.push((entry, weight));
        }
        if asked.words.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let tools = (&statistics, &dictionary, &self.pool);
        let rows = score::run(tools, &asked, None, (limit + 1) * ROWS_A_DOCUMENT)?;
        let mut best: HashMap<DocumentId, f32> = HashMap::new();
        for hit in self.hits(&rows)? {
            let known = best.entry(self.chunk(&hit)?.document).or_default();
            *known = known.max(hit.score);
        }
        let own = best.remove(&document).unwrap_or(f32::MAX);
        let mut found: Vec<_> =
            best.into_iter().map(|(other, score)| (other, (score / own).min(1.0))).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(limit);
        Ok(found)
    }

    /// The terms of a document with the highest tf·idf that others have, too.
    fn characteristic(
        &self,
        dictionary: &mut Dictionary<'_>,
        document: DocumentId,
    ) -> Result<Vec<(String, f32)>> {
        let counts = term_counts(&self.searcher, self.fields, document)?;
        let rows = self.searcher.num_docs().max(1) as f32;
        let mut weighted = Vec::new();
        for (term, count) in counts {
            let frequency = dictionary.frequency(&term)?;
            let weight = count as f32 * (1.0 + rows / (frequency as f32 + 1.0)).ln();
            weighted.push((term, weight));
        }
        weighted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        weighted.truncate(TERMS_MAX);
        Ok(weighted)
    }
}

/// How often the document says each of its terms. Walks through the whole vocabulary: nothing else knows.
fn term_counts(searcher: &Searcher, fields: Fields, document: DocumentId) -> Result<HashMap<String, u32>> {
    let mut counts = HashMap::new();
    for segment in searcher.segment_readers() {
        let rows = rows_of(segment, fields, document)?;
        if rows.is_empty() {
            continue;
        }
        let body = segment.inverted_index(fields.body)?;
        let mut terms = body.terms().stream()?;
        while terms.advance() {
            let mut postings =
                body.read_postings_from_terminfo(terms.value(), IndexRecordOption::WithFreqs)?;
            let count: u32 = rows.iter().map(|row| count_in(&mut postings, *row)).sum();
            if count > 0 {
                *counts.entry(String::from_utf8_lossy(terms.key()).into_owned()).or_default() += count;
            }
        }
    }
    Ok(counts)
}

fn count_in(postings: &mut tantivy::postings::SegmentPostings, row: u32) -> u32 {
    if postings.doc() < row {
        postings.seek(row);
    }
    if postings.doc() == row { postings.term_freq() } else { 0 }
}

fn rows_of(segment: &SegmentReader, fields: Fields, document: DocumentId) -> Result<Vec<u32>> {
    let term = Term::from_field_bytes(fields.attributes, &filter::document_term(document));
    let postings =
        segment.inverted_index(fields.attributes)?.read_postings(&term, IndexRecordOption::Basic)?;
    let Some(mut postings) = postings else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    while postings.doc() != TERMINATED {
        if !segment.is_deleted(postings.doc()) {
            rows.push(postings.doc());
        }
        postings.advance();
    }
    Ok(rows)
}
