//! Random histories against a map: what is found is what the map holds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const WORDS: [&str; 5] = ["apple", "banana", "cherry", "damson", "elder"];
const DIMENSION: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// Several changes in one call: document and its chunks, or its end.
    Apply(Vec<(u8, Option<Vec<Content>>)>),
    /// Everything is opened anew, vectors are loaded from the model.
    Reopen,
    /// The process dies: the directory is copied as it stands, and the copy opened.
    Kill,
}

/// Words of a chunk and its vector.
type Content = (BTreeSet<usize>, [i8; DIMENSION]);
type Model = BTreeMap<u8, Vec<Content>>;

fn content() -> impl Strategy<Value = Content> {
    (proptest::collection::btree_set(0..WORDS.len(), 1..4), proptest::array::uniform4(-3i8..4))
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0u8..6, proptest::option::weighted(0.7, proptest::collection::vec(content(), 0..4)));
    prop_oneof![
        6 => proptest::collection::vec(change, 1..5).prop_map(Step::Apply),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

fn vectors(chunks: &[Content]) -> Vec<f32> {
    chunks.iter().flat_map(|(_, vector)| vector.map(f32::from)).collect()
}

fn change(number: u8, chunks: &Option<Vec<Content>>) -> Change {
    let Some(chunks) = chunks else { return Change::Delete(document_id(number)) };
    let rows = chunks.iter().enumerate().map(|(index, (words, _))| {
        let words: Vec<&str> = words.iter().map(|word| WORDS[*word]).collect();
        let language = if index % 2 == 0 { Some("en") } else { None };
        chunk(index as u32, &words.join(" "), language)
    });
    Change::Put(indexed(document(number), rows.collect(), vectors(chunks)))
}

fn load(search: &Search, model: &Model, cursor: u64) {
    assert_eq!(search.open_collection(ID, Some(DIMENSION)).unwrap(), cursor);
    let documents: Vec<_> =
        model.iter().map(|(number, chunks)| (document_id(*number), vectors(chunks))).collect();
    search.load_vectors(ID, DIMENSION, &documents).unwrap();
}

/// What a kill would leave: merges go on in the background, so a copy that one changed meanwhile is made again.
fn snapshot(from: &Path, to: &Path) {
    let lists = || {
        [".managed.json", "meta.json"]
            .map(|name| std::fs::read(from.join(ID.to_string()).join("keyword").join(name)).ok())
    };
    loop {
        let before = lists();
        if copy(from, to).is_ok() && lists() == before {
            return;
        }
        std::fs::remove_dir_all(to).unwrap();
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(std::fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

fn keyword_hits(model: &Model, word: usize) -> BTreeSet<ChunkId> {
    rows(model).filter(|(_, (words, _))| words.contains(&word)).map(|(id, _)| id).collect()
}

fn rows(model: &Model) -> impl Iterator<Item = (ChunkId, &Content)> {
    model.iter().flat_map(|(number, chunks)| {
        chunks.iter().enumerate().map(|(index, content)| (chunk_id(*number, index as u32), content))
    })
}

fn cosines(model: &Model, query: &[f32]) -> BTreeMap<ChunkId, f32> {
    let length = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    rows(model)
        .filter_map(|(id, (_, vector))| {
            let vector = vector.map(f32::from);
            let product: f32 = vector.iter().zip(query).map(|(a, b)| a * b).sum();
            (length(&vector) > 0.0).then(|| (id, product / length(&vector) / length(query)))
        })
        .collect()
}

fn check(search: &Search, model: &Model) {
    let count = rows(model).count() as u64;
    assert_eq!(search.counts(ID), (count, count));
    for (at, word) in WORDS.iter().enumerate() {
        let hits = search.search(ID, &query(word)).unwrap().hits;
        let found: BTreeSet<ChunkId> = hits.iter().map(|hit| hit.chunk).collect();
        assert_eq!(found.len(), hits.len());
        assert_eq!(found, keyword_hits(model, at));
    }
    let vector = vec![0.5, -1.0, 2.0, 0.25];
    let wanted = cosines(model, &vector);
    let of_vector = SearchQuery { vector: Some(vector), mode: SearchMode::Vector, limit: 5, ..query("") };
    let hits = search.search(ID, &of_vector).unwrap().hits;
    assert_eq!(hits.len(), wanted.len().min(5));
    let mut best: Vec<f32> = wanted.values().copied().collect();
    best.sort_by(|a, b| b.total_cmp(a));
    for (hit, best) in hits.iter().zip(best) {
        let cosine = hit.scores.vector.unwrap();
        assert!((cosine - wanted[&hit.chunk]).abs() < 1e-3, "{hit:?} {wanted:?}");
        assert!((cosine - best).abs() < 1e-3, "{cosine} {best}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_found_is_what_was_put(steps in proptest::collection::vec(step(), 1..14)) {
        let root = tempfile::tempdir().unwrap();
        let mut at = root.path().join("0");
        let mut search = open(&at);
        let mut model = Model::new();
        let mut cursor = 0;
        load(&search, &model, cursor);
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Apply(changes) => {
                    cursor += changes.len() as u64;
                    let made: Vec<Change> = changes.iter().map(|(number, chunks)| change(*number, chunks)).collect();
                    search.apply(ID, &made, cursor).unwrap();
                    for (number, chunks) in changes {
                        model.remove(number);
                        model.extend(chunks.clone().map(|chunks| (*number, chunks)));
                    }
                }
                Step::Reopen => {
                    drop(search);
                    search = open(&at);
                    load(&search, &model, cursor);
                }
                Step::Kill => {
                    let next = root.path().join((number + 1).to_string());
                    snapshot(&at, &next);
                    at = next;
                    search = open(&at);
                    load(&search, &model, cursor);
                }
            }
            check(&search, &model);
        }
    }
}
