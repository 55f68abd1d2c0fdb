//! How much speaks for a sentence, and for answering at all.
//!
//! Fitted on half of the articles of XQuAD, German and English together, and checked on the other half: the sentence
//! weights by softmax regression over the sentences of each question, the support by logistic regression over
//! questions with and without the paragraph that answers them.

/// What speaks for a sentence; each lies near 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Features {
    /// Share of the question that the sentence covers.
    pub sentence: f32,
    /// The same with the sentences beside it: pronouns point there.
    pub around: f32,
    /// The same of the passage with its headings.
    pub passage: f32,
    /// Share of the question's neighbouring words that are neighbours in the sentence.
    pub pairs: f32,
    /// Cosine similarity of the sentence to the question.
    pub similarity: f32,
    /// Cosine similarity of the passage to the question.
    pub passage_similarity: f32,
    /// Search score of the passage within this result.
    pub score: f32,
    /// 1 where it holds the kind of thing that is asked for.
    pub kind: f32,
}

impl Features {
    /// Of a sentence against the others; any number. A difference of `x` makes it e^x times as likely to answer.
    pub fn score(&self) -> f32 {
        4.3 * self.sentence
            + 3.0 * self.around
            + 1.5 * self.passage
            + 0.7 * self.pairs
            + 3.1 * self.similarity
            + 1.3 * self.passage_similarity
            + 4.5 * self.score
            + 1.8 * self.kind
    }

    /// Probability that the passages answer the question, judged by the best sentence. The search score has no say:
    /// it is relative, and the best of a bad lot has 1.
    pub fn support(&self) -> f32 {
        let evidence = 1.9 * self.sentence
            + 2.3 * self.around
            + 2.4 * self.passage
            + 2.2 * self.pairs
            + 3.3 * self.similarity
            + 1.8 * self.passage_similarity;
        1.0 / (1.0 + (5.8 - evidence).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn support_grows_with_evidence_and_not_with_rank() {
        let best_of_a_bad_lot = Features { score: 1.0, kind: 1.0, similarity: 0.2, ..Default::default() };
        assert!(best_of_a_bad_lot.support() < 0.05);
        let all = Features {
            sentence: 0.8,
            around: 1.0,
            passage: 1.0,
            pairs: 0.5,
            similarity: 0.6,
            passage_similarity: 0.5,
            ..Default::default()
        };
        assert!(all.support() > 0.9);
    }
}
