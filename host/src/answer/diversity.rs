//! Maximal marginal relevance (Carbonell & Goldstein, 1998): each next passage is relevant and unlike those before.

use std::collections::{HashMap, HashSet};

use unicode_segmentation::UnicodeSegmentation;

use crate::types::Passage;

/// Reorders passages, best first, by `(1 - diversity) * relevance - diversity * likeness`, and keeps `wanted` of them.
/// At 0 nothing moves, at 1 only the first counts for its relevance.
pub(super) fn diversify(passages: Vec<Passage>, diversity: f32, wanted: usize) -> Vec<Passage> {
    let scores: Vec<f32> = passages.iter().map(|passage| passage.score).collect();
    let texts: Vec<&str> = passages.iter().map(|passage| passage.text.as_str()).collect();
    let order = order(&scores, &texts, diversity, wanted);
    let mut passages: Vec<Option<Passage>> = passages.into_iter().map(Some).collect();
    let moved = order.into_iter().enumerate().filter_map(|(to, from)| {
        let mut passage = passages.get_mut(from)?.take()?;
        passage.origin.moved_from = (to != from).then_some(from + 1);
        Some(passage)
    });
    moved.collect()
}

/// Which to take, in this order.
fn order(scores: &[f32], texts: &[&str], diversity: f32, wanted: usize) -> Vec<usize> {
    let wanted = wanted.min(scores.len());
    if diversity <= 0.0 {
        return (0..wanted).collect();
    }
    let relevance = relevance(scores);
    let words = Words::of(texts);
    let mut nearest = vec![0.0f32; scores.len()];
    let mut left: Vec<usize> = (0..scores.len()).collect();
    let mut order = Vec::with_capacity(wanted);
    while order.len() < wanted {
        let value = |at: usize| (1.0 - diversity) * relevance[at] - diversity * nearest[at];
        // The first passage stands for its score alone, and of equals the better one goes first.
        let best = left.iter().enumerate().rev().max_by(|a, b| value(*a.1).total_cmp(&value(*b.1)));
        let Some(place) = best.map(|(place, _)| if order.is_empty() { 0 } else { place }) else { break };
        let taken = left.remove(place);
        left.iter().for_each(|at| nearest[*at] = nearest[*at].max(words.likeness(*at, taken)));
        order.push(taken);
    }
    order
}

/// Scores as shares of the best one, over the least if that is negative.
fn relevance(scores: &[f32]) -> Vec<f32> {
    let floor = scores.iter().fold(0.0f32, |least, score| least.min(*score));
    let best = scores.iter().fold(floor, |best, score| best.max(*score));
    scores.iter().map(|score| if best > floor { (score - floor) / (best - floor) } else { 1.0 }).collect()
}

/// The words of some texts, rare ones of these texts weighing more.
struct Words {
    texts: Vec<HashSet<String>>,
    weights: HashMap<String, f32>,
    lengths: Vec<f32>,
}

impl Words {
    fn of(texts: &[&str]) -> Self {
        let words = |text: &&str| text.unicode_words().map(str::to_lowercase).collect();
        let texts: Vec<HashSet<String>> = texts.iter().map(words).collect();
        let mut weights: HashMap<String, f32> = HashMap::new();
        for word in texts.iter().flatten() {
            *weights.entry(word.clone()).or_default() += 1.0;
        }
        let all = texts.len() as f32 + 1.0;
        weights.values_mut().for_each(|weight| *weight = (all / *weight).ln().powi(2));
        let length = |words: &HashSet<String>| words.iter().map(|word| weights[word]).sum::<f32>().sqrt();
        let lengths = texts.iter().map(length).collect();
        Self { texts, weights, lengths }
    }

    /// The cosine of two of them, 0 to 1.
    fn likeness(&self, one: usize, other: usize) -> f32 {
        let shared = self.texts[one].intersection(&self.texts[other]);
        let dot: f32 = shared.map(|word| self.weights[word]).sum();
        let lengths = self.lengths[one] * self.lengths[other];
        if lengths > 0.0 { (dot / lengths).min(1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::answer::tests::{chunk, passage};

    #[test]
    fn what_repeats_steps_back() {
        let texts = ["the red boat sails", "the red boat sails on", "a green tree", "no relation"];
        let scores = [1.0, 0.9, 0.6, 0.1];
        assert_eq!(order(&scores, &texts, 0.0, 4), [0, 1, 2, 3]);
        assert_eq!(order(&scores, &texts, 0.6, 3), [0, 2, 3]);
        assert_eq!(order(&scores, &texts, 0.1, 3), [0, 1, 2]);
    }

    #[test]
    fn a_passage_says_where_it_stood() {
        let passages = [(1.0, "red boat"), (0.9, "red boat"), (0.8, "green tree")];
        let passages = passages
            .iter()
            .enumerate()
            .map(|(at, (score, text))| Passage { score: *score, ..passage(at, text) });
        let moved = diversify(passages.collect(), 0.5, 3);
        let places: Vec<_> = moved.iter().map(|passage| (passage.chunk, passage.origin.moved_from)).collect();
        assert_eq!(places, [(chunk(0), None), (chunk(2), Some(3)), (chunk(1), Some(2))]);
    }

    fn scored() -> impl Strategy<Value = Vec<(f32, String)>> {
        proptest::collection::vec((-1.0f32..1.0, "(a|b|c)( (d|e|f)){0,3}"), 0..12).prop_map(|mut scored| {
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            scored
        })
    }

    proptest! {
        #[test]
        fn none_changes_nothing_and_any_keeps_the_first(scored in scored(), diversity in 0.0f32..=1.0, wanted in 0usize..15) {
            let (scores, texts): (Vec<f32>, Vec<&str>) = scored.iter().map(|(score, text)| (*score, text.as_str())).unzip();
            let count = wanted.min(scores.len());
            prop_assert_eq!(order(&scores, &texts, 0.0, wanted), (0..count).collect::<Vec<_>>());
            let mut order = order(&scores, &texts, diversity, wanted);
            prop_assert_eq!(order.len(), count);
            prop_assert_eq!(order.first().copied(), (count > 0).then_some(0));
            order.sort_unstable();
            order.dedup();
            prop_assert_eq!(order.len(), count, "each at most once");
        }
    }
}
