//! How much a word tells, by YAKE (Campos et al., Information Sciences 509, 2020): capitals, position, frequency,
//! relatedness to its context, and spread over sentences. Lower weighs more.

use rustc_hash::FxHashSet;

use crate::phrases::Tokens;

/// Of one stem.
#[derive(Default)]
struct Counts {
    frequency: f32,
    capitals: f32,
    acronyms: f32,
    /// In ascending order, without repetition.
    sentences: Vec<usize>,
    left: FxHashSet<usize>,
    right: FxHashSet<usize>,
}

/// The weight of each stem.
pub fn weights(tokens: &Tokens) -> Vec<f32> {
    let mut counts: Vec<Counts> = std::iter::repeat_with(Counts::default).take(tokens.stems).collect();
    count(tokens, &mut counts);
    let frequencies: Vec<f32> = counts.iter().map(|c| c.frequency).collect();
    let mean = frequencies.iter().sum::<f32>() / frequencies.len().max(1) as f32;
    let variance =
        frequencies.iter().map(|f| (f - mean).powi(2)).sum::<f32>() / frequencies.len().max(1) as f32;
    let scale = Scale {
        typical: mean + variance.sqrt(),
        most: frequencies.iter().fold(1.0, |a, b| a.max(*b)),
        sentences: tokens.sentences.max(1) as f32,
    };
    counts.iter().map(|counts| scale.weigh(counts)).collect()
}

fn count(tokens: &Tokens, counts: &mut [Counts]) {
    let mut before = None;
    for token in &tokens.list {
        let Some(stem) = token.stem else {
            before = None;
            continue;
        };
        let this = &mut counts[stem];
        this.frequency += 1.0;
        let acronym =
            token.word.text.len() > 1 && token.word.text.chars().all(|c| c.is_uppercase() || c.is_numeric());
        this.acronyms += f32::from(u8::from(acronym));
        this.capitals += f32::from(u8::from(!token.starts_sentence && token.word.is_capitalised()));
        if this.sentences.last() != Some(&token.sentence) {
            this.sentences.push(token.sentence);
        }
        if let Some(left) = before.filter(|_| token.follows) {
            this.left.insert(left);
            counts[left].right.insert(stem);
        }
        before = Some(stem);
    }
}

/// What the counts of a text are measured against.
struct Scale {
    typical: f32,
    most: f32,
    sentences: f32,
}

impl Scale {
    fn weigh(&self, counts: &Counts) -> f32 {
        let median = counts.sentences.get(counts.sentences.len() / 2).copied().unwrap_or(1) as f32;
        let position = (3.0 + median).ln().ln();
        let casing = counts.capitals.max(counts.acronyms) / (1.0 + counts.frequency.ln());
        let frequency = counts.frequency / self.typical;
        // Words with many different neighbours are the ones that go with everything.
        let neighbours = (counts.left.len() + counts.right.len()) as f32 / counts.frequency;
        let related = 1.0 + neighbours * counts.frequency / self.most;
        let spread = counts.sentences.len() as f32 / self.sentences;
        related * position / (casing + frequency / related + spread / related)
    }
}

#[cfg(test)]
mod tests {
    use smartrag_words::Language;

    use super::*;

    #[test]
    fn frequent_early_and_capitalised_words_weigh_more() {
        let text = "We met Tesla. The old house of Tesla burnt. A later tree grew. Tesla left.";
        let tokens = Tokens::of(text, Language::English);
        let weights = weights(&tokens);
        let weight = |word| {
            let token = tokens.list.iter().find(|token| token.word.text == word);
            token.and_then(|token| token.stem).map(|stem| weights[stem])
        };
        assert!(weight("Tesla") < weight("house"), "{weights:?}");
        assert!(weight("house") < weight("grew"), "{weights:?}");
    }
}
