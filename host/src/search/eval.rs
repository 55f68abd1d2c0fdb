//! How good a ranking is, by judgements: nDCG (Järvelin & Kekäläinen, 2002, linear gain), recall and reciprocal rank.
//! All of it is pure; ranks and ids are whatever the caller ranks.

use std::collections::HashMap;
use std::hash::Hash;

/// Grades of relevance by id; 0 and ids that are absent mean not relevant.
pub type Judgements<Id> = HashMap<Id, u32>;

/// The metrics of one question, each 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Metrics {
    pub ndcg: f64,
    pub recall: f64,
    pub reciprocal_rank: f64,
}

/// All metrics of a ranking, best first, over its first `k`. `None` where nothing is relevant: nothing can be measured.
pub fn metrics<Id: Eq + Hash>(ranking: &[Id], judgements: &Judgements<Id>, k: usize) -> Option<Metrics> {
    judgements.values().any(|grade| *grade > 0).then(|| Metrics {
        ndcg: ndcg(ranking, judgements, k),
        recall: recall(ranking, judgements, k),
        reciprocal_rank: reciprocal_rank(ranking, judgements, k),
    })
}

/// Normalised discounted cumulative gain of the first `k`; 0 where nothing is relevant.
pub fn ndcg<Id: Eq + Hash>(ranking: &[Id], judgements: &Judgements<Id>, k: usize) -> f64 {
    let mut ideal: Vec<u32> = judgements.values().copied().collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = gain(ideal.into_iter().take(k));
    if best == 0.0 { 0.0 } else { gain(grades(ranking, judgements, k)) / best }
}

/// The share of what is relevant that is among the first `k`; 0 where nothing is.
pub fn recall<Id: Eq + Hash>(ranking: &[Id], judgements: &Judgements<Id>, k: usize) -> f64 {
    let relevant = judgements.values().filter(|grade| **grade > 0).count();
    let found = grades(ranking, judgements, k).filter(|grade| *grade > 0).count();
    if relevant == 0 { 0.0 } else { found as f64 / relevant as f64 }
}

/// 1 / rank of the first relevant among the first `k`; 0 if none is.
pub fn reciprocal_rank<Id: Eq + Hash>(ranking: &[Id], judgements: &Judgements<Id>, k: usize) -> f64 {
    let first = grades(ranking, judgements, k).position(|grade| grade > 0);
    first.map_or(0.0, |rank| 1.0 / (rank + 1) as f64)
}

/// The grade at each rank. An id that comes again counts once.
fn grades<Id: Eq + Hash>(ranking: &[Id], judgements: &Judgements<Id>, k: usize) -> impl Iterator<Item = u32> {
    let mut seen = std::collections::HashSet::new();
    ranking.iter().take(k).map(move |id| match seen.insert(id) {
        true => judgements.get(id).copied().unwrap_or(0),
        false => 0,
    })
}

fn gain(grades: impl Iterator<Item = u32>) -> f64 {
    grades.enumerate().map(|(rank, grade)| f64::from(grade) / (rank as f64 + 2.0).log2()).sum()
}

/// The mean of a metric over questions, with the interval that holds it in 95 of 100 resamplings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Estimate {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// Percentile bootstrap (Efron, 1979): the same seed gives the same interval. All 0 without values.
pub fn bootstrap(values: &[f64], resamples: usize, seed: u64) -> Estimate {
    if values.is_empty() {
        return Estimate::default();
    }
    let mean = mean(values.iter().copied(), values.len());
    let mut random = SplitMix(seed);
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| {
            let drawn = (0..values.len()).map(|_| values[random.below(values.len())]);
            self::mean(drawn, values.len())
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| means.get(((means.len() as f64 - 1.0) * share).round() as usize).copied();
    Estimate { mean, low: at(0.025).unwrap_or(mean), high: at(0.975).unwrap_or(mean) }
}

fn mean(values: impl Iterator<Item = f64>, count: usize) -> f64 {
    values.sum::<f64>() / count as f64
}

/// SplitMix64 (Steele, Lea, Flood, 2014): small, and good enough to draw samples.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `0..bound`, but for a bias of `bound` / 2^64.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_worked_example() {
        let judgements = HashMap::from([("a", 2), ("b", 1), ("c", 0)]);
        let ranking = ["c", "b", "x", "a"];
        let ideal = 2.0 + 1.0 / 3f64.log2();
        let got = 1.0 / 3f64.log2() + 2.0 / 5f64.log2();
        assert!((ndcg(&ranking, &judgements, 10) - got / ideal).abs() < 1e-12);
        assert_eq!(recall(&ranking, &judgements, 3), 0.5);
        assert_eq!(reciprocal_rank(&ranking, &judgements, 10), 0.5);
        assert_eq!(metrics(&ranking, &HashMap::from([("c", 0)]), 10), None);
    }

    #[test]
    fn what_comes_twice_counts_once() {
        let judgements = HashMap::from([(1, 1), (2, 1)]);
        assert_eq!(recall(&[1, 1, 1], &judgements, 3), 0.5);
        assert!(ndcg(&[1, 1], &judgements, 2) < 1.0);
    }

    fn judged() -> impl Strategy<Value = (Vec<u8>, Judgements<u8>)> {
        let ranking = Just((0u8..12).collect::<Vec<_>>()).prop_shuffle();
        (ranking, proptest::collection::hash_map(0u8..15, 0u32..4, 1..10))
    }

    proptest! {
        #[test]
        fn metrics_stay_between_0_and_1((ranking, judgements) in judged(), k in 1usize..15) {
            if let Some(found) = metrics(&ranking, &judgements, k) {
                for value in [found.ndcg, found.recall, found.reciprocal_rank] {
                    prop_assert!((0.0..=1.0 + 1e-12).contains(&value));
                }
            }
        }

        #[test]
        fn the_ideal_order_is_perfect((_, judgements) in judged(), k in 1usize..15) {
            let mut ideal: Vec<u8> = judgements.keys().copied().collect();
            ideal.sort_by_key(|id| std::cmp::Reverse(judgements[id]));
            if let Some(found) = metrics(&ideal, &judgements, k) {
                prop_assert!((found.ndcg - 1.0).abs() < 1e-12 && found.reciprocal_rank == 1.0);
            }
        }

        #[test]
        fn moving_a_better_one_up_never_hurts((mut ranking, judgements) in judged(), at in 0usize..11) {
            let before = ndcg(&ranking, &judgements, 10);
            let grade = |id: u8| judgements.get(&id).copied().unwrap_or(0);
            if grade(ranking[at]) < grade(ranking[at + 1]) {
                ranking.swap(at, at + 1);
                prop_assert!(ndcg(&ranking, &judgements, 10) >= before);
            }
        }

        #[test]
        fn the_interval_holds_the_mean_and_repeats(values in proptest::collection::vec(0.0f64..1.0, 1..40), seed: u64) {
            let estimate = bootstrap(&values, 200, seed);
            prop_assert_eq!(estimate, bootstrap(&values, 200, seed));
            let (least, most) = values.iter().fold((1.0f64, 0.0f64), |(l, m), v| (l.min(*v), m.max(*v)));
            prop_assert!(estimate.low <= estimate.high && estimate.low >= least - 1e-9 && estimate.high <= most + 1e-9);
            prop_assert!(estimate.low <= estimate.mean + 0.2 && estimate.high >= estimate.mean - 0.2);
        }
    }
}
