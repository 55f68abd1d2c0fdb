//! The whole module from its door, against naive models.

mod crash;
mod damage;
mod filters;
mod keyword;
mod model;
mod rebuild;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use uuid::Uuid;

use super::*;

pub const ID: CollectionId = CollectionId(7);

pub fn document_id(number: u8) -> DocumentId {
    DocumentId(Uuid::from_u128(u128::from(number) + (1 << 100)))
}

pub fn chunk_id(number: u8, index: u32) -> ChunkId {
    ChunkId { document: document_id(number), index }
}

pub fn document(number: u8) -> Document {
    Document {
        foreign: false,
        path: None,
        id: document_id(number),
        collection: CollectionKey { owner: UserId::anonymous(), name: CollectionName::default() },
        filename: format!("{number}.txt"),
        file_type: "txt".into(),
        file_size: 1,
        hash: ContentHash([number; 32]),
        tags: Vec::new(),
        metadata: JsonMap::new(),
        upload_time: 1_700_000_000_000 + i64::from(number),
        status: Stage::Indexing,
        title: None,
        chunk_count: 1,
        warnings: Vec::new(),
        error: None,
        provenance: Provenance::default(),
    }
}

pub fn chunk(index: u32, text: &str, language: Option<&str>) -> Chunk {
    Chunk {
        index,
        text: text.into(),
        chars: 0..text.chars().count(),
        page: None,
        heading_path: Vec::new(),
        context: None,
        language: language.map(Into::into),
        tokens: 1,
        metadata: JsonMap::new(),
    }
}

/// A document whose chunks have these texts and, where any are given, these vectors.
///
/// Its rows have numbers that no other has: higher ones than those of all documents made before.
pub fn indexed(document: Document, chunks: Vec<Chunk>, vectors: Vec<f32>) -> IndexDocument {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first_row = NEXT.fetch_add(chunks.len() as u32, Ordering::Relaxed);
    IndexDocument { document: Arc::new(document), chunks, first_row, is_first: false, vectors }
}

pub fn keyword_cursor(search: &Search) -> u64 {
    search.open_collection(ID, None).unwrap().keyword
}

pub fn put(number: u8, text: &str, language: Option<&str>) -> Change {
    Change::Put(indexed(document(number), vec![chunk(0, text, language)], Vec::new()))
}

pub fn query(text: &str) -> SearchQuery {
    SearchQuery {
        text: text.into(),
        typo_tolerance: false,
        vector: None,
        embedder: None,
        mode: SearchMode::Hybrid,
        filter: None,
        limit: 100,
        candidates: 100,
        fusion: Fusion::Convex { alpha: 0.5 },
    }
}

pub fn open(directory: &Path) -> Search {
    Search::open(directory).expect("opens")
}

/// Ids of the documents found, best first.
pub fn found(search: &Search, query: &SearchQuery) -> Vec<DocumentId> {
    let hits = search.search(ID, query).expect("searches").hits;
    hits.into_iter().map(|hit| hit.chunk.document).collect()
}

fn collection(changes: &[Change]) -> (tempfile::TempDir, Search) {
    let directory = tempfile::tempdir().expect("a directory");
    let search = open(directory.path());
    search.apply(ID, changes, 1).expect("applies");
    (directory, search)
}

#[test]
fn a_chunk_is_found_whatever_language_the_query_seems_to_be() {
    let (_directory, search) = collection(&[
        put(1, "Die Häuser am Fluss", Some("de")),
        put(2, "The houses of London", Some("en")),
        put(3, "Дома у реки", Some("ru")),
        put(4, "東京都の家", Some("ja")),
        put(5, "Houses without language", None),
    ]);
    assert_eq!(found(&search, &query("Haus")), [document_id(1)]);
    assert_eq!(found(&search, &query("house")), [document_id(2)]);
    assert_eq!(found(&search, &query("HOUSES")).len(), 2);
    assert_eq!(found(&search, &query("домов")), [document_id(3)]);
    assert_eq!(found(&search, &query("東京")), [document_id(4)]);
}

/// One chunk that was taken for another language must not make a function word rare.
#[test]
fn stop_words_of_the_collection_are_not_rare_words_of_one_chunk() {
    let mut changes: Vec<_> =
        (1..20).map(|number| put(number, "Ein Haus in der Stadt und im Dorf", Some("de"))).collect();
    changes.push(put(20, "Der Reiher fliegt über den See", Some("de")));
    changes.push(put(21, "In 9000 BP war Europa bewaldet", Some("fi")));
    let (_directory, search) = collection(&changes);
    assert_eq!(found(&search, &query("Wo fliegt der Reiher in Europa?"))[0], document_id(20));
    let hits = search.search(ID, &query("in")).unwrap().hits;
    assert_eq!(hits.len(), 1);
    assert!(hits[0].scores.keyword.unwrap() < 0.3, "{hits:?}");
}

#[test]
fn scores_do_not_depend_on_the_language_a_chunk_was_taken_for() {
    let text = "Quantum Zebra";
    let others = (10..40).map(|number| put(number, "some other words entirely", Some("en")));
    let changes: Vec<_> =
        [put(1, text, Some("de")), put(2, text, Some("en"))].into_iter().chain(others).collect();
    let (_directory, search) = collection(&changes);
    let hits = search.search(ID, &query(text)).unwrap().hits;
    assert_eq!(hits.len(), 2);
    assert_eq!(hits[0].scores.keyword, hits[1].scores.keyword);
    assert!(hits[0].chunk < hits[1].chunk);
}

#[test]
fn words_said_twice_count_twice() {
    let (_directory, search) =
        collection(&[put(1, "alpha filler filler", Some("en")), put(2, "beta filler filler", Some("en"))]);
    assert_eq!(found(&search, &query("alpha beta beta"))[0], document_id(2));
    assert_eq!(found(&search, &query("alpha alpha beta"))[0], document_id(1));
}

#[test]
fn titles_headings_and_context_are_searched() {
    let mut titled = document(1);
    titled.title = Some("Wartungshandbuch".into());
    let mut headed = chunk(0, "text", Some("de"));
    headed.heading_path = vec!["Pumpen".into(), "Dichtungen".into()];
    headed.context = Some("Spaltenkopf".into());
    let (_directory, search) = collection(&[Change::Put(indexed(titled, vec![headed], Vec::new()))]);
    for text in ["wartungshandbuch", "Dichtung", "Spaltenkopf", "\"pumpen\"", "\"Spaltenkopf\""] {
        assert_eq!(found(&search, &query(text)), [document_id(1)], "{text}");
    }
}

#[test]
fn what_one_side_found_is_scored_by_the_vectors_too() {
    let vectors = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]];
    let changes = (1..).zip(vectors).map(|(number, vector)| {
        let text = if number == 2 { "heron" } else { "pelican" };
        Change::Put(indexed(document(number), vec![chunk(0, text, Some("en"))], vector.to_vec()))
    });
    let (_directory, search) = collection(&changes.collect::<Vec<_>>());
    // Each side looks no further than its first.
    let first = |fusion| {
        let vector = Some(vec![1.0, 0.0]);
        let asked = SearchQuery { vector, fusion, candidates: 1, limit: 1, ..query("heron") };
        search.search(ID, &asked).unwrap().hits.remove(0)
    };
    let heron = first(Fusion::Convex { alpha: 0.1 });
    assert_eq!(heron.chunk, chunk_id(2, 0));
    assert!((heron.scores.vector.unwrap() - 0.6).abs() < 1e-3, "{heron:?}");
    assert_eq!(first(Fusion::Convex { alpha: 0.9 }).chunk, chunk_id(1, 0));
    let by_rank = first(Fusion::Rrf);
    assert!(by_rank.scores.vector.is_none() || by_rank.scores.keyword.is_none(), "{by_rank:?}");
}

#[test]
fn phrases_are_required_in_their_order() {
    let (_directory, search) = collection(&[
        put(1, "the red house by the river", Some("en")),
        put(2, "the house is red", Some("en")),
        put(3, "a river of cards", Some("en")),
    ]);
    assert_eq!(found(&search, &query("\"red houses\"")), [document_id(1)]);
    assert_eq!(found(&search, &query("\"river of cards\" house")), [document_id(3)]);
    assert_eq!(found(&search, &query("\"of the\" river")).len(), 2);
    assert_eq!(found(&search, &query("red \"house")).len(), 2);
}

#[test]
fn no_text_is_an_error() {
    let (_directory, search) = collection(&[put(1, "word + (other)", Some("en"))]);
    let huge = "word other thing ".repeat(70_000);
    let odd = [
        "",
        "   ",
        "the of and",
        "\"\"",
        "\" \"",
        "+ - ( ) [ ] { } ^ ~ * ? : \\ /",
        "a:b AND NOT (c",
        "\0\u{ffff}",
    ];
    for text in odd.into_iter().chain([huge.as_str(), "\"".repeat(100_001).as_str()]) {
        search.search(ID, &query(text)).unwrap();
    }
    assert!(found(&search, &query("the of and")).is_empty() && found(&search, &query("")).is_empty());
    assert_eq!(found(&search, &query(&huge)), [document_id(1)]);
}

#[test]
fn an_unknown_collection_has_nothing() {
    let (_directory, search) = collection(&[put(1, "word", None)]);
    let other = CollectionId(8);
    assert_eq!(search.search(other, &query("word")).unwrap(), Outcome::default());
    assert_eq!(search.counts(other), (0, 0));
    assert_eq!(search.similar(other, document_id(1), 3).unwrap(), []);
}

#[test]
fn vector_search_needs_a_vector_of_the_right_dimension() {
    let vectors = vec![1.0, 0.0, 0.0, 1.0];
    let chunks = vec![chunk(0, "one", None), chunk(1, "two", None)];
    let (_directory, search) = collection(&[Change::Put(indexed(document(1), chunks.clone(), vectors))]);
    let of = |vector| SearchQuery { vector, mode: SearchMode::Vector, ..query("") };
    assert!(matches!(search.search(ID, &of(None)), Err(Error::Query(_))));
    let wrong = search.search(ID, &of(Some(vec![1.0])));
    assert!(matches!(wrong, Err(Error::Dimension { expected: 2, got: 1 })));
    let hits = search.search(ID, &of(Some(vec![0.0, 5.0]))).unwrap().hits;
    assert_eq!(hits[0].chunk, chunk_id(1, 1));
    assert!((hits[0].score - 1.0).abs() < 1e-4);

    for vectors in [vec![1.0; 3], vec![1.0; 6]] {
        let refused = search.apply(ID, &[Change::Put(indexed(document(2), chunks.clone(), vectors))], 2);
        assert!(matches!(refused, Err(Error::Dimension { .. })));
    }
    assert_eq!(search.counts(ID), (2, 2), "a refused change leaves nothing behind");
    assert_eq!(keyword_cursor(&search), 1);
}

#[test]
fn vectors_of_another_embedder_are_not_compared() {
    let directory = tempfile::tempdir().unwrap();
    let search = open(directory.path());
    search.ensure_open(ID, &Space { fingerprint: "a".into(), dimension: 2 }).unwrap();
    let document = indexed(document(1), vec![chunk(0, "one", None)], vec![1.0, 0.0]);
    search.apply(ID, &[Change::Put(document)], 1).unwrap();
    let by = |embedder: &str| SearchQuery {
        vector: Some(vec![1.0, 0.0]),
        embedder: Some(embedder.into()),
        mode: SearchMode::Vector,
        ..query("")
    };
    assert_eq!(search.search(ID, &by("a")).unwrap().hits.len(), 1);
    assert!(matches!(search.search(ID, &by("b")), Err(Error::OtherEmbedder)));
}

#[test]
fn rows_without_direction_are_never_returned() {
    let chunks = vec![chunk(0, "one", None), chunk(1, "two", None)];
    let vectors = vec![0.0, 0.0, 0.6, 0.8];
    let (_directory, search) = collection(&[Change::Put(indexed(document(1), chunks, vectors))]);
    let vector = SearchQuery { vector: Some(vec![1.0, 0.0]), mode: SearchMode::Vector, ..query("") };
    assert_eq!(search.search(ID, &vector).unwrap().hits.len(), 1);
    let zero = SearchQuery { vector: Some(vec![0.0, 0.0]), ..vector };
    assert!(search.search(ID, &zero).unwrap().hits.is_empty());
}

#[test]
fn similar_documents_with_and_without_vectors() {
    let texts = ["red green blue", "red green yellow", "steam engine pistons"];
    let vectors = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]];
    let changes = |with_vectors: bool| -> Vec<Change> {
        let both = texts.iter().zip(vectors).enumerate();
        both.map(|(number, (text, vector))| {
            let vector = if with_vectors { vector.to_vec() } else { Vec::new() };
            Change::Put(indexed(document(number as u8), vec![chunk(0, text, Some("en"))], vector))
        })
        .collect()
    };
    let (_directory, search) = collection(&changes(true));
    let similar = search.similar(ID, document_id(0), 5).unwrap();
    assert_eq!(similar.iter().map(|found| found.0).collect::<Vec<_>>(), [document_id(1), document_id(2)]);
    assert!((similar[0].1 - 0.8).abs() < 1e-3);

    let (_directory, search) = collection(&changes(false));
    let similar = search.similar(ID, document_id(0), 5).unwrap();
    assert_eq!(similar.iter().map(|found| found.0).collect::<Vec<_>>(), [document_id(1)]);
    assert!((0.0..1.0).contains(&similar[0].1));
    assert_eq!(search.similar(ID, document_id(9), 5).unwrap(), []);
}

#[test]
fn searches_go_on_while_changes_are_applied() {
    let (_directory, search) = collection(&[put(0, "word zero", Some("en"))]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..=60u8 {
                search.apply(ID, &[put(number, "word more", Some("en"))], u64::from(number) + 1).unwrap();
            }
        });
        let mut seen = 0;
        while !writer.is_finished() {
            let now = found(&search, &query("word")).len();
            assert!(now >= seen, "a search sees whole states, each later than the one before");
            seen = now;
        }
    });
    assert_eq!(found(&search, &query("word")).len(), 61);
}

#[test]
fn a_rested_collection_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let collection = Collection::open(directory.path(), None, None).unwrap();
    for number in 1..20u8 {
        collection.apply(&[put(number % 5, "word", None)], u64::from(number)).unwrap();
        if number % 3 == 0 {
            collection.rest(Duration::ZERO).unwrap();
        }
    }
    assert_eq!((collection.counts().0, collection.cursors().keyword), (5, 19));
    assert_eq!(collection.search(&query("word"), true).unwrap().hits.len(), 5);
}
