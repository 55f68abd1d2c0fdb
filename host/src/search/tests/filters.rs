//! Filters against a naive evaluation, on all ways of searching.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::fuzz::naive::passes;

const NUMBERS: [f64; 7] = [-1e300, -2.5, -0.0, 0.0, 3.0, 3.5, 1e18];
const TEXTS: [&str; 6] = ["", "a", "ab", "ä", "2024-05-01T00:00:00Z", "2024-05-01T01:00:00+02:00"];

fn long(end: char) -> String {
    format!("{}{end}", "long ".repeat(100))
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        proptest::sample::select(&NUMBERS[..]).prop_map(|number| json!(number)),
        Just(json!(3)),
        proptest::sample::select(&TEXTS[..]).prop_map(|text| json!(text)),
        prop_oneof![Just('x'), Just('y')].prop_map(|end| json!(long(end))),
        any::<bool>().prop_map(|value| json!(value)),
        Just(Json::Null),
    ]
}

fn metadata() -> impl Strategy<Value = JsonMap> {
    let value = prop_oneof![
        3 => scalar(),
        1 => proptest::collection::vec(scalar(), 0..3).prop_map(Json::Array),
        1 => proptest::collection::btree_map(key(), scalar(), 0..3).prop_map(|map| json!(map)),
    ];
    proptest::collection::btree_map(key(), value, 0..3).prop_map(|map| map.into_iter().collect())
}

fn key() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a", "b", "a\0b", ""]).prop_map(str::to_owned)
}

fn field() -> impl Strategy<Value = Field> {
    let path = proptest::collection::vec(key(), 1..3).prop_map(Field::Metadata);
    let own = vec![Field::FileType, Field::Tags, Field::DocumentId, Field::Filename, Field::UploadTime];
    prop_oneof![3 => path, 2 => proptest::sample::select(own)]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        proptest::sample::select(&NUMBERS[..]).prop_map(Value::Number),
        proptest::sample::select(&TEXTS[..]).prop_map(|text| Value::Text(text.into())),
        prop_oneof![Just('x'), Just('y')].prop_map(|end| Value::Text(long(end))),
        proptest::sample::select(vec!["pdf", "txt", "1.txt", "t0", "t1"])
            .prop_map(|text| Value::Text(text.into())),
        any::<bool>().prop_map(Value::Bool),
        (0i64..4).prop_map(|time| Value::Time(1_700_000_000_000 + time)),
        Just(Value::Time(1_714_521_600_000)),
        (0u8..4).prop_map(|number| Value::Document(document_id(number))),
    ]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let bound = || proptest::option::of(value());
    let short = |value: &Option<Value>| !matches!(value, Some(Value::Text(text)) if text.len() > 256);
    (bound(), bound(), bound(), bound())
        .prop_map(|(gt, gte, lt, lte)| Bounds { gt, gte, lt, lte })
        .prop_filter("a range has a bound", |bounds| *bounds != Bounds::default())
        .prop_filter("long texts have no order", move |bounds| {
            [&bounds.gt, &bounds.gte, &bounds.lt, &bounds.lte].into_iter().all(short)
        })
}

fn filter() -> impl Strategy<Value = Filter> {
    let values = || proptest::collection::vec(value(), 0..3);
    let leaf = prop_oneof![
        (field(), values()).prop_map(|(field, values)| Filter::Any(field, values)),
        (field(), values()).prop_map(|(field, values)| Filter::All(field, values)),
        (field(), bounds()).prop_map(|(field, bounds)| Filter::Range(field, bounds)),
        (field(), any::<bool>()).prop_map(|(field, there)| Filter::Exists(field, there)),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Filter::And),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

/// Tags and metadata of a document, and of each of its chunks.
type Described = (Vec<usize>, JsonMap, Vec<JsonMap>);

fn described() -> impl Strategy<Value = Described> {
    let tags = proptest::collection::vec(0usize..2, 0..2);
    (tags, metadata(), proptest::collection::vec(metadata(), 1..3))
}

fn make(number: u8, (tags, metadata, chunks): &Described) -> IndexDocument {
    let mut described = document(number);
    described.tags = tags.iter().map(|tag| format!("t{tag}")).collect();
    described.file_type = if number.is_multiple_of(2) { "pdf".into() } else { "txt".into() };
    described.metadata = metadata.clone();
    let rows = chunks.iter().enumerate().map(|(index, metadata)| {
        let mut row = chunk(index as u32, "word", Some("en"));
        row.metadata = metadata.clone();
        row
    });
    let vectors = chunks.iter().flat_map(|_| [1.0, 0.5]).collect();
    indexed(described, rows.collect(), vectors)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn filters_let_through_what_a_naive_evaluation_does(
        described in proptest::collection::vec(described(), 1..5),
        filters in proptest::collection::vec(filter(), 12),
        deleted in 0u8..5,
    ) {
        let documents: Vec<_> = described.iter().enumerate().map(|(number, d)| make(number as u8, d)).collect();
        let (_directory, search) = collection(&documents.iter().cloned().map(Change::Put).collect::<Vec<_>>());
        search.apply(ID, &[Change::Delete(document_id(deleted))], 2).unwrap();
        for filter in filters {
            let wanted: BTreeSet<ChunkId> = documents
                .iter()
                .filter(|document| document.document.id != document_id(deleted))
                .flat_map(|document| document.chunks.iter().map(move |chunk| (&document.document, chunk)))
                .filter(|(document, chunk)| passes(document, chunk, &filter))
                .map(|(document, chunk)| ChunkId { document: document.id, index: chunk.index })
                .collect();
            for mode in [SearchMode::Keyword, SearchMode::Vector, SearchMode::Hybrid] {
                let vector = Some(vec![1.0, 0.0]);
                let filtered = SearchQuery { mode, vector, filter: Some(filter.clone()), ..query("words") };
                let hits = search.search(ID, &filtered).unwrap().hits;
                let found: BTreeSet<ChunkId> = hits.iter().map(|hit| hit.chunk).collect();
                prop_assert_eq!(&found, &wanted, "{:?} {:?}", mode, filter);
                let few = search.search(ID, &SearchQuery { limit: 1, candidates: 1, ..filtered }).unwrap().hits;
                prop_assert_eq!(few.len(), wanted.len().min(1));
            }
        }
    }
}

proptest! {
    #[test]
    fn documents_pass_as_in_the_index(described in described(), filters in proptest::collection::vec(filter(), 12)) {
        let mut made = make(1, &described);
        made.chunks.iter_mut().for_each(|chunk| chunk.metadata = JsonMap::new());
        for filter in filters {
            let wanted = passes(&made.document, &made.chunks[0], &filter);
            prop_assert_eq!(super::super::passes(&filter, &made.document).unwrap(), wanted, "{:?}", filter);
        }
    }
}

#[test]
fn a_range_without_bounds_says_so() {
    let (_directory, search) = collection(&[put(1, "word", None)]);
    let filter = Filter::Range(Field::UploadTime, Bounds::default());
    let refused = search.search(ID, &SearchQuery { filter: Some(filter), ..query("word") });
    assert!(matches!(refused, Err(Error::Filter(_))));
}
