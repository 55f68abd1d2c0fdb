//! Puts similarities on a scale that does not depend on the embedder.

use smartrag_sdk::generator::Passage;

/// Similarities that tell what an unrelated sentence gets, at least.
const KNOWN_MIN: usize = 4;
/// Similarities that differ less tell nothing.
const SPREAD_MIN: f32 = 0.01;
/// What counts where nothing can be compared: between the means of the questions that the fit had with and without an
/// answer.
const NEUTRAL: f32 = 0.4;

/// Where the similarities of a result begin. One embedder gives unrelated texts a cosine of 0, another one 0.7: what
/// counts is how far above the least similar sentence one stands, as a share of the way to 1. That is the same for
/// all embedders whose cosines differ by a linear map that keeps 1.
pub struct Scale(Option<f32>);

impl Scale {
    /// By all sentences of the passages.
    pub fn of(passages: &[Passage]) -> Self {
        let sentences = passages.iter().flat_map(|passage| &passage.sentences);
        let known: Vec<f32> = sentences.filter_map(|sentence| sentence.similarity).collect();
        let floor = known.iter().copied().fold(f32::INFINITY, f32::min);
        let top = known.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Self(Some(floor).filter(|floor| known.len() >= KNOWN_MIN && top - floor > SPREAD_MIN && *floor < 1.0))
    }

    /// 0 for the least similar sentence, 1 for the question itself.
    pub fn place(&self, similarity: Option<f32>) -> f32 {
        match (similarity, self.0) {
            (Some(similarity), Some(floor)) if similarity.is_finite() => {
                ((similarity - floor) / (1.0 - floor)).clamp(0.0, 1.0)
            }
            _ => NEUTRAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use smartrag_sdk::Span;
    use smartrag_sdk::generator::Sentence;

    use super::*;

    fn passage(similarities: &[f32]) -> Passage {
        let sentence =
            |similarity: &f32| Sentence { span: Span { start: 0, end: 0 }, similarity: Some(*similarity) };
        Passage {
            citation: 1,
            text: String::new(),
            title: String::new(),
            heading_path: vec![],
            language: None,
            score: 1.0,
            similarity: None,
            sentences: similarities.iter().map(sentence).collect(),
        }
    }

    #[test]
    fn embedders_with_narrow_cosines_are_read_alike() {
        let wide = [0.05, 0.2, 0.6, 0.3];
        let narrow = wide.map(|similarity| 0.7 + 0.3 * similarity);
        let (wide_scale, narrow_scale) = (Scale::of(&[passage(&wide)]), Scale::of(&[passage(&narrow)]));
        for (wide, narrow) in wide.into_iter().zip(narrow) {
            let places = (wide_scale.place(Some(wide)), narrow_scale.place(Some(narrow)));
            assert!((places.0 - places.1).abs() < 1e-4, "{places:?}");
        }
        assert_eq!(wide_scale.place(Some(0.05)), 0.0);
        assert!(wide_scale.place(Some(0.6)) > 0.5);
    }

    #[test]
    fn what_cannot_be_compared_is_neutral() {
        for few in [&[][..], &[0.9], &[0.5; 9], &[f32::NAN; 9]] {
            assert_eq!(Scale::of(&[passage(few)]).place(Some(0.9)), NEUTRAL, "{few:?}");
        }
        assert_eq!(Scale::of(&[passage(&[0.1, 0.2, 0.3, 0.4])]).place(None), NEUTRAL);
        assert_eq!(Scale::of(&[passage(&[0.1, 0.2, 0.3, 0.4])]).place(Some(f32::NAN)), NEUTRAL);
    }
}
