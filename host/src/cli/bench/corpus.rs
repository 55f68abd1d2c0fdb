//! Texts to take in: those of a retrieval set, or made up from a fixed seed.

use std::path::Path;

use crate::cli::collection;

/// Words of the made-up language; their ranks follow Zipf's law.
const VOCABULARY: usize = 20_000;
/// Sentences of a made-up document, and words of its sentences, on average.
const SENTENCES: u64 = 10;
const WORDS: u64 = 14;

/// A generator of reproducible numbers (SplitMix64; Steele, Lea & Flood, 2014).
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// A rank by Zipf's law, approximately: the logarithm of ranks is uniform.
    fn rank(&mut self) -> usize {
        let uniform = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((VOCABULARY as f64).powf(uniform) as usize).min(VOCABULARY - 1)
    }
}

/// `count` texts; repeats those of the set with a number in front when it has fewer.
pub(super) fn texts(set: Option<&Path>, count: usize) -> anyhow::Result<Vec<String>> {
    let Some(set) = set else {
        let mut numbers = Numbers::new(1);
        return Ok((0..count).map(|_| document(&mut numbers)).collect());
    };
    let corpus: Vec<String> = collection::corpus(set)?.iter().map(|document| document.whole_text()).collect();
    let text = |at: usize| match corpus.get(at) {
        Some(text) => text.clone(),
        None => format!("{at}. {}", corpus[at % corpus.len()]),
    };
    Ok((0..count).map(text).collect())
}

/// Questions that share words with the texts: a few from the middle of one of them.
pub(super) fn queries(texts: &[String], count: usize) -> Vec<String> {
    let mut numbers = Numbers::new(2);
    let query = |_| {
        let text = &texts[numbers.below(texts.len() as u64) as usize];
        let words: Vec<&str> = text.split_whitespace().collect();
        let from = numbers.below(words.len().saturating_sub(8) as u64) as usize;
        words[from..words.len().min(from + 8)].join(" ")
    };
    (0..count).map(query).collect()
}

/// A page of Markdown that no other call makes.
pub(super) fn page(number: usize) -> String {
    let mut numbers = Numbers::new(1_000_000 + number as u64);
    let part = |numbers: &mut Numbers| document(numbers);
    let (first, second) = (part(&mut numbers), part(&mut numbers));
    format!("# Page {number}\n\n{first}\n\n## More\n\n{second}\n")
}

fn document(numbers: &mut Numbers) -> String {
    let sentences = SENTENCES / 2 + numbers.below(SENTENCES);
    (0..sentences).map(|_| sentence(numbers)).collect::<Vec<_>>().join(" ")
}

fn sentence(numbers: &mut Numbers) -> String {
    let words = WORDS / 2 + numbers.below(WORDS);
    let text = (0..words).map(|_| word(numbers.rank())).collect::<Vec<_>>().join(" ");
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// The word of a rank: frequent ones are short.
fn word(rank: usize) -> String {
    const SYLLABLES: [&str; 24] = [
        "ta", "re", "mi", "so", "la", "den", "ver", "ing", "on", "ka", "lu", "pe", "sta", "ri", "mo", "ne",
        "to", "ga", "be", "fi", "ra", "do", "si", "ter",
    ];
    let (mut rest, mut word) = (rank + 1, String::new());
    while rest > 0 {
        word.push_str(SYLLABLES[rest % SYLLABLES.len()]);
        rest /= SYLLABLES.len();
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_reproducible_and_distinct() {
        let (one, other) = (texts(None, 50).unwrap(), texts(None, 50).unwrap());
        assert_eq!(one, other);
        let distinct: std::collections::HashSet<_> = one.iter().collect();
        assert_eq!(distinct.len(), 50);
        assert!(queries(&one, 5).iter().all(|query| !query.is_empty()));
    }
}
