//! How much speaks for a sentence, and for answering at all.
//!
//! Fitted on the even articles of XQuAD (those numbered 0, 2, 4, …), German and English together: the sentence weights by
//! softmax regression over the sentences of each question, the support by logistic regression over questions with and
//! without the paragraph that answers them; both with an L2 penalty of 1, rounded. With five passages and the defaults,
//! in percent of the questions:
//!
//! | checked on | answer holds the gold one | abstains | abstains without the paragraph |
//! | --- | --- | --- | --- |
//! | XQuAD English, odd articles | 94.8 | 1.2 | 62.5 |
//! | XQuAD German, odd articles | 87.9 | 5.7 | 74.7 |
//! | SQuAD 2.0, 1000 questions on other paragraphs | 86.3 | 4.2 | 37.7 |
//!
//! In the last one some 40 paragraphs are about each subject, in the others five.

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

    /// A question that the passages answer.
    const ANSWERED: Features = Features {
        sentence: 0.8,
        before: 0.8,
        around: 1.0,
        pairs: 0.5,
        named: 1.0,
        similarity: 0.6,
        passage_similarity: 0.5,
        score: 1.0,
        margin: 0.3,
        kind: 1.0,
    };

    #[test]
    fn support_grows_with_evidence_and_not_with_rank() {
        let best_of_a_bad_lot = Features { score: 1.0, kind: 1.0, similarity: 0.2, ..Default::default() };
        assert!(best_of_a_bad_lot.support() < 0.05);
        assert!(ANSWERED.support() > 0.9);
    }

    #[test]
    fn what_is_missing_costs_support() {
        let unknown_name = Features { named: 0.0, ..ANSWERED };
        let one_of_many = Features { margin: 0.0, ..ANSWERED };
        for missing in [unknown_name, one_of_many] {
            assert!(missing.support() < ANSWERED.support(), "{missing:?}");
        }
        let elsewhere =
            Features { sentence: 0.2, around: 0.3, pairs: 0.0, named: 0.4, margin: 0.1, ..ANSWERED };
        assert!(elsewhere.support() < 0.2, "{}", elsewhere.support());
    }

    #[test]
    fn a_sentence_that_goes_on_from_the_one_asked_about_ranks_before_others() {
        let follows = Features { sentence: 0.0, before: 0.6, around: 0.6, ..ANSWERED };
        let stray = Features { sentence: 0.0, before: 0.0, around: 0.6, ..ANSWERED };
        assert!(follows.score() > stray.score());
        assert!(Features { kind: 0.0, ..follows }.score() < follows.score());
    }
}
