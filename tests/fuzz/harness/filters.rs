//! The first line is a filter, each further one a document that it is tried on.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::naive;
use crate::search::{self, Search};
use crate::types::*;
use crate::wire::FilterBody;

const DOCUMENTS_MAX: usize = 4;
const CHUNKS_MAX: usize = 3;
/// Longer texts are equal or not, but have no order in the index.
const ORDERED_BYTES_MAX: usize = 192;
const ID: CollectionId = CollectionId(7);

/// A document as an input writes it.
#[derive(Deserialize)]
#[serde(default)]
struct Written {
    filename: String,
    file_type: String,
    tags: Vec<String>,
    upload_time: i64,
    metadata: JsonMap,
    /// Metadata of each.
    chunks: Vec<JsonMap>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            filename: "a.txt".into(),
            file_type: "txt".into(),
            tags: Vec::new(),
            upload_time: 1_714_521_600_000,
            metadata: JsonMap::new(),
            chunks: vec![JsonMap::new()],
        }
    }
}

pub fn run(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let Some(first) = lines.next() else { return };
    let Ok(body) = serde_json::from_slice::<FilterBody>(first) else { return };
    let written = serde_json::to_vec(&body).expect("JSON");
    assert_eq!(serde_json::from_slice::<FilterBody>(&written).expect("a filter"), body);
    let filter = match body.check("/filter") {
        Ok(filter) => filter,
        Err(error) => {
            let within = error.pointer.strip_prefix("/filter").expect("a place in the body");
            assert!(Json::Object(body.0.clone()).pointer(within).is_some(), "no such place: {error:?}");
            assert!(!error.detail.trim().is_empty());
            return;
        }
    };
    if !is_ordered(&filter) {
        return;
    }
    let written = lines.filter_map(|line| serde_json::from_slice(line).ok()).take(DOCUMENTS_MAX);
    let documents: Vec<_> = written.enumerate().map(|(nth, written)| made(nth as u32, written)).collect();
    let empty = chunk(0, JsonMap::new());
    for IndexDocument { document, .. } in &documents {
        let wanted = naive::passes(document, &empty, &filter);
        assert_eq!(search::passes(&filter, document).expect("an answer"), wanted, "{document:?}");
    }
    if !documents.is_empty() {
        check_index(&filter, &documents);
    }
}

/// Both ways of searching find what passes, and nothing else.
fn check_index(filter: &Filter, documents: &[IndexDocument]) {
    let dir = tempfile::tempdir().expect("a directory");
    let search = Search::open(dir.path()).expect("an index");
    let changes: Vec<Change> = documents.iter().cloned().map(Change::Put).collect();
    search.apply(ID, &changes, 1).expect("an update");
    let chunks =
        documents.iter().flat_map(|document| document.chunks.iter().map(move |chunk| (document, chunk)));
    let passing = chunks.filter(|(document, chunk)| naive::passes(&document.document, chunk, filter));
    let name = |(document, chunk): (&IndexDocument, &Chunk)| ChunkId {
        document: document.document.id,
        index: chunk.index,
    };
    let wanted: BTreeSet<ChunkId> = passing.map(name).collect();
    for mode in [SearchMode::Keyword, SearchMode::Vector] {
        let query = SearchQuery {
            text: "word".into(),
            typo_tolerance: false,
            vector: Some(vec![1.0, 0.0]),
            embedder: None,
            mode,
            filter: Some(filter.clone()),
            limit: 100,
            candidates: 100,
            fusion: Fusion::Rrf,
        };
        let hits = search.search(ID, &query).expect("an answer").hits;
        let found: BTreeSet<ChunkId> = hits.iter().map(|hit| hit.chunk).collect();
        assert_eq!(found, wanted, "{mode:?} {filter:?}");
    }
}

fn is_ordered(filter: &Filter) -> bool {
    let is_short =
        |value: &Option<Value>| !matches!(value, Some(Value::Text(text)) if text.len() > ORDERED_BYTES_MAX);
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().all(is_ordered),
        Filter::Not(part) => is_ordered(part),
        Filter::Range(_, Bounds { gt, gte, lt, lte }) => [gt, gte, lt, lte].into_iter().all(is_short),
        Filter::Any(..) | Filter::All(..) | Filter::Exists(..) => true,
    }
}

fn made(nth: u32, written: Written) -> IndexDocument {
    let Written { filename, file_type, tags, upload_time, metadata, chunks } = written;
    let number = |index: usize| u32::try_from(index).expect("a few chunks");
    let chunks = chunks.into_iter().take(CHUNKS_MAX).enumerate();
    let chunks: Vec<Chunk> = chunks.map(|(index, metadata)| chunk(number(index), metadata)).collect();
    let document = Document {
        foreign: false,
        path: None,
        id: DocumentId(Uuid::from_u128(u128::from(nth) + (1 << 100))),
        collection: CollectionKey { owner: UserId::anonymous(), name: CollectionName::default() },
        filename,
        file_type,
        file_size: 1,
        hash: ContentHash([nth as u8; 32]),
        tags,
        metadata,
        upload_time,
        status: Stage::Indexing,
        title: None,
        chunk_count: number(chunks.len()),
        warnings: Vec::new(),
        error: None,
        provenance: Provenance::default(),
    };
    let vectors = chunks.iter().flat_map(|_| [1.0, 0.0]).collect();
    let first_row = nth * number(CHUNKS_MAX);
    IndexDocument { document: Arc::new(document), chunks, first_row, is_first: false, vectors }
}

fn chunk(index: u32, metadata: JsonMap) -> Chunk {
    Chunk {
        index,
        text: "word".into(),
        chars: 0..4,
        page: None,
        heading_path: Vec::new(),
        context: None,
        language: None,
        tokens: 1,
        metadata,
    }
}
