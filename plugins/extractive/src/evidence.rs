//! Every sentence of the passages with what speaks for it.

use std::ops::Range;

use smartrag_sdk::generator::{Passage, Sentence};
use smartrag_words::{Language, is_stop_word, words};

use crate::question::{Question, Term};
use crate::weigh::Features;

/// A sentence that may be said.
pub struct Candidate {
    /// Index of its passage.
    pub passage: usize,
    /// Bytes of the passage's text.
    pub span: Range<usize>,
    /// What speaks for it.
    pub features: Features,
    /// Stems of its content words.
    pub stems: Vec<String>,
    /// How well each term of the question is met, 0 to 1.
    pub matches: Vec<f32>,
}

/// What is the same for all sentences of a passage.
struct Context {
    language: Language,
    /// How well each term is met by the headings.
    headings: Vec<f32>,
}

impl Context {
    fn of(question: &Question, passage: &Passage) -> Self {
        let language = Language::of(passage.language.as_deref(), &passage.text);
        let headings = format!("{} {}", passage.heading_path.join(" "), passage.title);
        let headings = matches(question, &stems(question, &headings, language), language);
        Self { language, headings }
    }
}

/// All sentences of the passages, measured, in reading order.
pub fn gather(question: &Question, passages: &[Passage]) -> Vec<Candidate> {
    let contexts: Vec<Context> = passages.iter().map(|passage| Context::of(question, passage)).collect();
    let mut candidates = Vec::new();
    for (at, (passage, context)) in passages.iter().zip(&contexts).enumerate() {
        let whole = [whole(passage)];
        let sentences = if passage.sentences.is_empty() { &whole[..] } else { &passage.sentences };
        let of_passage =
            sentences.iter().filter_map(|sentence| candidate(question, at, passage, sentence, context));
        candidates.extend(of_passage);
    }
    let weights = rarity(question, &candidates);
    let features: Vec<Features> = (0..candidates.len())
        .map(|at| {
            let passage = candidates[at].passage;
            measure(&candidates, at, question, &weights, &contexts[passage], &passages[passage])
        })
        .collect();
    candidates.iter_mut().zip(features).for_each(|(candidate, features)| candidate.features = features);
    candidates
}

/// For a host that brings no sentences.
fn whole(passage: &Passage) -> Sentence {
    let span = smartrag_sdk::Span { start: 0, end: passage.text.len() as u32 };
    Sentence { span, similarity: passage.similarity }
}

/// `None` for a span that does not fit, and for sentences without letters.
fn candidate(
    question: &Question,
    at: usize,
    passage: &Passage,
    sentence: &Sentence,
    context: &Context,
) -> Option<Candidate> {
    let span = sentence.span.start as usize..sentence.span.end as usize;
    let text = passage.text.get(span.clone()).filter(|text| text.chars().any(char::is_alphabetic))?;
    let stems = stems(question, text, context.language);
    let matches = matches(question, &stems, context.language);
    let features = Features { similarity: sentence.similarity.unwrap_or(0.0), ..Default::default() };
    Some(Candidate { passage: at, span, features, stems, matches })
}

fn measure(
    candidates: &[Candidate],
    at: usize,
    question: &Question,
    weights: &[f32],
    context: &Context,
    passage: &Passage,
) -> Features {
    let this = &candidates[at];
    let of_passage = || candidates.iter().enumerate().filter(|(_, other)| other.passage == this.passage);
    let around = of_passage().filter(|(other, _)| other.abs_diff(at) <= 1).map(|(_, other)| &other.matches);
    let all = of_passage().map(|(_, other)| &other.matches).chain([&context.headings]);
    let text = &passage.text[this.span.clone()];
    Features {
        sentence: coverage(weights, &this.matches),
        around: coverage(weights, &best(around, weights.len())),
        passage: coverage(weights, &best(all, weights.len())),
        pairs: pairs(&question.terms, &this.stems, context.language),
        similarity: this.features.similarity,
        passage_similarity: passage.similarity.unwrap_or(0.0),
        score: passage.score.clamp(0.0, 1.0),
        kind: f32::from(u8::from(question.kind.is_in(text, &question.text))),
    }
}

/// Share of the question's neighbouring words that are neighbours in the sentence as well.
fn pairs(terms: &[Term], stems: &[String], language: Language) -> f32 {
    let adjacent = |pair: &&[Term]| {
        let pair = [pair[0].stem(language), pair[1].stem(language)];
        stems.windows(2).any(|stems| {
            stems[0] == pair[0] && stems[1] == pair[1] || stems[0] == pair[1] && stems[1] == pair[0]
        })
    };
    terms.windows(2).filter(adjacent).count() as f32 / terms.len().saturating_sub(1).max(1) as f32
}

fn stems(question: &Question, text: &str, language: Language) -> Vec<String> {
    let stemmer = question.stemmer(language);
    let content = words(text).filter(|word| !is_stop_word(language, word.text));
    content.map(|word| stemmer.stem(word.text)).collect()
}

fn matches(question: &Question, stems: &[String], language: Language) -> Vec<f32> {
    let best = |wanted: &str| stems.iter().map(|stem| likeness(wanted, stem)).fold(0.0, f32::max);
    question.terms.iter().map(|term| best(term.stem(language))).collect()
}

/// 1 for equal stems, less for German compounds and for words of one family.
fn likeness(wanted: &str, stem: &str) -> f32 {
    if wanted == stem {
        return 1.0;
    }
    let (short, long) = if wanted.len() < stem.len() { (wanted, stem) } else { (stem, wanted) };
    if short.len() >= 5 && (long.starts_with(short) || long.ends_with(short)) {
        return 0.7;
    }
    let common = short.chars().zip(long.chars()).take_while(|(a, b)| a == b).count();
    if common >= 5 && 3 * common >= 2 * short.chars().count() { 0.5 } else { 0.0 }
}

/// Weight of each term: its own, times its rarity among the sentences.
fn rarity(question: &Question, candidates: &[Candidate]) -> Vec<f32> {
    let holding = |term: usize| candidates.iter().map(|candidate| candidate.matches[term]).sum::<f32>();
    let weight = |term: usize| ((candidates.len() as f32 + 1.0) / (holding(term) + 0.5)).ln().max(0.2);
    question.terms.iter().enumerate().map(|(at, term)| term.weight * weight(at)).collect()
}

fn best<'a>(matches: impl Iterator<Item = &'a Vec<f32>>, terms: usize) -> Vec<f32> {
    matches.fold(vec![0.0; terms], |mut best, matches| {
        best.iter_mut().zip(matches).for_each(|(best, found)| *best = best.max(*found));
        best
    })
}

/// Share of the question, by weight, that is met.
fn coverage(weights: &[f32], matches: &[f32]) -> f32 {
    let total: f32 = weights.iter().sum();
    if total == 0.0 { 0.0 } else { weights.iter().zip(matches).map(|(w, m)| w * m).sum::<f32>() / total }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_compounds_match_in_part() {
        assert_eq!(likeness("minist", "minist"), 1.0);
        assert_eq!(likeness("minist", "verteidigungsminist"), 0.7);
        assert_eq!(likeness("produktion", "produktiv"), 0.5);
        assert_eq!(likeness("haus", "maus"), 0.0);
    }
}
