//! Tells passages that say the same again, and says it once.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::types::Passage;

/// Words of a shingle.
const SHINGLE: usize = 3;
/// Share of their shingles that two texts must have in common.
const ALIKE: f64 = 0.9;

/// What of a passage is compared: heading and text as word shingles (Broder, 1997), and the numbers in them. Two
/// reports that differ in a number alone are not the same report.
struct Print {
    numbers: u64,
    /// Ascending, each once.
    shingles: Vec<u64>,
}

impl Print {
    fn of(passage: &Passage) -> Self {
        let headings = passage.heading_path.iter().map(String::as_str);
        Self::of_texts(headings.chain([passage.text.as_str()]))
    }

    fn of_texts<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Self {
        let words: Vec<&str> = texts.clone().flat_map(words).collect();
        let hashes: Vec<u64> = words.iter().map(|word| word_hash(word)).collect();
        let numeric = |(word, hash): (&&str, &u64)| word.contains(char::is_numeric).then_some(*hash);
        let numbers: Vec<u64> = words.iter().zip(&hashes).filter_map(numeric).collect();
        let mut shingles: Vec<u64> = match words.len() {
            0 => vec![hash(&texts.map(str::trim).collect::<String>())],
            count => hashes.windows(SHINGLE.min(count)).map(hash).collect(),
        };
        shingles.sort_unstable();
        shingles.dedup();
        Self { numbers: hash(&numbers), shingles }
    }

    /// Whether the resemblance (Jaccard) reaches [`ALIKE`].
    fn is_alike(&self, other: &Self) -> bool {
        let (one, two) = (self.shingles.len(), other.shingles.len());
        // More than all of the smaller one can't be shared.
        if self.numbers != other.numbers || (one.min(two) as f64) < one.max(two) as f64 * ALIKE {
            return false;
        }
        let shared = self.shared(other);
        shared as f64 >= (one + two - shared) as f64 * ALIKE
    }

    fn shared(&self, other: &Self) -> usize {
        let mut theirs = other.shingles.iter().peekable();
        let is_shared = |shingle: &&u64| {
            while theirs.next_if(|their| their < shingle).is_some() {}
            theirs.next_if_eq(shingle).is_some()
        };
        self.shingles.iter().filter(is_shared).count()
    }
}

/// Cheaper than Unicode's segmentation, and as good to tell copies by.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Of the word in lower case (FNV-1a over its characters).
fn word_hash(word: &str) -> u64 {
    let step = |hash: u64, c: char| (hash ^ u64::from(c)).wrapping_mul(0x0000_0100_0000_01b3);
    word.chars().flat_map(char::to_lowercase).fold(0xcbf2_9ce4_8422_2325, step)
}

fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Collects passages, best first, and folds each into the first one that says the same.
#[derive(Default)]
pub(super) struct Folds {
    passages: Vec<Passage>,
    prints: Vec<Print>,
}

impl Folds {
    pub fn push(&mut self, passage: Passage) {
        let print = Print::of(&passage);
        match self.prints.iter().position(|known| known.is_alike(&print)) {
            Some(at) => self.passages[at].origin.folded.push(passage.chunk),
            None => {
                self.passages.push(passage);
                self.prints.push(print);
            }
        }
    }

    /// Passages so far that say different things.
    pub fn len(&self) -> usize {
        self.passages.len()
    }

    pub fn into_passages(self) -> Vec<Passage> {
        self.passages
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::answer::tests::{chunk, passage};
    use crate::types::ChunkId;

    fn folded(texts: &[String]) -> Vec<Passage> {
        let mut folds = Folds::default();
        texts.iter().enumerate().for_each(|(at, text)| folds.push(passage(at, text)));
        folds.into_passages()
    }

    fn places(texts: &[&str]) -> Vec<(ChunkId, Vec<ChunkId>)> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        folded(&texts).into_iter().map(|passage| (passage.chunk, passage.origin.folded)).collect()
    }

    const LONG: &str = "The pump in the cellar is checked by the caretaker on the first Monday of each month, and \
        what was found goes into the blue folder beside the door, together with the name of who looked at it and \
        the state of the filter, which must be replaced as soon as it is grey.";

    #[test]
    fn copies_are_folded_into_the_best_one() {
        let copy = LONG.replace("blue folder", "BLUE  folder").replace("grey", "gray");
        assert_eq!(
            places(&[LONG, "Something else.", &copy, LONG]),
            [(chunk(0), vec![chunk(2), chunk(3)]), (chunk(1), vec![])]
        );
    }

    #[test]
    fn another_number_is_another_fact() {
        let (one, other) = (format!("{LONG} It costs 5 EUR."), format!("{LONG} It costs 6 EUR."));
        assert_eq!(places(&[&one, &other]).len(), 2);
    }

    #[test]
    fn a_few_words_under_another_heading_are_something_else() {
        let under =
            |at, heading: &str| Passage { heading_path: vec![heading.into()], ..passage(at, "Two years") };
        let mut folds = Folds::default();
        folds.push(under(0, "Guarantee of the pump"));
        folds.push(under(1, "Guarantee of the door"));
        folds.push(under(2, "Guarantee of the door"));
        let kept: Vec<_> = folds.into_passages().into_iter().map(|passage| passage.chunk).collect();
        assert_eq!(kept, [chunk(0), chunk(1)]);
    }

    #[test]
    fn texts_without_words_are_compared_as_they_are() {
        assert_eq!(places(&["***", "---", " *** ", ""]).len(), 3);
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("(a|b|c|1)( (a|b|c|1)){0,5}", 0..12)
    }

    proptest! {
        #[test]
        fn folding_keeps_the_order_and_the_best_and_loses_nothing(texts in texts()) {
            let kept = folded(&texts);
            prop_assert_eq!(kept.first().map(|best| best.chunk), (!texts.is_empty()).then(|| chunk(0)));
            prop_assert!(kept.windows(2).all(|pair| pair[0].chunk < pair[1].chunk));
            let mut all: Vec<ChunkId> = Vec::new();
            for passage in &kept {
                prop_assert!(passage.origin.folded.iter().all(|folded| *folded > passage.chunk));
                all.push(passage.chunk);
                all.extend(&passage.origin.folded);
            }
            all.sort();
            prop_assert_eq!(all, (0..texts.len()).map(chunk).collect::<Vec<_>>());
        }

        #[test]
        fn folding_again_changes_nothing(texts in texts()) {
            let kept: Vec<String> = folded(&texts).into_iter().map(|passage| passage.text).collect();
            let again: Vec<String> = folded(&kept).into_iter().map(|passage| passage.text).collect();
            prop_assert_eq!(kept, again);
        }

        #[test]
        fn likeness_is_mutual_and_reflexive(one in "[abc1 ]{0,20}", other in "[abc1 ]{0,20}") {
            let (one, other) = (Print::of_texts([one.as_str()].into_iter()), Print::of_texts([other.as_str()].into_iter()));
            prop_assert_eq!(one.is_alike(&other), other.is_alike(&one));
            prop_assert!(one.is_alike(&one) && other.is_alike(&other));
        }
    }
}
