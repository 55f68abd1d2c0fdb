//! What a generator that reads no prompt needs to know of the passages.

use super::Core;
use crate::plugins::{
    Cancel, GenerateEvent, GenerateOptions, GenerateRequest, GeneratorPassage, Purpose, SentenceEvidence,
};
use crate::text::{language, sentences};
use crate::types::{FinishReason, Passage};

/// Sentences of one answer that are embedded, at most.
const SENTENCES_MAX: usize = 256;

impl Core {
    /// Whether passages hardly support an answer: there are none, or the extractive backend, which was tuned to tell, finds
    /// no sentence to answer with. It compares words, so that it is not asked where question and passages differ in
    /// language.
    pub(super) fn is_weak(&self, question: &str, passages: &[Passage], cancel: &Cancel) -> bool {
        let Some(best) = passages.first() else { return true };
        let languages = language(question).zip(best.language.as_deref());
        let comparable = languages.is_none_or(|(asked, found)| found.starts_with(asked));
        comparable && self.abstains(question, passages, cancel).unwrap_or(false)
    }

    /// `None` if there is nobody to judge.
    fn abstains(&self, question: &str, passages: &[Passage], cancel: &Cancel) -> Option<bool> {
        let judge = self.backends.load().judge()?;
        let request = GenerateRequest {
            model: None,
            question: question.to_owned(),
            language: "en".into(),
            messages: Vec::new(),
            passages: self.evidence(question, passages, true),
            options: GenerateOptions::default(),
            cancel: cancel.clone(),
        };
        let mut batches = judge.generate(&request).ok()?;
        let abstained = GenerateEvent::Finish(FinishReason::Abstained);
        Some(batches.any(|batch| batch.is_ok_and(|events| events.contains(&abstained))))
    }

    /// Passages with their citation numbers, and with their sentences if they are wanted.
    pub(super) fn evidence(
        &self,
        question: &str,
        passages: &[Passage],
        with_sentences: bool,
    ) -> Vec<GeneratorPassage> {
        let mut evidence: Vec<_> =
            passages.iter().zip(1..).map(|(passage, number)| bare(passage, number)).collect();
        if with_sentences {
            self.add_sentences(question, &mut evidence);
        }
        evidence
    }

    fn add_sentences(&self, question: &str, evidence: &mut [GeneratorPassage]) {
        let spans: Vec<(usize, _)> = evidence
            .iter()
            .enumerate()
            .flat_map(|(at, passage)| sentences(&passage.text).into_iter().map(move |span| (at, span)))
            .take(SENTENCES_MAX)
            .collect();
        let texts: Vec<&str> = spans.iter().map(|(at, span)| &evidence[*at].text[span.clone()]).collect();
        let similarities = self.similarities(question, &texts);
        for ((at, span), similarity) in spans.into_iter().zip(similarities) {
            evidence[at].sentences.push(SentenceEvidence { span, similarity });
        }
    }

    /// Cosine similarities to the question; `None` where the embedder knows no word, or fails.
    fn similarities(&self, question: &str, texts: &[&str]) -> Vec<Option<f32>> {
        let dimension = self.embedder.info().dimension.max(1);
        let vectors = self.embedder.embed(texts, Purpose::Passage);
        let query = self.embedder.embed(&[question], Purpose::Query);
        let (Ok(vectors), Ok(query)) = (vectors, query) else { return vec![None; texts.len()] };
        let dot = |row: &[f32]| row.iter().zip(&query).map(|(a, b)| a * b).sum::<f32>();
        let known = |row: &[f32]| row.iter().any(|value| *value != 0.0);
        vectors.chunks_exact(dimension).map(|row| known(row).then(|| dot(row))).collect()
    }
}

fn bare(passage: &Passage, citation: u32) -> GeneratorPassage {
    GeneratorPassage {
        citation,
        text: passage.text.clone(),
        title: passage.document.title.clone().unwrap_or_else(|| passage.document.filename.clone()),
        heading_path: passage.heading_path.clone(),
        language: passage.language.clone(),
        score: passage.score,
        similarity: passage.scores.vector,
        sentences: Vec::new(),
    }
}
