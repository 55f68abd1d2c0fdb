//! How much speaks for a sentence, and for answering at all.
//!
//! Fitted on the even articles of XQuAD (those numbered 0, 2, 4, …), German and English together, and checked on the
//! odd ones and on paragraphs of SQuAD 2.0: the sentence weights by softmax regression over the sentences of each
//! question, the support by logistic regression over questions with and without the paragraph that answers them.

/// What speaks for a sentence; each lies between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Features {
    /// Share of the question that the sentence covers.
    pub sentence: f32,
    /// The same with the sentence before it: pronouns point there.
    pub before: f32,
    /// The same with the sentences on both sides and with the headings.
    pub around: f32,
    /// Share of the question's neighbouring words that are neighbours in the sentence.
    pub pairs: f32,
    /// Share of the question's names and numbers that the passage and its headings know.
    pub named: f32,
    /// Similarity of the sentence to the question, on the scale of the result.
    pub similarity: f32,
    /// The same of the passage.
    pub passage_similarity: f32,
    /// Search score of the passage within this result.
    pub score: f32,
    /// How far the best passage stands before the next one in the search scores.
    pub margin: f32,
    /// 1 where it holds the kind of thing that is asked for.
    pub kind: f32,
}

impl Features {
    /// Of a sentence against the others; any number. A difference of `x` makes it e^x times as likely to answer.
    pub fn score(&self) -> f32 {
        3.7 * self.sentence
            + 2.1 * self.before
            + 2.1 * self.around
            + 1.9 * self.named
            + 3.2 * self.similarity
            + 1.9 * self.passage_similarity
            + 4.2 * self.score
            + 2.0 * self.kind
    }

    /// Probability that the passages answer the question, judged by the best sentence. The search score has no say
    /// but for its margin: it is relative, and the best of a bad lot has 1.
    pub fn support(&self) -> f32 {
        let evidence = 2.3 * self.sentence
            + 2.8 * self.around
            + 1.8 * self.pairs
            + 1.1 * self.named
            + 1.9 * self.similarity
            + 2.4 * self.passage_similarity
            + 4.2 * self.margin;
        1.0 / (1.0 + (6.0 - evidence).exp())
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
            pairs: 0.5,
            named: 1.0,
            similarity: 0.6,
            passage_similarity: 0.5,
            margin: 0.3,
            ..Default::default()
        };
        assert!(all.support() > 0.9);
    }
}
