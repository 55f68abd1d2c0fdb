//! Terms of an index with their rows. A query asks for the same term several times: it is looked up once.

use std::collections::HashMap;
use std::sync::Arc;

use tantivy::postings::TermInfo;
use tantivy::schema::Field;
use tantivy::{InvertedIndexReader, Searcher};

use super::query::Spoken;

/// A term as the segments know it.
#[derive(Debug)]
pub struct Entry {
    /// With the prefix of its language.
    pub text: Arc<str>,
    /// Place of its language among those of the index.
    pub language: usize,
    /// Rows that have it, dead ones too.
    pub frequency: u64,
    /// Position of each segment that has it, and where its rows are.
    pub segments: Vec<(u32, TermInfo)>,
}

/// The terms of one field.
pub struct Dictionary<'a> {
    field: Field,
    languages: &'a [Spoken],
    segments: Vec<Arc<InvertedIndexReader>>,
    known: HashMap<String, Option<Arc<Entry>>>,
}

impl<'a> Dictionary<'a> {
    /// Of an index that has rows in these languages.
    pub fn new(searcher: &Searcher, field: Field, languages: &'a [Spoken]) -> tantivy::Result<Self> {
        let segments = searcher.segment_readers().iter().map(|segment| segment.inverted_index(field));
        let segments = segments.collect::<tantivy::Result<_>>()?;
        Ok(Self { field, languages, segments, known: HashMap::new() })
    }

    /// Which field.
    pub fn field(&self) -> Field {
        self.field
    }

    /// The languages of the index.
    pub fn languages(&self) -> &'a [Spoken] {
        self.languages
    }

    /// The rows of a segment.
    pub fn segment(&self, position: u32) -> Option<&InvertedIndexReader> {
        self.segments.get(position as usize).map(AsRef::as_ref)
    }

    /// `None` for a term that no segment has.
    pub fn look_up(&mut self, term: &str) -> tantivy::Result<Option<Arc<Entry>>> {
        if let Some(known) = self.known.get(term) {
            return Ok(known.clone());
        }
        let entry = self.find(term)?.map(Arc::new);
        self.known.insert(term.to_owned(), entry.clone());
        Ok(entry)
    }

    /// How many rows have a term.
    pub fn frequency(&mut self, term: &str) -> tantivy::Result<u64> {
        Ok(self.look_up(term)?.map_or(0, |entry| entry.frequency))
    }

    fn find(&self, term: &str) -> tantivy::Result<Option<Entry>> {
        let of_term = |spoken: &Spoken| term.starts_with(spoken.analysis.prefix);
        let Some(language) = self.languages.iter().position(of_term) else { return Ok(None) };
        let mut entry = Entry { text: term.into(), language, frequency: 0, segments: Vec::new() };
        for position in self.languages[language].segments.iter().copied() {
            let Some(segment) = self.segment(position) else { continue };
            if let Some(info) = segment.terms().get(term)? {
                entry.frequency += u64::from(info.doc_freq);
                entry.segments.push((position, info));
            }
        }
        Ok((entry.frequency > 0).then_some(entry))
    }
}
