//! Scores passages by the words that they share with the query: rare words count more, and so do words that stand
//! together as they do in the query. No model, the same scores every time.

mod terms;

use rustc_hash::FxHashMap;
use smartrag_sdk::reranker::Reranker;
use smartrag_sdk::{Descriptor, Result, describe};
use smartrag_words::Language;

use terms::{stems, wanted};

/// Shares of a score: words of the query found, how often, pairs of neighbours found, and their nearness.
const COVERAGE: f32 = 0.6;
const FREQUENCY: f32 = 0.15;
const PAIRS: f32 = 0.15;
const NEARNESS: f32 = 0.1;
/// Words within which two words of the query count as near.
const NEAR: usize = 10;

/// The reranker.
pub struct Lexical;

impl Reranker for Lexical {
    fn describe() -> Descriptor {
        describe!("lexical")
    }

    fn load() -> Result<Self> {
        Ok(Self)
    }

    fn rerank(&self, query: &str, passages: &[String]) -> Result<Vec<f32>> {
        Ok(scores(query, passages))
    }
}

/// One score for each passage, 0 to 1.
pub fn scores(query: &str, passages: &[String]) -> Vec<f32> {
    let language = Language::guess(query);
    let wanted = wanted(query, language);
    // A passage in another language is stemmed as the query is: names are all that they can share.
    let found: Vec<Found> =
        passages.iter().map(|passage| Found::of(&wanted, &stems(passage, language))).collect();
    let weights = weights(wanted.len(), &found);
    found.iter().map(|found| found.score(&weights)).collect()
}

/// Inverse document frequency over the given passages, smoothed: with few of them it must not rule.
fn weights(terms: usize, found: &[Found]) -> Vec<f32> {
    let holding = |term: usize| found.iter().filter(|found| !found.places[term].is_empty()).count() as f32;
    (0..terms).map(|term| ((found.len() as f32 + 1.0) / (holding(term) + 0.5)).ln().max(0.1)).collect()
}

/// Where the words of the query stand in a passage.
struct Found {
    /// Of each word of the query, ascending.
    places: Vec<Vec<usize>>,
    /// Words of the passage.
    length: usize,
}

impl Found {
    fn of(wanted: &[String], passage: &[String]) -> Self {
        let numbers: FxHashMap<&str, usize> = wanted.iter().map(String::as_str).zip(0..).collect();
        let mut places = vec![Vec::new(); wanted.len()];
        for (at, stem) in passage.iter().enumerate() {
            if let Some(&term) = numbers.get(stem.as_str()) {
                places[term].push(at);
            }
        }
        Self { places, length: passage.len() }
    }

    fn score(&self, weights: &[f32]) -> f32 {
        let total: f32 = weights.iter().sum();
        if total == 0.0 {
            return 0.0;
        }
        let sum = |value: &dyn Fn(usize) -> f32| {
            (0..weights.len()).map(|term| weights[term] * value(term)).sum::<f32>() / total
        };
        let coverage = sum(&|term| f32::from(u8::from(!self.places[term].is_empty())));
        let frequency = sum(&|term| self.saturated(self.places[term].len() as f32));
        let (pairs, nearness) = self.pairs(weights);
        (COVERAGE * coverage + FREQUENCY * frequency + PAIRS * pairs + NEARNESS * nearness).clamp(0.0, 1.0)
    }

    /// BM25's saturation of a frequency, for passages of about a hundred words.
    fn saturated(&self, frequency: f32) -> f32 {
        let length = 0.25 + 0.75 * (self.length as f32 / 100.0);
        frequency / (frequency + 1.2 * length)
    }

    /// Share of the query's neighbouring words that are neighbours here, and that are near each other.
    fn pairs(&self, weights: &[f32]) -> (f32, f32) {
        let (mut total, mut adjacent, mut near) = (0.0, 0.0, 0.0);
        for term in 1..weights.len() {
            let weight = weights[term - 1] + weights[term];
            let distance = distance(&self.places[term - 1], &self.places[term]);
            total += weight;
            adjacent += if distance == Some(1) { weight } else { 0.0 };
            near += if distance.is_some_and(|words| words <= NEAR) { weight } else { 0.0 };
        }
        if total == 0.0 {
            // One word alone has no neighbours: what is found of it decides.
            let one = f32::from(u8::from(self.places.iter().any(|places| !places.is_empty())));
            return (one, one);
        }
        (adjacent / total, near / total)
    }
}

/// The least distance in words between two lists of places.
fn distance(left: &[usize], right: &[usize]) -> Option<usize> {
    let (mut at, mut other, mut least) = (0, 0, None);
    while let (Some(&a), Some(&b)) = (left.get(at), right.get(other)) {
        least = Some(least.map_or(a.abs_diff(b), |least: usize| least.min(a.abs_diff(b))));
        if a < b { at += 1 } else { other += 1 }
    }
    least
}

smartrag_sdk::export!(reranker, Lexical);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(query: &str, passages: &[&str]) -> Vec<usize> {
        let passages: Vec<String> = passages.iter().map(|passage| passage.to_string()).collect();
        let scores = scores(query, &passages);
        let mut order: Vec<usize> = (0..passages.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        order
    }

    #[test]
    fn more_evidence_ranks_higher() {
        let passages = [
            "Das Wetter war schön.",
            "Die Brücke wurde gebaut.",
            "Die alten Brücken über die Elbe wurden 1877 gebaut.",
        ];
        assert_eq!(order("Wann wurde die Elbe-Brücke gebaut?", &passages), [2, 1, 0]);
    }

    #[test]
    fn rare_words_count_more() {
        let passages = ["the bridge of stone", "the bridge of wood", "a kestrel"];
        assert_eq!(order("kestrel bridge", &passages)[0], 2);
    }

    #[test]
    fn neighbours_count_more_than_scattered_words() {
        let far = "new things happen when people look at a map of old york";
        assert_eq!(order("new york", &[far, "people look at things in new york when a map is old"])[0], 1);
    }

    #[test]
    fn questions_of_stop_words_alone_still_compare() {
        assert_eq!(order("who is who", &["nothing", "the who is who of chess"])[0], 1);
    }

    proptest! {
        #[test]
        fn scores_lie_between_0_and_1(query in "\\PC{0,30}", passages in prop::collection::vec("\\PC{0,60}", 0..5)) {
            let scores = scores(&query, &passages);
            prop_assert_eq!(scores.len(), passages.len());
            prop_assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
        }
    }
}
