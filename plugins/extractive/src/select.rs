//! Which sentences are said.

use crate::config::Config;
use crate::evidence::Candidate;

/// Share of words that two sentences which say the same have in common.
const SAME: f32 = 0.75;

/// The sentences to say, in the order in which to say them; none where the support is too weak.
pub fn select<'a>(candidates: &'a [Candidate], config: &Config) -> Vec<&'a Candidate> {
    let mut ranked: Vec<(f32, &Candidate)> =
        candidates.iter().map(|candidate| (candidate.features.score(), candidate)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let Some((best, first)) = ranked.first().copied() else { return Vec::new() };
    if first.features.support() < config.support_min {
        return Vec::new();
    }
    let mut chosen: Vec<&Candidate> = Vec::new();
    for (_, candidate) in ranked.iter().take_while(|(score, _)| (score - best).exp() >= config.share_of_best)
    {
        let new = !chosen.iter().any(|other| say_the_same(&other.stems, &candidate.stems));
        if new && chosen.len() < config.sentences_max {
            chosen.push(candidate);
        }
    }
    in_reading_order(chosen)
}

/// Whether two sentences share most of their words, counted against the longer one.
fn say_the_same(a: &[String], b: &[String]) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let common = short.iter().filter(|stem| long.contains(stem)).count();
    common as f32 >= SAME * long.len() as f32
}

/// Sentences of one passage together and in their order there, the best passage first.
fn in_reading_order(mut chosen: Vec<&Candidate>) -> Vec<&Candidate> {
    let mut passages: Vec<usize> = Vec::new();
    for candidate in &chosen {
        if !passages.contains(&candidate.passage) {
            passages.push(candidate.passage);
        }
    }
    let rank = |passage| passages.iter().position(|other| *other == passage);
    chosen.sort_by_key(|candidate| (rank(candidate.passage), candidate.span.start));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weigh::Features;

    fn candidate(passage: usize, start: usize, stems: &str, sentence: f32) -> Candidate {
        Candidate {
            passage,
            span: start..start + 1,
            similarity: None,
            features: Features { sentence, around: 1.0, named: 1.0, similarity: 0.5, ..Default::default() },
            stems: stems.split(' ').map(String::from).collect(),
            matches: vec![],
        }
    }

    fn places(chosen: &[&Candidate]) -> Vec<(usize, usize)> {
        chosen.iter().map(|candidate| (candidate.passage, candidate.span.start)).collect()
    }

    #[test]
    fn near_duplicates_are_said_once() {
        let candidates = [
            candidate(0, 0, "panther defens gave up 308 point", 1.0),
            candidate(1, 0, "panther defens gave up just 308 point", 0.99),
            candidate(1, 9, "panther offens gave away ball", 0.9),
        ];
        assert_eq!(places(&select(&candidates, &Config::default())), [(0, 0), (1, 9)]);
    }

    #[test]
    fn passages_keep_together_and_weak_sentences_stay_out() {
        let candidates = [
            candidate(2, 9, "a", 1.0),
            candidate(0, 5, "b", 0.95),
            candidate(2, 1, "c", 0.9),
            candidate(3, 1, "d", 0.0),
        ];
        assert_eq!(places(&select(&candidates, &Config::default())), [(2, 1), (2, 9), (0, 5)]);
    }

    #[test]
    fn weak_support_says_nothing() {
        let strict = Config { support_min: 0.999, ..Default::default() };
        assert!(select(&[candidate(0, 0, "a", 0.1)], &strict).is_empty());
        assert!(select(&[], &Config::default()).is_empty());
    }
}
