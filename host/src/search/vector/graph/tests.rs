use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use super::super::scan::RowBuffer;
use super::*;

const DIMENSION: usize = 24;
const BUILDERS: [Builder; 2] = [Builder::Parallel, Builder::InstantDistance];

/// Reproducible numbers between -1 and 1.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..DIMENSION).map(|_| self.next()).collect()
    }

    fn near(&mut self, centre: &[f32], distance: f32) -> Vec<f32> {
        centre.iter().map(|value| value + self.next() * distance).collect()
    }
}

/// Vectors in clusters of different density; the same clusters for all seeds.
fn clustered(count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut numbers = Numbers(0);
    let centres: Vec<_> = (0..20).map(|_| numbers.vector()).collect();
    let mut numbers = Numbers(seed);
    (0..count).map(|at| numbers.near(&centres[at % 20], 0.1 + (at % 7) as f32 * 0.1)).collect()
}

fn buffer(vectors: &[Vec<f32>]) -> RowBuffer {
    let mut buffer = RowBuffer::new(DIMENSION);
    vectors.iter().for_each(|vector| buffer.push(vector));
    buffer
}

fn built(builder: Builder, rows: Rows<'_>, threads: usize) -> Vec<u32> {
    extended(builder, rows, threads, None)
}

fn extended(builder: Builder, rows: Rows<'_>, threads: usize, base: Option<Graph<'_>>) -> Vec<u32> {
    let cancelled = AtomicBool::new(false);
    let plan = Build { rows, threads, seed: 3, base, cancelled: &cancelled, pause: &|| () };
    let words = build(builder, &plan).unwrap();
    let graph = Graph::read(&words, rows.len()).unwrap();
    assert!(graph.check());
    assert_eq!(repair::rows_that_miss_themselves(&graph, &plan), 0);
    assert!(repair::unreached(&graph, rows).is_empty());
    words
}

fn search(words: &[u32], rows: Rows<'_>, query: &[f32], ef: usize, accept: impl Fn(u32) -> bool) -> Vec<u32> {
    let (graph, probe) = (Graph::read(words, rows.len()).unwrap(), Probe::new(query).unwrap());
    let found = graph.search(rows, &probe, ef, usize::MAX, accept, &mut Scratch::default()).unwrap();
    assert!(found.is_sorted_by(|a, b| a.0 >= b.0) && found.len() <= ef);
    found.into_iter().map(|(_, row)| row).collect()
}

/// The ten nearest accepted rows.
fn exact(rows: Rows<'_>, query: &[f32], accept: impl Fn(u32) -> bool) -> Vec<u32> {
    let (probe, mut scores) = (Probe::new(query).unwrap(), Vec::new());
    rows.approximate(&probe, 0..rows.len(), &mut scores);
    let accepted = (0..rows.len() as u32).filter(|row| accept(*row) && rows.is_found(*row as usize));
    let mut scored: Vec<_> = accepted.map(|row| Scored::new(scores[row as usize], row)).collect();
    scored.sort_unstable_by(|a, b| b.cmp(a));
    scored.into_iter().take(10).map(Scored::row).collect()
}

fn recall(words: &[u32], rows: Rows<'_>, accept: impl Fn(u32) -> bool) -> f64 {
    let queries = clustered(40, 99);
    let share = |query: &Vec<f32>| {
        let (found, wanted) = (search(words, rows, query, EF, &accept), exact(rows, query, &accept));
        assert!(found.iter().all(|row| accept(*row)));
        wanted.iter().filter(|row| found.contains(row)).count() as f64 / wanted.len() as f64
    };
    queries.iter().map(share).sum::<f64>() / queries.len() as f64
}

#[test]
fn graphs_find_what_a_scan_finds() {
    let buffer = buffer(&clustered(1500, 1));
    let rows = buffer.rows();
    for builder in BUILDERS {
        for threads in [1, 3] {
            let words = built(builder, rows, threads);
            let recall = recall(&words, rows, |_| true);
            assert!(recall > 0.98, "{builder:?} with {threads} threads: {recall}");
        }
    }
}

#[test]
fn filters_act_inside_the_search() {
    let buffer = buffer(&clustered(1500, 2));
    let words = built(Builder::Parallel, buffer.rows(), 1);
    for share in [2, 10, 50] {
        let recall = recall(&words, buffer.rows(), |row| row % share == 0);
        assert!(recall > 0.98, "one in {share}: {recall}");
    }
    // A hole in the middle: whole clusters of deleted rows are walked through.
    assert!(recall(&words, buffer.rows(), |row| row % 20 < 3) > 0.98);
    assert!(search(&words, buffer.rows(), &[1.0; DIMENSION], 10, |_| false).is_empty());
}

#[test]
fn a_search_that_scores_too_much_gives_up() {
    let buffer = buffer(&clustered(500, 3));
    let words = built(Builder::Parallel, buffer.rows(), 1);
    let (graph, probe) = (Graph::read(&words, 500).unwrap(), Probe::new(&[1.0; DIMENSION]).unwrap());
    let mut scratch = Scratch::default();
    assert!(graph.search(buffer.rows(), &probe, 10, 50, |row| row == 499, &mut scratch).is_none());
    assert!(graph.search(buffer.rows(), &probe, 10, 500, |_| true, &mut scratch).is_some());
}

#[test]
fn copies_are_all_found_and_hide_nobody() {
    let mut vectors = clustered(300, 4);
    let copy = vectors[7].clone();
    (0..400).for_each(|at| vectors.insert(at, copy.clone()));
    let buffer = buffer(&vectors);
    for builder in BUILDERS {
        let words = built(builder, buffer.rows(), 2);
        let is_copy = |row: u32| vectors[row as usize] == copy;
        let found = search(&words, buffer.rows(), &copy, 1000, |_| true);
        assert_eq!((found.len(), found.iter().filter(|row| is_copy(**row)).count()), (700, 401));
        // The first copy stands for all of them, even when it is deleted.
        assert_eq!(search(&words, buffer.rows(), &copy, 5, |row| row == 250), [250]);
        assert!(recall(&words, buffer.rows(), |row| !is_copy(row)) > 0.98);
    }
}

#[test]
fn near_copies_find_themselves() {
    let mut numbers = Numbers(5);
    let centre = numbers.vector();
    let mut vectors: Vec<_> = (0..600).map(|_| numbers.near(&centre, 0.02)).collect();
    vectors.extend(clustered(200, 6));
    built(Builder::Parallel, buffer(&vectors).rows(), 2);
}

#[test]
fn rows_without_direction_are_never_found() {
    let mut vectors = clustered(200, 7);
    (0..200).step_by(3).for_each(|at| vectors[at] = vec![0.0; DIMENSION]);
    let buffer = buffer(&vectors);
    for builder in BUILDERS {
        let words = built(builder, buffer.rows(), 1);
        let found = search(&words, buffer.rows(), &vectors[1], 300, |_| true);
        assert_eq!(found.len(), 133);
        assert!(found.iter().all(|row| row % 3 != 0));
    }
}

#[test]
fn tiny_graphs_work() {
    for builder in BUILDERS {
        for count in 0..4 {
            let vectors = clustered(count, 8);
            let buffer = buffer(&vectors);
            let words = built(builder, buffer.rows(), 2);
            let mut found = search(&words, buffer.rows(), &[1.0; DIMENSION], 10, |_| true);
            found.sort_unstable();
            assert_eq!(found, (0..count as u32).collect::<Vec<_>>());
        }
        let nothing = buffer(&[vec![0.0; DIMENSION], vec![0.0; DIMENSION]]);
        assert!(
            search(&built(builder, nothing.rows(), 1), nothing.rows(), &[1.0; DIMENSION], 3, |_| true)
                .is_empty()
        );
    }
}

#[test]
fn a_base_is_extended() {
    let mut vectors = clustered(1200, 9);
    // Copies of rows of the base, and of each other.
    (1000..1100).for_each(|at| vectors[at] = vectors[at % 50].clone());
    let (first, all) = (buffer(&vectors[..700]), buffer(&vectors));
    for builder in BUILDERS {
        let base = built(builder, first.rows(), 1);
        let base = Graph::read(&base, 700);
        let words = extended(Builder::Parallel, all.rows(), 2, base);
        assert!(recall(&words, all.rows(), |_| true) > 0.98);
        assert!(recall(&words, all.rows(), |row| row >= 700) > 0.98);
    }
    let nothing = built(Builder::Parallel, buffer(&[]).rows(), 1);
    let words = extended(Builder::Parallel, first.rows(), 1, Graph::read(&nothing, 0));
    assert_eq!(words, built(Builder::Parallel, first.rows(), 1));
}

#[test]
fn one_thread_builds_the_same_graph_again() {
    let buffer = buffer(&clustered(400, 10));
    assert_eq!(built(Builder::Parallel, buffer.rows(), 1), built(Builder::Parallel, buffer.rows(), 1));
}

#[test]
fn a_build_pauses_between_insertions_and_can_be_cancelled() {
    let buffer = buffer(&clustered(200, 11));
    let (cancelled, pauses) = (AtomicBool::new(false), AtomicUsize::new(0));
    let pause = || {
        if pauses.fetch_add(1, Ordering::Relaxed) == 100 {
            cancelled.store(true, Ordering::Relaxed);
        }
    };
    let plan =
        Build { rows: buffer.rows(), threads: 2, seed: 1, base: None, cancelled: &cancelled, pause: &pause };
    assert!(build(Builder::Parallel, &plan).is_none());
    assert!((101..=103).contains(&pauses.load(Ordering::Relaxed)));
    assert!(build(Builder::InstantDistance, &plan).is_none());
}

#[test]
fn words_of_something_else_are_refused() {
    let buffer = buffer(&clustered(100, 12));
    let words = built(Builder::Parallel, buffer.rows(), 1);
    assert!(Graph::read(&words, 99).is_none() && Graph::read(&words, 101).is_none());
    assert!(Graph::read(&[], 0).is_none() && Graph::read(&[0; 64], 0).is_none());
    for length in 0..words.len() {
        assert!(Graph::read(&words[..length], 100).is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn flipped_bits_never_panic(flips in proptest::collection::vec((0usize..100_000, 0u32..32), 1..6)) {
        static BUILT: std::sync::OnceLock<(RowBuffer, Vec<u32>)> = std::sync::OnceLock::new();
        let (buffer, words) = BUILT.get_or_init(|| {
            let mut vectors = clustered(150, 13);
            (0..20).for_each(|at| vectors[at + 30] = vectors[at % 3].clone());
            let buffer = buffer(&vectors);
            let words = built(Builder::Parallel, buffer.rows(), 1);
            (buffer, words)
        });
        let (mut words, rows) = (words.clone(), buffer.rows());
        for (at, bit) in flips {
            let at = at % words.len();
            words[at] ^= 1 << bit;
        }
        if let Some(graph) = Graph::read(&words, rows.len()) {
            let probe = Probe::new(&[0.5; DIMENSION]).unwrap();
            let found = graph.search(rows, &probe, 20, usize::MAX, |row| row % 2 == 0, &mut Scratch::default());
            prop_assert!(found.unwrap().len() <= 20);
            let cancelled = AtomicBool::new(false);
            let plan =
                Build { rows, threads: 1, seed: 1, base: Some(graph), cancelled: &cancelled, pause: &|| () };
            prop_assert!(build(Builder::Parallel, &plan).is_some());
        }
    }
}
