//! Text to a vector without a model.
//!
//! Every word, and every run of three to five characters in it, is a feature, so that inflected and compound words
//! share some (Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information"). Features are hashed into a
//! fixed number of places with a sign from the hash, so that collisions cancel out on average (Weinberger et al. 2009,
//! "Feature Hashing for Large Scale Multitask Learning"). It finds shared spellings, not shared meanings.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Length of a vector.
pub const DIMENSION: usize = 512;
/// Changes whenever the same text would get another vector.
pub const FINGERPRINT: &str = "char-3-5-hash-512-v1";

const PART_CHARS: RangeInclusive<usize> = 3..=5;
/// A part says less than its word.
const PART_WEIGHT: f32 = 0.3;

/// Words in lower case.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Words of a text: this embedder's tokens.
pub fn count(text: &str) -> u32 {
    words(text).count().try_into().unwrap_or(u32::MAX)
}

/// Writes the vector of a text: length 1, or all zero where there is no word in it.
pub fn embed(text: &str, vector: &mut [f32]) {
    vector.fill(0.0);
    // Ordered, so that sums come out the same to the last bit.
    let mut counts = BTreeMap::new();
    words(text).for_each(|word| *counts.entry(word).or_insert(0u32) += 1);
    for (word, count) in counts {
        // A word that stands there ten times doesn't matter ten times as much.
        let weight = 1.0 + (count as f32).ln();
        let marked = format!("<{word}>");
        add(vector, &marked, weight);
        parts(&marked).for_each(|part| add(vector, part, weight * PART_WEIGHT));
    }
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

/// Runs of characters, on their boundaries, shorter than the whole.
fn parts(word: &str) -> impl Iterator<Item = &str> {
    let mut places: Vec<usize> = word.char_indices().map(|(at, _)| at).collect();
    places.push(word.len());
    let chars = places.len() - 1;
    PART_CHARS.filter(move |len| *len < chars).flat_map(move |len| {
        let ends = places.clone();
        (0..=chars - len).map(move |start| &word[ends[start]..ends[start + len]])
    })
}

fn add(vector: &mut [f32], feature: &str, weight: f32) {
    let hash = fnv1a(feature.as_bytes());
    let place = (hash % vector.len() as u64) as usize;
    let is_negative = hash >> 63 == 1;
    vector[place] += if is_negative { -weight } else { weight };
}

/// FNV-1a, 64 bits, with the finaliser of MurmurHash3: the upper bits of FNV alone are weak for short input.
fn fnv1a(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(text: &str) -> Vec<f32> {
        let mut vector = vec![f32::NAN; DIMENSION];
        embed(text, &mut vector);
        vector
    }

    fn cosine(a: &str, b: &str) -> f32 {
        vector(a).iter().zip(vector(b)).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn related_spellings_are_near_and_others_are_far() {
        assert!((cosine("Wasserproben im Hafen", "wasserproben, im HAFEN!") - 1.0).abs() < 1e-5);
        assert!(cosine("Wasserprobe", "Wasserproben") > 0.5);
        assert!(cosine("Wasserprobe", "Probe") > cosine("Wasserprobe", "Garten") + 0.1);
        assert!(cosine("the spectrometer", "community garden").abs() < 0.2);
    }

    #[test]
    fn vectors_have_length_one_or_zero() {
        for text in ["a", "Straße 12", "日本語のテキスト", "ab\0cd", &"lang ".repeat(10_000)] {
            let length: f32 = vector(text).iter().map(|value| value * value).sum();
            assert!((length - 1.0).abs() < 1e-4, "{text:?}: {length}");
        }
        for text in ["", "  \n", "?!"] {
            assert!(vector(text).iter().all(|value| *value == 0.0), "{text:?}");
        }
    }

    #[test]
    fn vectors_do_not_change() {
        // The fingerprint promises it: who changes the method changes both.
        let first = vector("smartrag").iter().position(|value| *value != 0.0);
        let sum: f64 = vector("smartrag").iter().enumerate().map(|(at, v)| at as f64 * f64::from(*v)).sum();
        assert_eq!((FINGERPRINT, first, sum.round()), ("char-3-5-hash-512-v1", Some(12), -274.0));
    }

    #[test]
    fn words_are_tokens() {
        assert_eq!(count("Zwei Wörter, 3 Zahlen"), 4);
        assert_eq!(count(""), 0);
    }
}
