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

/// How keyword and vector results become one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FusionMethod {
    /// The weighted sum of normalised scores.
    Convex,
    /// Reciprocal ranks.
    Rrf,
}

impl From<FusionMethod> for types::FusionMethod {
    fn from(method: FusionMethod) -> Self {
        match method {
            FusionMethod::Convex => types::FusionMethod::Convex,
            FusionMethod::Rrf => types::FusionMethod::Rrf,
        }
    }
}

impl From<types::Fusion> for FusionMethod {
    fn from(fusion: types::Fusion) -> Self {
        match fusion {
            types::Fusion::Convex { .. } => FusionMethod::Convex,
            types::Fusion::Rrf => FusionMethod::Rrf,
        }
    }
}

/// A search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    /// What to look for. For keyword search `"…"` is a phrase that must be there, `word*` all words that begin so.
    #[schema(value_type = super::texts::QueryText)]
    pub query: String,
    /// The session on whose behalf; an unknown one is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::SessionId>)]
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
    #[schema(value_type = Option<super::texts::CollectionRef>)]
    pub collection: Option<String>,
    /// Whether to rerank; if left out, when the config names a reranker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank: Option<bool>,
    /// How to join the sides; if left out, as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fusion: Option<FusionMethod>,
    /// Weight of the vector side, for `convex`; if left out, as configured, else what suits the embedder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub alpha: Option<f32>,
    /// Whether results of nearly the same text are folded into the best of them; if left out, as configured for chunks,
    /// and not for documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<bool>,
    /// How much results should differ from each other, 0 (not asked for) to 1 (maximal marginal relevance).
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1)]
    pub diversity: f32,
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
            fusion: None,
            alpha: None,
            fold: None,
            diversity: 0.0,
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
    /// Chunks of nearly the same text that it stands for, best first; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folded: Vec<String>,
    /// How it came to its place; with `explain` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<HitExplanation>,
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
            collection: document.collection_name(),
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
            folded: passage.origin.folded.iter().map(ToString::to_string).collect(),
            explain: None,
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

/// What one side gave to the score of a result: `weight * points`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    /// BM25, or the cosine similarity.
    #[schema(required = true)]
    pub score: Option<f32>,
    /// Place on this side, from 1; null where the side scored the chunk only because the other one found it.
    #[schema(required = true)]
    pub rank: Option<usize>,
    /// The score normalised: a share of the best BM25, the place of the cosine between the least and the best one, or
    /// for `rrf` the reciprocal rank.
    pub points: f32,
    /// What the side counts.
    pub weight: f32,
}

/// How a result came to its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HitExplanation {
    /// From the words; null where that side did not find it.
    #[schema(required = true)]
    pub keyword: Option<Share>,
    /// From the meaning; null where that side did not find it.
    #[schema(required = true)]
    pub vector: Option<Share>,
    /// The sum of both, 0 to 1: the score before any reranker.
    pub fused: f32,
    /// From the reranker; null where there was none.
    #[schema(required = true)]
    pub rerank: Option<f32>,
    /// Place before diversity moved it, from 1; null where it did not.
    #[schema(required = true)]
    pub moved_from: Option<usize>,
}

impl From<&types::Passage> for HitExplanation {
    fn from(passage: &types::Passage) -> Self {
        let share = |share: Option<types::Share>, score: Option<f32>| {
            share.map(|types::Share { rank, points, weight }| Share { score, rank, points, weight })
        };
        let origin = &passage.origin;
        Self {
            keyword: share(origin.shares.keyword, passage.scores.keyword),
            vector: share(origin.shares.vector, passage.scores.vector),
            fused: origin.fused,
            rerank: passage.scores.rerank,
            moved_from: origin.moved_from,
        }
    }
}

impl Hit {
    /// A hit that tells how it came to its place.
    pub fn explained(passage: types::Passage) -> Self {
        let explain = Some(HitExplanation::from(&passage));
        Self { explain, ..passage.into() }
    }
}

/// How the vectors of a collection were searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VectorPathKind {
    /// They were not asked, or there are none.
    None,
    /// Every one that the filter lets through was compared.
    Exact,
    /// Along a graph.
    Graph,
}

/// How the vectors of a collection were searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VectorPath {
    /// Which way.
    pub path: VectorPathKind,
    /// Vectors that were compared with the query's.
    pub compared: u64,
}

impl From<types::VectorPath> for VectorPath {
    fn from(path: types::VectorPath) -> Self {
        let (path, compared) = match path {
            types::VectorPath::None => (VectorPathKind::None, 0),
            types::VectorPath::Exact { compared } => (VectorPathKind::Exact, compared),
            types::VectorPath::Graph { compared } => (VectorPathKind::Graph, compared),
        };
        Self { path, compared }
    }
}

/// How one collection was searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CollectionExplanation {
    /// Its name.
    pub collection: String,
    /// Weight of the vector side, for `convex`: higher than that of the search where none was chosen and the question
    /// is in another language than the collection.
    #[schema(required = true)]
    pub alpha: Option<f32>,
    /// Results of each side before fusion, at most.
    pub candidates: usize,
    /// How the vectors were searched.
    pub vector: VectorPath,
    /// Chunks that pass the filter, exactly; null without a filter.
    #[schema(required = true)]
    pub filter_matches: Option<u64>,
    /// Milliseconds by stage.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub timings: Timings,
}

/// How the scores of a search came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// How the sides were joined.
    pub fusion: FusionMethod,
    /// Weight of the vector side, for `convex`.
    #[schema(required = true)]
    pub alpha: Option<f32>,
    /// Results of each side before fusion, as configured.
    pub candidates: usize,
    /// The embedder's model.
    pub embedder: String,
    /// The reranker that was used.
    #[schema(required = true)]
    pub reranker: Option<String>,
    /// Language of the question as ISO 639-1; null where it can't be told.
    #[schema(required = true)]
    pub language: Option<String>,
    /// Whether near-duplicates were folded.
    pub fold: bool,
    /// How much results should differ from each other.
    pub diversity: f32,
    /// Each collection that was searched.
    pub collections: Vec<CollectionExplanation>,
}

/// The answer to a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchAnswer {
    /// Best first; with `diversity`, in its order.
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
    /// With `explain` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
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
