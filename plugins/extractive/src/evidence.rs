//! Every sentence of the passages with what speaks for it.

use std::ops::Range;

use smartrag_sdk::generator::{Passage, Sentence};
use smartrag_words::{Language, is_stop_word, words};

use crate::question::{Question, Term};
use crate::scale::Scale;
use crate::weigh::Features;

/// Bounds the margin of the best passage.
const MARGIN_MAX: f32 = 0.5;
/// The margin where there is no other passage: between those of the questions that the fit had with and without an
/// answer.
const MARGIN_NEUTRAL: f32 = 0.2;

/// A sentence that may be said.
pub struct Candidate {
    /// Index of its passage.
    pub passage: usize,
    /// Bytes of the passage's text.
    pub span: Range<usize>,
    /// Cosine similarity to the question.
    pub similarity: Option<f32>,
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
    let yardstick = Yardstick {
        question,
        weights: rarity(question, &candidates),
        scale: Scale::of(passages),
        margin: margin(passages),
    };
    let measured: Vec<Features> = (0..candidates.len())
        .map(|at| {
            let passage = candidates[at].passage;
            yardstick.measure(&candidates, at, &contexts[passage], &passages[passage])
        })
        .collect();
    candidates.iter_mut().zip(measured).for_each(|(candidate, features)| candidate.features = features);
    candidates
}

/// What a part of a sentence is worth: the terms that it meets, and the kind of thing that is asked for.
pub fn worth(question: &Question, part: &str, language: Language) -> f32 {
    let met = matches(question, &stems(question, part, language), language);
    let terms: f32 = question.terms.iter().zip(met).map(|(term, met)| term.weight * met).sum();
    terms + f32::from(u8::from(question.kind.is_in(part, &question.text)))
}

/// What the search scores tell of the best passage: how far it stands before the next, as a share of its own score.
/// Such a share means the same in any result. Small collections have large gaps by nature, hence the bound.
fn margin(passages: &[Passage]) -> f32 {
    let mut scores: Vec<f32> = passages.iter().map(|passage| passage.score).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    match scores[..] {
        [best, next, ..] if best > 0.0 && best.is_finite() && next.is_finite() => {
            (1.0 - next / best).clamp(0.0, MARGIN_MAX)
        }
        _ => MARGIN_NEUTRAL,
    }
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
    let features = Features::default();
    Some(Candidate { passage: at, span, similarity: sentence.similarity, features, stems, matches })
}

/// What is the same for all candidates of a question.
struct Yardstick<'a> {
    question: &'a Question,
    /// Of each term.
    weights: Vec<f32>,
    scale: Scale,
    margin: f32,
}

impl Yardstick<'_> {
    fn measure(&self, candidates: &[Candidate], at: usize, context: &Context, passage: &Passage) -> Features {
        let this = &candidates[at];
        let beside = |distance: fn(isize) -> bool| {
            let of_passage = candidates.iter().enumerate().filter(|(_, one)| one.passage == this.passage);
            let near = of_passage.filter(move |(other, _)| distance(*other as isize - at as isize));
            self.met(near.map(|(_, one)| &one.matches))
        };
        let before = beside(|by| by == -1 || by == 0);
        let around = beside(|by| by.abs() <= 1);
        let all = beside(|_| true);
        let text = &passage.text[this.span.clone()];
        Features {
            sentence: coverage(&self.weights, &this.matches),
            before: coverage(&self.weights, &before),
            around: coverage(&self.weights, &self.met([&around, &context.headings])),
            pairs: pairs(&self.question.terms, &this.stems, context.language),
            named: self.named(&self.met([&all, &context.headings])),
            similarity: self.scale.place(this.similarity),
            passage_similarity: self.scale.place(passage.similarity),
            score: passage.score.clamp(0.0, 1.0),
            margin: self.margin,
            kind: f32::from(u8::from(self.question.kind.is_in(text, &self.question.text))),
        }
    }

    /// How well each term is met by the best of several.
    fn met<'m>(&self, matches: impl IntoIterator<Item = &'m Vec<f32>>) -> Vec<f32> {
        best(matches.into_iter(), self.weights.len())
    }

    /// Share of the question's names and numbers that are met; all of none.
    fn named(&self, matches: &[f32]) -> f32 {
        let is_named = self.question.terms.iter().map(|term| f32::from(u8::from(term.named)));
        let weights: Vec<f32> = is_named.zip(&self.weights).map(|(named, weight)| named * weight).collect();
        if weights.iter().all(|weight| *weight == 0.0) { 1.0 } else { coverage(&weights, matches) }
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
    use smartrag_sdk::Span;

    use super::*;

    /// A passage of sentences that end in a full stop, each with a similarity.
    fn passage(title: &str, text: &str, score: f32, similarities: &[f32]) -> Passage {
        let mut end = 0;
        let sentences = text.split_inclusive(". ").zip(similarities).map(|(sentence, similarity)| {
            let start = end;
            end += sentence.len() as u32;
            Sentence { span: Span { start, end }, similarity: Some(*similarity) }
        });
        let sentences = sentences.collect();
        Passage {
            citation: 1,
            text: text.into(),
            title: title.into(),
            heading_path: vec![],
            language: Some("en".into()),
            score,
            similarity: Some(0.5),
            sentences,
        }
    }

    fn measured(question: &str, passages: &[Passage]) -> Vec<Features> {
        gather(&Question::new(question), passages).iter().map(|candidate| candidate.features).collect()
    }

    #[test]
    fn families_and_compounds_match_in_part() {
        assert_eq!(likeness("minist", "minist"), 1.0);
        assert_eq!(likeness("minist", "verteidigungsminist"), 0.7);
        assert_eq!(likeness("produktion", "produktiv"), 0.5);
        assert_eq!(likeness("haus", "maus"), 0.0);
    }

    #[test]
    fn neighbours_and_headings_lend_their_words() {
        let text = "It rained. The theory blames bad air. Today it has a Greek name. Nobody knows.";
        let found = measured("What blames bad air?", &[passage("a.txt", text, 1.0, &[0.1, 0.5, 0.4, 0.2])]);
        let [rain, theory, today, nobody] = found[..] else { panic!("{found:?}") };
        assert_eq!((theory.sentence, theory.before, theory.around), (1.0, 1.0, 1.0));
        assert_eq!((today.sentence, today.before, today.around), (0.0, 1.0, 1.0));
        assert_eq!((rain.before, rain.around), (0.0, 1.0), "what follows is around, and not before");
        assert_eq!(nobody.around, 0.0);
        let titled =
            measured("What blames bad air?", &[passage("Bad air blames", "It rained.", 1.0, &[0.1])]);
        assert_eq!((titled[0].sentence, titled[0].around), (0.0, 1.0));
    }

    #[test]
    fn names_and_numbers_are_sought_in_the_whole_passage() {
        let text = "Tesla moved to Prague. He worked there. He drew in 1882.";
        let passages = [passage("a.txt", text, 1.0, &[0.1, 0.5, 0.4])];
        let named = |question: &str| measured(question, &passages)[1].named;
        assert_eq!(named("Where did Tesla work in 1882?"), 1.0);
        assert_eq!(named("where was his work?"), 1.0, "nothing is named");
        assert!((0.1..0.9).contains(&named("Where did Tesla and Edison work?")));
        assert_eq!(named("Where did Edison work in 1931?"), 0.0);
    }

    #[test]
    fn the_margin_is_a_share_of_the_best_score() {
        let of = |scores: &[f32]| {
            let passages: Vec<Passage> = scores.iter().map(|score| passage("", "", *score, &[])).collect();
            margin(&passages)
        };
        assert!((of(&[0.6, 0.8, 0.1]) - 0.25).abs() < 1e-6, "in any order");
        assert_eq!((of(&[1.0, 1.0]), of(&[1.0, 0.0]), of(&[1.0, -3.0])), (0.0, MARGIN_MAX, MARGIN_MAX));
        for nothing_to_compare in [&[][..], &[1.0], &[0.0, 0.0], &[-1.0, -2.0], &[f32::INFINITY, 1.0]] {
            assert_eq!(of(nothing_to_compare), MARGIN_NEUTRAL, "{nothing_to_compare:?}");
        }
        assert!(of(&[1.0, f32::NAN]) <= MARGIN_MAX);
    }
}
