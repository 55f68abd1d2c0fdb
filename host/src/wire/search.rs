use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::page_number;
use super::{DocumentRecord, FilterBody};
use crate::types::{self, JsonMap};

/// Milliseconds a stage took, by its name.
pub type Timings = BTreeMap<String, f64>;

/// Results where the request does not say how many.
pub const TOP_K_DEFAULT: u32 = 5;

fn top_k_default() -> u32 {
    TOP_K_DEFAULT
}

/// Which indexes a search asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// Both, fused.
    #[default]
    Hybrid,
    /// Words only.
    Keyword,
    /// Meaning only.
    Vector,
}

impl From<SearchMode> for types::SearchMode {
    fn from(mode: SearchMode) -> Self {
        match mode {
            SearchMode::Hybrid => types::SearchMode::Hybrid,
            SearchMode::Keyword => types::SearchMode::Keyword,
            SearchMode::Vector => types::SearchMode::Vector,
        }
    }
}

/// A search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    /// What to look for. For keyword search `"…"` is a phrase that must be there, `word*` all words that begin so.
    #[schema(min_length = 1, max_length = 16384)]
    pub query: String,
    /// The session on whose behalf; an unknown one is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Results at most, 1 to 100.
    #[serde(default = "top_k_default")]
    #[schema(minimum = 1, maximum = 100)]
    pub top_k: u32,
    /// Which indexes to ask.
    #[serde(default)]
    pub mode: SearchMode,
    /// Only what passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterBody>,
    /// Where to look: `default` where none is named, `*` for all of the caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Whether to rerank; if left out, when the config names a reranker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank: Option<bool>,
    /// Also tell how the scores came about.
    #[serde(default)]
    pub explain: bool,
    /// Also find words that are spelled almost like those of the query: one edit away from 4 letters on, two from 8 on.
    /// They count less than the word itself. Phrases, prefixes and vector search take the query as it is.
    #[serde(default)]
    pub typo_tolerance: bool,
    /// Also tell where the words of the query stand in each hit.
    #[serde(default)]
    pub highlight: bool,
}

impl SearchBody {
    /// A search with all defaults.
    pub fn new(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            session_id: None,
            top_k: TOP_K_DEFAULT,
            mode: SearchMode::Hybrid,
            filter: None,
            collection: None,
            rerank: None,
            explain: false,
            typo_tolerance: false,
            highlight: false,
        }
    }
}

/// The scores behind a result; null where that side did not find it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scores {
    /// BM25.
    #[schema(required = true)]
    pub keyword: Option<f32>,
    /// Cosine similarity.
    #[schema(required = true)]
    pub vector: Option<f32>,
    /// From the reranker.
    #[schema(required = true)]
    pub rerank: Option<f32>,
}

/// A word of the query in the text of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Highlight {
    /// Unicode code points from the beginning of `content`.
    pub start: usize,
    /// First code point behind it.
    pub end: usize,
}

/// A found chunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hit {
    /// Its document.
    pub document_id: String,
    /// `DOCUMENT:INDEX`.
    pub chunk_id: String,
    /// The collection it is in.
    pub collection: String,
    /// Of the document.
    pub filename: String,
    /// Of the document.
    pub file_type: String,
    /// The page of its first character, from 1; null where the format has no pages.
    #[schema(required = true)]
    pub page_number: Option<u32>,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// Position in the document, from 0.
    pub chunk_index: u32,
    /// Unicode code points from the beginning of the document's text.
    pub char_start: usize,
    /// First code point behind it.
    pub char_end: usize,
    /// The text of the chunk.
    pub content: String,
    /// With `highlight` only: the words of the query, in order, without overlaps. Stems, words that begin as asked for,
    /// other spellings and parts of German compounds count, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highlights: Option<Vec<Highlight>>,
    /// Final score; comparable within one result only.
    pub score: f32,
    /// What it came from.
    pub scores: Scores,
    /// Of the document, with the chunk's own annotations on top.
    #[schema(value_type = Object)]
    pub metadata: JsonMap,
}

impl From<types::Passage> for Hit {
    fn from(passage: types::Passage) -> Self {
        let document = &passage.document;
        Self {
            document_id: document.id.to_string(),
            chunk_id: passage.chunk.to_string(),
            collection: document.collection.name.to_string(),
            filename: document.filename.clone(),
            file_type: document.file_type.clone(),
            page_number: page_number(passage.page),
            heading_path: passage.heading_path,
            chunk_index: passage.chunk.index,
            char_start: passage.chars.start,
            char_end: passage.chars.end,
            content: passage.text,
            highlights: passage.highlights.map(|marks| marks.into_iter().map(Into::into).collect()),
            score: passage.score,
            scores: passage.scores.into(),
            metadata: overlay(document.metadata.clone(), passage.metadata),
        }
    }
}

impl From<std::ops::Range<usize>> for Highlight {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl From<types::Scores> for Scores {
    fn from(scores: types::Scores) -> Self {
        Self { keyword: scores.keyword, vector: scores.vector, rerank: scores.rerank }
    }
}

/// Puts `top` over `base`; objects of the same key (a plugin's annotations) are joined.
fn overlay(mut base: JsonMap, top: JsonMap) -> JsonMap {
    for (key, value) in top {
        match (base.get_mut(&key), value) {
            (Some(serde_json::Value::Object(below)), serde_json::Value::Object(above)) => below.extend(above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
    base
}

/// How the scores of a search came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// `convex` or `rrf`.
    pub fusion: String,
    /// Weight of the vector side, for `convex`.
    #[schema(required = true)]
    pub alpha: Option<f32>,
    /// Results of each side before fusion.
    pub candidates: usize,
    /// The embedder's model.
    pub embedder: String,
    /// The reranker of the config.
    #[schema(required = true)]
    pub reranker: Option<String>,
}

/// The answer to a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchAnswer {
    /// Best first.
    pub results: Vec<Hit>,
    /// Milliseconds by stage.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub timings: Timings,
    /// With `explain` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

/// A found document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DocumentHit {
    /// The document.
    pub document: DocumentRecord,
    /// Of its best chunk.
    pub score: f32,
    /// Its found chunks, best first.
    pub hits: Vec<Hit>,
}

/// The answer to a search for documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DocumentSearchAnswer {
    /// Best first.
    pub items: Vec<DocumentHit>,
    /// Milliseconds by stage.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub timings: Timings,
}

/// A document like another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SimilarDocument {
    /// Its id.
    pub document_id: String,
    /// Its name.
    pub filename: String,
    /// The collection it is in.
    pub collection: String,
    /// How near, at most 1.
    pub score: f32,
}

/// Documents like another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SimilarAnswer {
    /// Nearest first.
    pub results: Vec<SimilarDocument>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn annotations_of_the_chunk_join_those_of_the_document() {
        let map = |value: serde_json::Value| value.as_object().cloned().unwrap_or_default();
        let document = map(json!({"author": "x", "language": {"code": "de", "script": "Latn"}}));
        let chunk = map(json!({"language": {"code": "en"}, "keywords": ["a"]}));
        let expected =
            json!({"author": "x", "language": {"code": "en", "script": "Latn"}, "keywords": ["a"]});
        assert_eq!(serde_json::Value::Object(overlay(document, chunk)), expected);
    }

    #[test]
    fn a_search_needs_only_the_query() {
        let body: SearchBody = serde_json::from_value(json!({"query": "x"})).unwrap();
        assert_eq!(body, SearchBody::new("x"));
        let error = serde_json::from_value::<SearchBody>(json!({"query": "x", "topk": 3})).unwrap_err();
        assert!(error.to_string().contains("`topk`"), "{error}");
    }
}
