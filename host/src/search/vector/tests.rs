//! Random histories of one index, with work in the background that begins at one step and ends at a later one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use uuid::Uuid;

use super::plan::{self, Limits};
use super::upkeep::Begun;
use super::*;

const DIMENSION: usize = 3;
const LIMITS: Limits = Limits { seal_rows: 3, graph_rows: 8, flats_max: 2, graphs_max: 2 };

type Row = [i8; DIMENSION];

#[derive(Clone, Debug)]
enum Step {
    Put(u8, Vec<Row>),
    Delete(u8),
    /// A job begins: the one that is due, or sealing.
    Begin(bool),
    /// The job that was begun ends.
    End,
    /// What was under way is lost, and the files are opened anew.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let rows = proptest::collection::vec(proptest::array::uniform3(-4i8..5), 1..4);
    prop_oneof![
        6 => (0u8..8, rows).prop_map(|(document, rows)| Step::Put(document, rows)),
        2 => (0u8..8).prop_map(Step::Delete),
        3 => any::<bool>().prop_map(Step::Begin),
        3 => Just(Step::End),
        1 => Just(Step::Reopen),
    ]
}

fn id(number: u8) -> DocumentId {
    DocumentId(Uuid::from_u128(number.into()))
}

/// What there should be, and the journal to replay.
#[derive(Default)]
struct Model {
    documents: BTreeMap<u8, (u32, Vec<Row>)>,
    journal: BTreeMap<u64, u8>,
    seq: u64,
    next_row: u32,
}

impl Model {
    fn change(&mut self, document: u8, rows: Option<Vec<Row>>) {
        self.seq += 1;
        self.journal.retain(|_, other| *other != document);
        self.journal.insert(self.seq, document);
        self.documents.remove(&document);
        if let Some(rows) = rows {
            let first = self.next_row;
            self.next_row += rows.len() as u32;
            self.documents.insert(document, (first, rows));
        }
    }

    /// Shows the index the last change of a document.
    fn show(&self, writer: &mut VectorWriter, document: u8, seq: u64) {
        match self.documents.get(&document) {
            Some((first, rows)) => writer.put(id(document), *first, &floats(rows)).unwrap(),
            None => writer.delete(id(document)),
        }
        writer.set_cursor(seq);
    }

    fn open(&self, directory: &Path) -> VectorWriter {
        let mut writer = VectorWriter::open(directory, DIMENSION, Some(LIMITS)).unwrap();
        for (seq, document) in self.journal.range(writer.cursor() + 1..) {
            self.show(&mut writer, *document, *seq);
        }
        writer
    }

    fn check(&self, vectors: &Vectors) {
        let query = [0.7, -1.0, 0.4];
        let mut wanted = BTreeMap::new();
        for (document, (first, rows)) in &self.documents {
            for (index, row) in (0..).zip(rows) {
                let chunk = ChunkId { document: id(*document), index };
                wanted.insert(first + index, (chunk, cosine(row, &query)));
            }
        }
        assert_eq!(vectors.len(), wanted.len() as u64);
        let found_one_by_one = vectors.cosines(&query, &wanted.keys().copied().collect::<Vec<_>>()).unwrap();
        for ((_, cosine), found) in wanted.values().zip(found_one_by_one) {
            assert_eq!(cosine.is_some(), found.is_some());
            assert!((cosine.unwrap_or(0.0) - found.unwrap_or(0.0)).abs() < 1e-3);
        }
        wanted.retain(|_, (_, cosine)| cosine.is_some());
        check_found(vectors, &query, None, &wanted);
        let odd: Bits = wanted.keys().copied().filter(|row| row % 2 == 1).collect();
        wanted.retain(|row, _| row % 2 == 1);
        check_found(vectors, &query, Some(&odd), &wanted);
    }
}

fn check_found(
    vectors: &Vectors,
    query: &[f32],
    allowed: Option<&Bits>,
    wanted: &BTreeMap<u32, (ChunkId, Option<f32>)>,
) {
    let (found, _) = vectors.search(query, allowed, 100).unwrap();
    assert_eq!(found.len(), wanted.len());
    for scored in &found {
        let (chunk, cosine) = wanted[&scored.row];
        assert_eq!(vectors.chunk(scored.row), Some(chunk));
        assert!((scored.cosine - cosine.unwrap()).abs() < 1e-3);
    }
    assert!(found.windows(2).all(|pair| pair[0].cosine >= pair[1].cosine));
}

fn floats(rows: &[Row]) -> Vec<f32> {
    rows.iter().flatten().map(|value| f32::from(*value)).collect()
}

fn cosine(row: &Row, query: &[f32]) -> Option<f32> {
    let length = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    let row = floats(&[*row]);
    let product: f32 = row.iter().zip(query).map(|(a, b)| a * b).sum();
    (length(&row) > 0.0).then(|| product / length(&row) / length(query))
}

fn begin(writer: &mut VectorWriter, due: bool) -> Option<Begun> {
    let (segments, fresh) = writer.standing();
    let job = if due { plan::next(&segments, fresh, LIMITS) } else { Some(Job::Seal) };
    job.map(|job| writer.begin(job))
}

fn end(writer: &mut VectorWriter, begun: Begun) {
    let made = begun.run(&AtomicBool::new(false)).unwrap().unwrap();
    writer.exchange(&made);
    writer.manifest().unwrap().write(writer.directory()).unwrap();
    made.remove_sources().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn work_behind_the_scenes_changes_nothing(steps in proptest::collection::vec(step(), 1..40)) {
        let directory = tempfile::tempdir().unwrap();
        let mut model = Model::default();
        let mut writer = model.open(directory.path());
        let mut begun = None;
        for step in steps {
            match step {
                Step::Put(document, rows) => {
                    model.change(document, Some(rows));
                    model.show(&mut writer, document, model.seq);
                }
                Step::Delete(document) => {
                    model.change(document, None);
                    model.show(&mut writer, document, model.seq);
                }
                Step::Begin(due) if begun.is_none() => begun = begin(&mut writer, due),
                Step::Begin(_) => {}
                Step::End => {
                    if let Some(begun) = begun.take() {
                        end(&mut writer, begun);
                    }
                }
                Step::Reopen => {
                    begun = None;
                    writer = model.open(directory.path());
                }
            }
            model.check(&writer.snapshot());
        }
    }
}

/// An index with two segments, of which one has a dead row.
fn filled(directory: &Path) -> Model {
    let mut model = Model::default();
    let mut writer = model.open(directory);
    for document in 0..6u8 {
        model.change(document, Some(vec![[1, 2, document as i8], [3, document as i8, -1]]));
        model.show(&mut writer, document, model.seq);
        if document % 3 == 2 {
            let begun = begin(&mut writer, false).unwrap();
            end(&mut writer, begun);
        }
    }
    model.change(4, None);
    model.show(&mut writer, 4, model.seq);
    let begun = begin(&mut writer, false).unwrap();
    end(&mut writer, begun);
    model
}

#[test]
fn what_was_sealed_needs_no_replay() {
    let directory = tempfile::tempdir().unwrap();
    let model = filled(directory.path());
    let writer = VectorWriter::open(directory.path(), DIMENSION, Some(LIMITS)).unwrap();
    assert_eq!(writer.cursor(), model.seq);
    model.check(&writer.snapshot());
}

#[test]
fn every_changed_byte_and_every_cut_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let files = || std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(files().count(), 3, "a manifest and two segments");
    let opens = || VectorWriter::open(directory.path(), DIMENSION, Some(LIMITS)).map(drop);
    for file in files() {
        let good = std::fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&file, &bad).unwrap();
            let noticed = matches!(opens(), Err(Error::Damaged { .. }));
            // Padding between sections holds nothing.
            assert!(noticed || good[at] == 0, "{} byte {at}", file.display());
        }
        for len in [0, 7, good.len() / 2, good.len() - 1] {
            std::fs::write(&file, &good[..len]).unwrap();
            assert!(matches!(opens(), Err(Error::Damaged { .. })), "{} cut to {len}", file.display());
        }
        std::fs::write(&file, &good).unwrap();
    }
    opens().unwrap();
    let segment = files().find(|path| path.extension().is_some()).unwrap();
    std::fs::remove_file(segment).unwrap();
    assert!(matches!(opens(), Err(Error::Damaged { .. })), "a missing segment");
}

#[test]
fn vectors_of_another_dimension_and_rows_used_twice_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let model = filled(directory.path());
    let mut writer = VectorWriter::open(directory.path(), DIMENSION, Some(LIMITS)).unwrap();
    assert!(matches!(writer.put(id(9), 40, &[1.0; 4]), Err(Error::Dimension { .. })));
    assert!(matches!(writer.put(id(9), 3, &[1.0; 3]), Err(Error::Index(_))));
    model.check(&writer.snapshot());
    assert!(matches!(VectorWriter::open(directory.path(), 4, None), Err(Error::Damaged { .. })));
}

/// Reproducible numbers between -1 and 1.
fn numbers(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    }
}

/// Vectors around a few centres, as real embeddings are.
fn clustered(count: usize, dimension: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut next = numbers(seed);
    let centres: Vec<Vec<f32>> = (0..24).map(|_| (0..dimension).map(|_| next()).collect()).collect();
    let around = |at: usize, next: &mut dyn FnMut() -> f32| {
        centres[at % centres.len()].iter().map(|value| value + 0.6 * next()).collect()
    };
    (0..count).map(|at| around(at, &mut next)).collect()
}

/// An index whose rows are nearly all under graphs; some are dead, some in memory.
fn graphed(directory: &Path, rows: &[Vec<f32>]) -> VectorWriter {
    let limits = Limits { seal_rows: 400, graph_rows: 1200, flats_max: 8, graphs_max: 4 };
    let mut writer = VectorWriter::open(directory, rows[0].len(), Some(limits)).unwrap();
    for (number, row) in (0..).zip(rows) {
        writer.put(DocumentId(Uuid::from_u128(u128::from(number) + 1000)), number, row).unwrap();
        let (segments, fresh) = writer.standing();
        if let Some(job) = plan::next(&segments, fresh, limits) {
            let begun = writer.begin(job);
            end(&mut writer, begun);
        }
    }
    for number in (0..rows.len() as u32).filter(|number| number % 17 == 3) {
        writer.delete(DocumentId(Uuid::from_u128(u128::from(number) + 1000)));
    }
    writer
}

/// Row numbers that are nearest among those allowed, by a scan in f32.
fn nearest(rows: &[Vec<f32>], query: &[f32], may: impl Fn(u32) -> bool, limit: usize) -> Vec<u32> {
    let length = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    let cosine = |row: &[f32]| row.iter().zip(query).map(|(a, b)| a * b).sum::<f32>() / length(row);
    let alive = (0..rows.len() as u32).filter(|number| number % 17 != 3 && may(*number));
    let mut found: Vec<(f32, u32)> = alive.map(|number| (cosine(&rows[number as usize]), number)).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(limit);
    found.into_iter().map(|(_, number)| number).collect()
}

#[test]
fn filters_of_every_selectivity_find_the_nearest() {
    let directory = tempfile::tempdir().unwrap();
    let rows = clustered(4000, 24, 1);
    let vectors = graphed(directory.path(), &rows).snapshot();
    let queries = clustered(40, 24, 2);
    let mut ways = (0, 0);
    for every in [1, 2, 3, 5, 10, 30, 100, 1000, 4000] {
        // Spread over all rows, without a pattern that follows the clusters.
        let may = |number: u32| (number.wrapping_mul(2_654_435_761) % 4001).is_multiple_of(every);
        let allowed: Bits = (0..4000).filter(|number| may(*number)).collect();
        let (mut found, mut wanted) = (0, 0);
        for query in &queries {
            let filter = (every > 1).then_some(&allowed);
            let (best, trace) = vectors.search(query, filter, 10).unwrap();
            ways =
                (ways.0 + u32::from(trace.graph_segments > 0), ways.1 + u32::from(trace.graph_segments == 0));
            let right = nearest(&rows, query, |number| every == 1 || may(number), 10);
            assert!(best.iter().all(|hit| hit.row % 17 != 3 && (every == 1 || may(hit.row))));
            assert_eq!(best.len(), right.len());
            wanted += right.len();
            found += right.iter().filter(|row| best.iter().any(|hit| hit.row == **row)).count();
        }
        assert!(found as f32 >= 0.99 * wanted as f32, "1 of {every}: {found} of {wanted}");
    }
    assert!(ways.0 > 0 && ways.1 > 0, "both ways were gone: {ways:?}");
}

#[test]
fn every_row_finds_itself() {
    let directory = tempfile::tempdir().unwrap();
    let mut rows = clustered(3000, 24, 3);
    // Copies, as boilerplate makes them.
    (0..300).for_each(|at| rows[at * 10] = rows[at % 7].clone());
    let vectors = graphed(directory.path(), &rows).snapshot();
    for (number, row) in (0..).zip(&rows).filter(|(number, _): &(u32, _)| number % 17 != 3) {
        let (best, trace) = vectors.search(row, None, 10).unwrap();
        assert!(trace.graph_segments > 0);
        let worst = best.last().unwrap().cosine;
        // Of more than ten equal ones any ten will do.
        assert!(best.iter().any(|hit| hit.row == number) || worst > 0.9999, "row {number}: {best:?}");
    }
}
