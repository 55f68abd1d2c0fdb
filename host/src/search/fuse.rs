//! Joins the results of keyword and vector search into one list.

use std::collections::BTreeMap;

use crate::types::*;

/// Constant of reciprocal rank fusion (Cormack, Clarke, Büttcher, 2009).
const RRF_K: f32 = 60.0;

/// Row numbers that one side found with their scores, best first; behind that, for a convex combination, it may score
/// what the other found.
pub type Side = [(u32, f32)];

/// A row of the list that both sides make.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    pub row: u32,
    pub score: f32,
    pub scores: Scores,
    pub shares: Shares,
}

/// Both sides as one list, best first; of equals the lower row first. A side that was not asked is `None`; from
/// place `listed` on, a side holds what it was only asked to score.
///
/// A convex combination (Bruch, Gai, Ingber, 2023) counts BM25 from its least possible value, 0, as a share of the best
/// one, and stretches cosines over those at hand, since their useful range is the embedder's. What a side does not
/// list counts 0 there.
pub fn fuse(
    keyword: Option<&Side>,
    vector: Option<&Side>,
    fusion: Fusion,
    listed: usize,
    limit: usize,
) -> Vec<Fused> {
    let mut hits: BTreeMap<u32, Fused> = BTreeMap::new();
    let (of_keyword, of_vector) = points(keyword, vector, fusion);
    for (row, score, share) in shares(keyword, of_keyword, listed) {
        let hit = hits.entry(row).or_insert_with(|| Fused::new(row));
        hit.scores.keyword = Some(score);
        hit.add(share, |shares| &mut shares.keyword);
    }
    for (row, score, share) in shares(vector, of_vector, listed) {
        let hit = hits.entry(row).or_insert_with(|| Fused::new(row));
        hit.scores.vector = Some(score);
        hit.add(share, |shares| &mut shares.vector);
    }
    let mut hits: Vec<Fused> = hits.into_values().collect();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
    hits.truncate(limit);
    // Cosines may be negative; they keep their order.
    hits.iter_mut().for_each(|hit| hit.score = hit.score.clamp(0.0, 1.0));
    hits
}

impl Fused {
    fn new(row: u32) -> Self {
        Self { row, score: 0.0, scores: Scores::default(), shares: Shares::default() }
    }

    /// The row is this chunk.
    pub fn hit(self, chunk: ChunkId) -> Hit {
        Hit { chunk, score: self.score, scores: self.scores, shares: self.shares }
    }

    fn add(&mut self, share: Share, place: impl Fn(&mut Shares) -> &mut Option<Share>) {
        self.score += share.weight * share.points;
        *place(&mut self.shares) = Some(share);
    }
}

/// Normalised scores of a side in its order, and what they weigh.
type Points = (Vec<f32>, f32);

/// The results of a side with their scores and shares.
fn shares(
    side: Option<&Side>,
    (points, weight): Points,
    listed: usize,
) -> impl Iterator<Item = (u32, f32, Share)> {
    let results = side.unwrap_or_default().iter().zip(points).enumerate();
    results.map(move |(at, ((row, score), points))| {
        (*row, *score, Share { rank: (at < listed).then_some(at + 1), points, weight })
    })
}

/// What each result of a side adds to the score of its chunk.
fn points(keyword: Option<&Side>, vector: Option<&Side>, fusion: Fusion) -> (Points, Points) {
    let none = || (Vec::new(), 0.0);
    match (keyword, vector, fusion) {
        (Some(keyword), None, _) => ((of_best(keyword), 1.0), none()),
        (None, vector, _) => {
            let cosines = vector.unwrap_or_default().iter().map(|(_, cosine)| *cosine);
            (none(), (cosines.collect(), 1.0))
        }
        (Some(keyword), Some(vector), Fusion::Convex { alpha }) => {
            let alpha = if alpha.is_nan() { 0.5 } else { alpha.clamp(0.0, 1.0) };
            ((of_best(keyword), 1.0 - alpha), (stretched(vector), alpha))
        }
        (Some(keyword), Some(vector), Fusion::Rrf) => ((by_rank(keyword), 0.5), (by_rank(vector), 0.5)),
    }
}

/// Scores as shares of the best one.
fn of_best(side: &Side) -> Vec<f32> {
    let best = side.iter().fold(0.0f32, |best, (_, score)| best.max(*score));
    side.iter().map(|(_, score)| if best > 0.0 { score / best } else { 0.0 }).collect()
}

/// Scores stretched to 0..1; where all are equal there is nothing to stretch, and being found counts in full.
fn stretched(side: &Side) -> Vec<f32> {
    let least = side.iter().fold(f32::INFINITY, |least, (_, score)| least.min(*score));
    let best = side.iter().fold(f32::NEG_INFINITY, |best, (_, score)| best.max(*score));
    let stretch = |score: f32| if best > least { (score - least) / (best - least) } else { 1.0 };
    side.iter().map(|(_, score)| stretch(*score)).collect()
}

/// Reciprocal ranks, scaled so that the first gets 1.
fn by_rank(side: &Side) -> Vec<f32> {
    (0..side.len()).map(|rank| (RRF_K + 1.0) / (RRF_K + 1.0 + rank as f32)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn side() -> impl Strategy<Value = Vec<(u32, f32)>> {
        proptest::collection::btree_map(0u32..12, 0u16..50, 0..8).prop_map(|found| {
            let mut side: Vec<_> =
                found.into_iter().map(|(id, score)| (id, f32::from(score) / 10.0)).collect();
            side.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            side
        })
    }

    fn fusion() -> impl Strategy<Value = Fusion> {
        prop_oneof![Just(Fusion::Rrf), (0.0f32..=1.0).prop_map(|alpha| Fusion::Convex { alpha })]
    }

    proptest! {
        #[test]
        fn every_row_comes_once_in_order_with_its_scores(keyword in side(), vector in side(), fusion in fusion()) {
            let hits = fuse(Some(&keyword), Some(&vector), fusion, usize::MAX, usize::MAX);
            let mut rows: Vec<_> = keyword.iter().chain(&vector).map(|(row, _)| *row).collect();
            rows.sort();
            rows.dedup();
            let mut found: Vec<_> = hits.iter().map(|hit| hit.row).collect();
            found.sort();
            prop_assert_eq!(found, rows);
            let before = |pair: &[Fused]| (pair[1].score, pair[0].row) <= (pair[0].score, pair[1].row)
                || pair[0].score > pair[1].score;
            prop_assert!(hits.windows(2).all(before));
            for hit in &hits {
                prop_assert!((0.0..=1.0).contains(&hit.score));
                let score = |side: &[(u32, f32)]| side.iter().find(|(id, _)| *id == hit.row).map(|found| found.1);
                prop_assert_eq!(hit.scores.keyword, score(&keyword));
                prop_assert_eq!(hit.scores.vector, score(&vector));
            }
        }

        #[test]
        fn shares_add_up_to_the_score_and_name_the_places(
            keyword in side(), vector in side(), fusion in fusion(), listed in 0usize..6,
        ) {
            for hit in fuse(Some(&keyword), Some(&vector), fusion, listed, usize::MAX) {
                let shares = [(hit.shares.keyword, &keyword), (hit.shares.vector, &vector)];
                let sum: f32 = shares.iter().filter_map(|(share, _)| *share).map(|share| share.weight * share.points).sum();
                prop_assert!((sum.clamp(0.0, 1.0) - hit.score).abs() < 1e-6);
                for (share, side) in shares {
                    let place = side.iter().position(|(row, _)| *row == hit.row);
                    prop_assert_eq!(share.is_some(), place.is_some());
                    let rank = place.filter(|place| *place < listed).map(|place| place + 1);
                    prop_assert_eq!(share.and_then(|share| share.rank), rank);
                }
            }
        }

        #[test]
        fn a_limit_cuts_and_changes_nothing_else(keyword in side(), vector in side(), fusion in fusion(), limit in 0usize..10) {
            let all = fuse(Some(&keyword), Some(&vector), fusion, usize::MAX, usize::MAX);
            let some = fuse(Some(&keyword), Some(&vector), fusion, usize::MAX, limit);
            prop_assert_eq!(&some[..], &all[..limit.min(all.len())]);
        }

        #[test]
        fn better_on_both_sides_is_never_worse(keyword in side(), fusion in fusion()) {
            let hits = fuse(Some(&keyword), Some(&keyword), fusion, usize::MAX, usize::MAX);
            let pairs = hits.windows(2);
            prop_assert!(pairs.into_iter().all(|pair| pair[0].scores.keyword >= pair[1].scores.keyword));
        }

        #[test]
        fn a_weight_of_one_ranks_by_that_side(keyword in side(), vector in side()) {
            let hits = fuse(Some(&keyword), Some(&vector), Fusion::Convex { alpha: 1.0 }, usize::MAX, vector.len());
            let least = vector.last().map(|last| last.1);
            for (hit, wanted) in hits.iter().zip(&vector).filter(|(_, wanted)| Some(wanted.1) != least) {
                prop_assert_eq!(hit.row, wanted.0);
            }
        }
    }

    #[test]
    fn a_single_result_counts_in_full() {
        let hits = fuse(Some(&[(1, 3.0)]), Some(&[]), Fusion::Convex { alpha: 0.3 }, usize::MAX, 10);
        assert!((hits[0].score - 0.7).abs() < 1e-6);
    }

    #[test]
    fn one_side_alone_keeps_its_proportions() {
        let side = [(1, 4.0), (2, 1.0)];
        let scores = |hits: Vec<Fused>| hits.iter().map(|hit| hit.score).collect::<Vec<_>>();
        assert_eq!(scores(fuse(Some(&side), None, Fusion::Rrf, usize::MAX, 10)), [1.0, 0.25]);
        let cosines = [(1, 0.5), (2, -0.5)];
        assert_eq!(scores(fuse(None, Some(&cosines), Fusion::Rrf, usize::MAX, 10)), [0.5, 0.0]);
    }
}
