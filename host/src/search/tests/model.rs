//! Random histories against a map: what is found is what the map holds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const WORDS: [&str; 5] = ["apple", "banana", "cherry", "damson", "elder"];
pub const DIMENSION: usize = 4;

/// Sizes at which a few rows already make segments and graphs.
pub const LIMITS: Limits = Limits { seal_rows: 4, graph_rows: 9, flats_max: 2, graphs_max: 2 };

#[derive(Clone, Debug)]
enum Step {
    /// Several changes in one call: document and its chunks, or its end.
    Apply(Vec<(u8, Option<Vec<Content>>)>),
    /// The work in the background is done now.
    Settle,
    Rest,
    /// Everything is put together.
    Optimize,
    /// The process ends and begins anew.
    Reopen,
    /// The process dies: the directory is copied as it stands, and the copy opened.
    Kill,
}

/// Words of a chunk and its vector.
pub type Content = (BTreeSet<usize>, [i8; DIMENSION]);

/// The truth: what the store would have.
#[derive(Clone, Default)]
pub struct Model {
    documents: BTreeMap<u8, Vec<Content>>,
    /// The last change of each document, by its number in the journal.
    journal: BTreeMap<u64, Change>,
    pub last: u64,
}

impl Model {
    pub fn apply(&mut self, changes: &[(u8, Option<Vec<Content>>)]) -> Vec<Change> {
        let apply = |(number, chunks): &(u8, Option<Vec<Content>>)| {
            let change = change(*number, chunks);
            self.documents.remove(number);
            self.documents.extend(chunks.clone().map(|chunks| (*number, chunks)));
            self.journal.retain(|_, other| id(other) != id(&change));
            self.last += 1;
            self.journal.insert(self.last, change.clone());
            change
        };
        changes.iter().map(apply).collect()
    }
}

fn id(change: &Change) -> DocumentId {
    match change {
        Change::Put(document) => document.document.id,
        Change::Delete(id) => *id,
    }
}

fn vectors_of(change: &Change) -> VectorChange {
    match change {
        Change::Put(put) => VectorChange::Put {
            document: put.document.id,
            first_row: put.first_row,
            vectors: put.vectors.clone(),
        },
        Change::Delete(id) => VectorChange::Delete(*id),
    }
}

fn content() -> impl Strategy<Value = Content> {
    (proptest::collection::btree_set(0..WORDS.len(), 1..4), proptest::array::uniform4(-3i8..4))
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0u8..6, proptest::option::weighted(0.7, proptest::collection::vec(content(), 0..4)));
    prop_oneof![
        6 => proptest::collection::vec(change, 1..5).prop_map(Step::Apply),
        1 => Just(Step::Settle),
        2 => Just(Step::Rest),
        1 => Just(Step::Optimize),
        1 => Just(Step::Reopen),
        2 => Just(Step::Kill),
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

pub fn space() -> Space {
    Space { fingerprint: "model".into(), dimension: DIMENSION }
}

/// Opens a directory and replays what its indexes have not seen.
fn load(directory: &Path, model: &Model) -> Search {
    let search = Search::with_limits(directory, Some(LIMITS)).expect("opens");
    let cursors = search.open_collection(ID, Some(&space())).unwrap();
    assert_eq!(cursors.keyword, model.last, "nothing of the keyword index is lost with the process");
    replay(&search.get(ID).unwrap(), model);
    search
}

/// Shows the indexes what they have not seen, as the daemon does.
pub fn replay(collection: &Collection, model: &Model) {
    let Cursors { keyword, vector } = collection.cursors();
    let vector = vector.unwrap();
    for (seq, change) in model.journal.range(vector.min(keyword) + 1..) {
        match *seq <= keyword {
            true => collection.apply_vectors(&[vectors_of(change)], *seq).unwrap(),
            false => collection.apply(std::slice::from_ref(change), *seq).unwrap(),
        }
    }
}

/// What a kill would leave: merges go on in the background, so a copy that one changed meanwhile is made again.
fn snapshot(from: &Path, to: &Path) {
    let lists = || {
        let mut lists = Vec::new();
        for entry in walkdir::WalkDir::new(from).sort_by_file_name().into_iter().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if [".managed.json", "meta.json", "manifest"].contains(&name.as_str()) {
                lists.push(std::fs::read(entry.path()).ok());
            }
        }
        lists
    };
    loop {
        let before = lists();
        if copy(from, to).is_ok() && lists() == before {
            return;
        }
        std::fs::remove_dir_all(to).unwrap();
    }
}

pub fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
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
    model.documents.iter().flat_map(|(number, chunks)| {
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
    check_collection(&search.get(ID).unwrap(), model);
}

pub fn check_collection(search: &Collection, model: &Model) {
    let count = rows(model).count() as u64;
    assert_eq!(search.counts(), (count, count));
    for (at, word) in WORDS.iter().enumerate() {
        let hits = search.search(&query(word), true).unwrap().hits;
        let found: BTreeSet<ChunkId> = hits.iter().map(|hit| hit.chunk).collect();
        assert_eq!(found.len(), hits.len());
        assert_eq!(found, keyword_hits(model, at));
    }
    let vector = vec![0.5, -1.0, 2.0, 0.25];
    let wanted = cosines(model, &vector);
    let of_vector = SearchQuery { vector: Some(vector), mode: SearchMode::Vector, limit: 5, ..query("") };
    let hits = search.search(&of_vector, false).unwrap().hits;
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
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_is_found_is_what_was_put(steps in proptest::collection::vec(step(), 1..20)) {
        let root = tempfile::tempdir().unwrap();
        let mut at = root.path().join("0");
        let mut model = Model::default();
        let mut search = load(&at, &model);
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Apply(changes) => {
                    let made = model.apply(changes);
                    search.apply(ID, &made, model.last).unwrap();
                }
                Step::Settle => search.settle().unwrap(),
                Step::Rest => search.get(ID).unwrap().rest(Duration::ZERO).unwrap(),
                Step::Optimize => search.optimize().unwrap(),
                Step::Reopen => {
                    search.close();
                    drop(search);
                    search = load(&at, &model);
                }
                Step::Kill => {
                    let next = root.path().join((number + 1).to_string());
                    snapshot(&at, &next);
                    at = next;
                    search = load(&at, &model);
                }
            }
            check(&search, &model);
        }
    }
}
