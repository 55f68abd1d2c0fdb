//! What is measured, and the figures that come of it.

use serde::Serialize;

use crate::cli::collection::JudgedQuery;
use crate::search::eval::{Estimate, Metrics, bootstrap, metrics};
use crate::wire::{FusionMethod, SearchBody, SearchMode};

/// Chunks asked for; documents are ranked by their best chunk.
pub(super) const CHUNKS: u32 = 100;
/// Depth of nDCG and MRR.
const DEPTH: usize = 10;
/// Resamples and seed of the bootstrap.
const RESAMPLES: usize = 1000;
const SEED: u64 = 7;

/// A way to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Variant {
    pub mode: SearchMode,
    pub fusion: Option<FusionMethod>,
    pub alpha: Option<f32>,
}

impl Variant {
    /// Each mode as configured, the keyword one first; with weights, hybrid at each of them and by reciprocal ranks.
    pub fn all(alphas: &[f32]) -> Vec<Self> {
        let plain = |mode| Self { mode, fusion: None, alpha: None };
        let hybrid = |fusion, alpha| Self { mode: SearchMode::Hybrid, fusion: Some(fusion), alpha };
        let mut all = vec![plain(SearchMode::Keyword), plain(SearchMode::Vector), plain(SearchMode::Hybrid)];
        all.extend(alphas.iter().map(|alpha| hybrid(FusionMethod::Convex, Some(*alpha))));
        all.extend((!alphas.is_empty()).then(|| hybrid(FusionMethod::Rrf, None)));
        all
    }

    pub fn name(&self) -> String {
        match (self.mode, self.alpha, self.fusion) {
            (SearchMode::Keyword, ..) => "keyword".into(),
            (SearchMode::Vector, ..) => "vector".into(),
            (_, Some(alpha), _) => format!("hybrid {alpha}"),
            (_, _, Some(FusionMethod::Rrf)) => "hybrid rrf".into(),
            _ => "hybrid".into(),
        }
    }

    /// The search that it means.
    pub fn body(&self, query: &str) -> SearchBody {
        let Self { mode, fusion, alpha } = *self;
        SearchBody { top_k: CHUNKS, mode, fusion, alpha, ..SearchBody::new(query) }
    }
}

/// A line of the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Measured {
    pub set: String,
    pub documents: usize,
    pub queries: usize,
    /// `keyword`, `vector`, `hybrid` as configured, `hybrid <weight>` or `hybrid rrf`.
    pub mode: String,
    pub ndcg_at_10: f64,
    /// 95 % interval by bootstrap over queries.
    pub ndcg_low: f64,
    pub ndcg_high: f64,
    pub recall_at_10: f64,
    pub recall_at_100: f64,
    pub mrr_at_10: f64,
    /// nDCG@10 less that of keyword search, question by question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versus_keyword: Option<Difference>,
}

/// A mean difference with its 95 % interval by paired bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub(super) struct Difference {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// Asks every question in every way. `rank` gives ids of documents, best first; the first variant is what the others
/// are compared with.
pub(super) fn measure(
    set: &str,
    documents: usize,
    queries: &[JudgedQuery],
    variants: &[Variant],
    mut rank: impl FnMut(&JudgedQuery, &Variant) -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<Vec<Measured>> {
    let mut base: Option<Vec<f64>> = None;
    let mut rows = Vec::with_capacity(variants.len());
    for variant in variants {
        eprintln!("{set}: {} queries, {}", queries.len(), variant.name());
        let mut found = Vec::with_capacity(queries.len());
        for query in queries {
            let ranking = rank(query, variant)?;
            let at = |k| metrics(&ranking, &query.judgements, k);
            found.extend(at(DEPTH).zip(at(CHUNKS as usize)));
        }
        let values: Vec<f64> = found.iter().map(|(shallow, _)| shallow.ndcg).collect();
        let versus_keyword = base.as_ref().map(|base| difference(&values, base));
        rows.push(row(set, documents, variant, &found, &values, versus_keyword));
        base.get_or_insert(values);
    }
    Ok(rows)
}

fn row(
    set: &str,
    documents: usize,
    variant: &Variant,
    found: &[(Metrics, Metrics)],
    values: &[f64],
    versus_keyword: Option<Difference>,
) -> Measured {
    let Estimate { mean, low, high } = bootstrap(values, RESAMPLES, SEED);
    let average = |value: fn(&(Metrics, Metrics)) -> f64| {
        found.iter().map(value).sum::<f64>() / found.len().max(1) as f64
    };
    Measured {
        set: set.to_owned(),
        documents,
        queries: found.len(),
        mode: variant.name(),
        ndcg_at_10: mean,
        ndcg_low: low,
        ndcg_high: high,
        recall_at_10: average(|(shallow, _)| shallow.recall),
        recall_at_100: average(|(_, deep)| deep.recall),
        mrr_at_10: average(|(shallow, _)| shallow.reciprocal_rank),
        versus_keyword,
    }
}

/// Both measured on the same questions, in the same order.
fn difference(values: &[f64], base: &[f64]) -> Difference {
    let differences: Vec<f64> = values.iter().zip(base).map(|(value, base)| value - base).collect();
    let Estimate { mean, low, high } = bootstrap(&differences, RESAMPLES, SEED);
    Difference { mean, low, high }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_sweep_adds_every_weight_and_rrf() {
        let names = |alphas: &[f32]| Variant::all(alphas).iter().map(Variant::name).collect::<Vec<_>>();
        assert_eq!(names(&[]), ["keyword", "vector", "hybrid"]);
        assert_eq!(names(&[0.0, 0.5])[3..], ["hybrid 0", "hybrid 0.5", "hybrid rrf"]);
    }

    #[test]
    fn differences_are_paired() {
        let query = |id: &str| JudgedQuery { text: id.into(), judgements: HashMap::from([(id.into(), 1)]) };
        let queries = [query("a"), query("b")];
        // The hybrid ranking finds what the keyword one does, and in one of two cases it stands higher.
        let rank = |query: &JudgedQuery, variant: &Variant| {
            let first = query.text == "a" || variant.mode != SearchMode::Keyword;
            let mut ranking = vec![query.text.clone(), "other".to_owned()];
            if !first {
                ranking.reverse();
            }
            Ok(ranking)
        };
        let rows = measure("s", 2, &queries, &Variant::all(&[]), rank).unwrap();
        let second = 1.0 / 3f64.log2();
        assert!((rows[0].ndcg_at_10 - (1.0 + second) / 2.0).abs() < 1e-12);
        assert_eq!((rows[0].versus_keyword, rows[2].ndcg_at_10, rows[2].recall_at_10), (None, 1.0, 1.0));
        let versus = rows[2].versus_keyword.unwrap();
        assert!((versus.mean - (1.0 - second) / 2.0).abs() < 1e-12);
        assert!(versus.low >= 0.0 && versus.high <= 1.0 - second + 1e-12);
    }
}
