//! What the keyword index holds of a chunk. Nothing is stored: texts live in the store.

use tantivy::TantivyDocument;
use tantivy::schema::{BytesOptions, FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};

use super::analyze::{STEMS, WORDS, analysis_for, tagged};
use crate::search::filter;
use crate::types::*;

/// Raised whenever an index of before would answer otherwise than a new one: such an index is built anew.
const VERSION: u32 = 3;

/// The fields of the index.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// The title of the document, the headings above the chunk, the context it was cut from and its text.
    pub body: Field,
    /// The words of `body` as they are written, without stop words: what prefixes and typos are looked up in.
    pub words: Field,
    /// Exact terms for filters.
    pub attributes: Field,
    document_high: Field,
    document_low: Field,
    index: Field,
    row: Field,
}

/// Names of the columns that a row's chunk id is read from.
pub const ID_COLUMNS: [&str; 3] = ["document_high", "document_low", "index"];
/// Name of the column of row numbers, by which vector search knows a chunk.
pub const ROW_COLUMN: &str = "row";

/// The schema and its fields.
pub fn schema() -> (Schema, Fields) {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(STEMS)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let text = TextOptions::default().set_indexing_options(indexing);
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(WORDS)
        .set_index_option(IndexRecordOption::Basic)
        .set_fieldnorms(false);
    let words = TextOptions::default().set_indexing_options(indexing);
    let mut builder = Schema::builder();
    let fields = Fields {
        body: builder.add_text_field("body", text),
        words: builder.add_text_field("words", words),
        attributes: builder.add_bytes_field("attributes", BytesOptions::default().set_indexed()),
        document_high: builder.add_u64_field(ID_COLUMNS[0], FAST),
        document_low: builder.add_u64_field(ID_COLUMNS[1], FAST),
        index: builder.add_u64_field(ID_COLUMNS[2], FAST),
        row: builder.add_u64_field(ROW_COLUMN, FAST),
    };
    (builder.build(), fields)
}

impl Fields {
    /// The rows of a version of a document, a chunk each.
    pub fn rows<'a>(
        &self,
        document: &'a IndexDocument,
        version: u64,
    ) -> impl Iterator<Item = TantivyDocument> + use<'a> {
        let fields = *self;
        let mut shared = filter::document_terms(&document.document);
        shared.push(filter::version_term(document.document.id, version));
        document.chunks.iter().zip(document.first_row..).map(move |(chunk, number)| {
            let mut row = fields.row(&document.document, chunk, &shared);
            row.add_u64(fields.row, u64::from(number));
            row
        })
    }

    fn row(&self, document: &Document, chunk: &Chunk, shared: &[Vec<u8>]) -> TantivyDocument {
        let analysis = analysis_for(chunk.language.as_deref());
        let mut row = TantivyDocument::default();
        // A first heading that repeats the title is not said twice.
        let headings = chunk.heading_path.iter().filter(|heading| Some(*heading) != document.title.as_ref());
        let above = document.title.iter().chain(headings).chain(&chunk.context);
        for text in above.chain([&chunk.text]) {
            let text = tagged(analysis, text);
            row.add_text(self.words, &text);
            row.add_text(self.body, text);
        }
        shared.iter().for_each(|term| row.add_bytes(self.attributes, term));
        for term in filter::metadata_terms(&chunk.metadata) {
            row.add_bytes(self.attributes, &term);
        }
        row.add_bytes(self.attributes, &filter::language_term(analysis.code));
        let (high, low) = document.id.0.as_u64_pair();
        row.add_u64(self.document_high, high);
        row.add_u64(self.document_low, low);
        row.add_u64(self.index, u64::from(chunk.index));
        row
    }
}

/// The commit payload: the version of the index and the journal entry up to which it is complete.
pub fn payload(cursor: u64) -> String {
    format!("smartrag {VERSION} {cursor}")
}

/// The cursor of a payload; `None` if it is of another version or not ours.
pub fn cursor_of(payload: &str) -> Option<u64> {
    payload.strip_prefix(&format!("smartrag {VERSION} "))?.parse().ok()
}
