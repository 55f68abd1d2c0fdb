//! The best phrases of a text.

use rustc_hash::{FxHashMap, FxHashSet};
use smartrag_words::Language;

use crate::phrases::{Token, Tokens};
use crate::statistics::weights;

/// A phrase, by the stems of its words.
struct Candidate<'a> {
    stems: Vec<usize>,
    /// As it first stands in the text, away from the capital of a sentence's beginning if it ever is.
    first: &'a [Token<'a>],
    count: f32,
    /// Lower is better.
    score: f32,
}

/// Up to `count` keywords and phrases, best first. The same text gives the same terms.
pub fn keywords(text: &str, language: Language, count: usize) -> Vec<String> {
    let tokens = Tokens::of(text, language);
    let weights = weights(&tokens);
    let mut candidates = collect(&tokens);
    for candidate in &mut candidates {
        candidate.score = score(candidate, &weights);
    }
    candidates
        .sort_by(|a, b| a.score.total_cmp(&b.score).then(a.first[0].word.start.cmp(&b.first[0].word.start)));
    distinct(&candidates, count).map(|candidate| surface(text, candidate.first)).collect()
}

fn collect<'a>(tokens: &'a Tokens<'a>) -> Vec<Candidate<'a>> {
    let mut places: FxHashMap<Vec<usize>, usize> = FxHashMap::default();
    let mut candidates: Vec<Candidate> = Vec::new();
    for phrase in tokens.phrases() {
        let stems: Vec<usize> = phrase.iter().filter_map(|token| token.stem).collect();
        let place = *places.entry(stems).or_insert_with_key(|stems| {
            candidates.push(Candidate { stems: stems.clone(), first: phrase, count: 0.0, score: 0.0 });
            candidates.len() - 1
        });
        let candidate = &mut candidates[place];
        candidate.count += 1.0;
        if candidate.first[0].starts_sentence && !phrase[0].starts_sentence {
            candidate.first = phrase;
        }
    }
    // A longer phrase that occurs once is chance, in a text that repeats anything.
    let repeats = candidates.iter().any(|candidate| candidate.stems.len() > 1 && candidate.count > 1.0);
    candidates.retain(|candidate| !repeats || candidate.stems.len() == 1 || candidate.count > 1.0);
    candidates
}

/// YAKE's: the product of the words' weights over the phrase's frequency and their sum.
fn score(candidate: &Candidate, weights: &[f32]) -> f32 {
    let of_words = || candidate.stems.iter().map(|stem| weights[*stem]);
    of_words().product::<f32>() / (candidate.count * (1.0 + of_words().sum::<f32>()))
}

/// Leaves out what a better phrase says already.
fn distinct<'c, 'a>(
    candidates: &'c [Candidate<'a>],
    count: usize,
) -> impl Iterator<Item = &'c Candidate<'a>> {
    let mut said: FxHashSet<usize> = FxHashSet::default();
    let new = candidates.iter().filter(move |candidate| {
        let fresh = !candidate.stems.iter().any(|stem| said.contains(stem));
        if fresh {
            said.extend(&candidate.stems);
        }
        fresh
    });
    new.take(count)
}

/// As it stands in the text.
fn surface(text: &str, phrase: &[Token]) -> String {
    let (first, last) = (&phrase[0], &phrase[phrase.len() - 1]);
    text[first.word.start..last.word.span().end].replace('\u{ad}', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn german_compounds_and_names_are_found() {
        let text = "Die Wärmepumpe heizt das Haus. Eine Wärmepumpe braucht Strom, und die Wärmepumpen von Anna Berg \
            brauchen wenig Strom. Anna Berg empfiehlt sie.";
        let found = keywords(text, Language::German, 3);
        assert!(
            found[..2].contains(&"Wärmepumpe".into()) && found[..2].contains(&"Anna Berg".into()),
            "{found:?}"
        );
    }

    #[test]
    fn terms_do_not_repeat_each_other() {
        let text = "Neural networks learn. Neural networks forget. Neural networks sleep. Networks.";
        let found = keywords(text, Language::English, 5);
        let networks = found.iter().filter(|term| term.to_lowercase().contains("network")).count();
        assert_eq!(networks, 1, "{found:?}");
    }

    #[test]
    fn odd_texts_have_no_terms() {
        for text in ["", "1 2 3", "the and of", "…", "a b c"] {
            assert_eq!(keywords(text, Language::English, 8), Vec::<String>::new(), "{text}");
        }
    }
}
