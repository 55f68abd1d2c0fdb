//! Sets of row numbers as plain bits: asking takes the same time whatever is in them.

use std::ops::Range;

/// A set of small numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    len: u64,
}

impl Bits {
    /// How many numbers are in it.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Adds a number.
    pub fn insert(&mut self, number: u32) {
        let (word, bit) = place(number);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += u64::from(new);
    }

    /// Whether a number is in it.
    pub fn contains(&self, number: u32) -> bool {
        let (word, bit) = place(number);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many numbers of a range are in it.
    pub fn count(&self, range: Range<u32>) -> u64 {
        self.masked(range).map(|(_, word)| u64::from(word.count_ones())).sum()
    }

    /// The numbers of a range that are in it, ascending.
    pub fn iter(&self, range: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        self.masked(range).flat_map(|(at, word)| ones(word).map(move |bit| at * 64 + bit))
    }

    /// The words that overlap a range, with what lies outside of it cleared, and their places.
    fn masked(&self, range: Range<u32>) -> impl Iterator<Item = (u32, u64)> + '_ {
        let first = (range.start / 64) as usize;
        let last = range.end.div_ceil(64) as usize;
        let words = self.words.get(first..last.clamp(first, self.words.len().max(first)));
        words.unwrap_or_default().iter().zip(range.start / 64..).map(move |(word, at)| {
            let low = u64::MAX << range.start.saturating_sub(at * 64).min(63);
            let above = range.end.saturating_sub(at * 64);
            let high = if above >= 64 { u64::MAX } else { (1 << above) - 1 };
            (at, word & low & high)
        })
    }
}

fn place(number: u32) -> (usize, u64) {
    ((number / 64) as usize, 1 << (number % 64))
}

fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

impl FromIterator<u32> for Bits {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut bits = Self::default();
        numbers.into_iter().for_each(|number| bits.insert(number));
        bits
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(numbers in proptest::collection::btree_set(0u32..400, 0..80), start in 0u32..450, len in 0u32..450) {
            let bits: Bits = numbers.iter().copied().chain(numbers.iter().copied()).collect();
            prop_assert_eq!(bits.len(), numbers.len() as u64);
            prop_assert!((0..500).all(|number| bits.contains(number) == numbers.contains(&number)));
            let range = start..start + len;
            let wanted: BTreeSet<u32> = numbers.range(range.clone()).copied().collect();
            prop_assert_eq!(bits.iter(range.clone()).collect::<Vec<_>>(), wanted.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(bits.count(range), wanted.len() as u64);
        }
    }
}
