//! How keyword and vector results of a request are joined.

use super::SearchRequest;
use crate::types::*;

/// Weight of the vector side where question and texts are in different languages: they share names and numbers only,
/// so BM25 says little.
const FOREIGN_ALPHA: f32 = 0.9;
/// A collection is foreign to a question if no more of its texts are in the question's language.
const FOREIGN_SHARE: f64 = 0.05;

/// How to join, and whether that may depend on the collection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Join {
    pub fusion: Fusion,
    /// Whether somebody chose it, rather than the embedder.
    pub chosen: bool,
}

impl Join {
    /// The request rules over the config, and that over the weight that the embedder declares.
    pub fn new(request: &SearchRequest, config: Option<Fusion>, declared: f32) -> Self {
        let chosen = |fusion| Self { fusion, chosen: true };
        match (request.fusion, request.alpha, config) {
            (Some(FusionMethod::Rrf), ..) => chosen(Fusion::Rrf),
            (_, Some(alpha), _) => chosen(Fusion::Convex { alpha }),
            (None, None, Some(fusion)) => chosen(fusion),
            (Some(FusionMethod::Convex), None, Some(Fusion::Convex { alpha })) => {
                chosen(Fusion::Convex { alpha })
            }
            _ => Self { fusion: Fusion::Convex { alpha: declared }, chosen: false },
        }
    }

    /// The same for an embedder that declares another weight.
    pub fn declared(self, alpha: f32) -> Self {
        if self.chosen { self } else { Self { fusion: Fusion::Convex { alpha }, chosen: false } }
    }

    /// For a collection that holds so many texts of each language, for a question in `language`.
    pub fn within(self, language: Option<&str>, spoken: &[(&str, u64)]) -> Fusion {
        match (self.fusion, language) {
            (Fusion::Convex { alpha }, Some(language)) if !self.chosen && is_foreign(language, spoken) => {
                Fusion::Convex { alpha: alpha.max(FOREIGN_ALPHA) }
            }
            (fusion, _) => fusion,
        }
    }
}

/// Texts of an unknown language may be in the question's.
fn is_foreign(language: &str, spoken: &[(&str, u64)]) -> bool {
    let rows = |matching: &dyn Fn(&str) -> bool| -> u64 {
        spoken.iter().filter(|(code, _)| matching(code)).map(|(_, rows)| rows).sum()
    };
    let (all, own) = (rows(&|_| true), rows(&|code| code.is_empty() || code == language));
    all > 0 && own as f64 <= all as f64 * FOREIGN_SHARE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(fusion: Option<FusionMethod>, alpha: Option<f32>, config: Option<Fusion>) -> Join {
        let scope = Scope::All;
        Join::new(&SearchRequest { fusion, alpha, ..SearchRequest::new("x", 1, scope) }, config, 0.3)
    }

    #[test]
    fn the_request_rules_over_the_config_and_that_over_the_embedder() {
        let convex = |alpha| Fusion::Convex { alpha };
        let declared = Join { fusion: convex(0.3), chosen: false };
        let chosen = |fusion| Join { fusion, chosen: true };
        assert_eq!(join(None, None, None), declared);
        assert_eq!(join(Some(FusionMethod::Convex), None, Some(Fusion::Rrf)), declared);
        assert_eq!(join(Some(FusionMethod::Convex), None, Some(convex(0.6))), chosen(convex(0.6)));
        assert_eq!(join(None, None, Some(Fusion::Rrf)), chosen(Fusion::Rrf));
        assert_eq!(join(None, Some(0.7), Some(Fusion::Rrf)), chosen(convex(0.7)));
        assert_eq!(join(Some(FusionMethod::Rrf), None, Some(convex(0.6))), chosen(Fusion::Rrf));
    }

    #[test]
    fn words_count_little_in_a_foreign_collection() {
        let declared = join(None, None, None);
        let alpha = |language, spoken: &[(&str, u64)]| match declared.within(language, spoken) {
            Fusion::Convex { alpha } => alpha,
            Fusion::Rrf => f32::NAN,
        };
        assert_eq!(alpha(Some("en"), &[("de", 99), ("en", 1)]), 0.9);
        assert_eq!(alpha(Some("en"), &[("de", 50), ("en", 50)]), 0.3);
        assert_eq!(alpha(Some("en"), &[("de", 50), ("", 50)]), 0.3);
        assert_eq!(alpha(None, &[("de", 99)]), 0.3);
        assert_eq!(alpha(Some("en"), &[]), 0.3);
        let asked = join(None, Some(0.2), None);
        assert_eq!(asked.within(Some("en"), &[("de", 9)]), Fusion::Convex { alpha: 0.2 });
    }
}
