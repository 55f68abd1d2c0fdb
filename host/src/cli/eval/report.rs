use super::judged::{Difference, Measured};
use crate::cli::output::Table;

pub(super) fn table(measured: &[Measured]) -> Table {
    let mut table = Table::new([
        "set",
        "documents",
        "queries",
        "mode",
        "nDCG@10",
        "95 %",
        "recall@10",
        "recall@100",
        "MRR@10",
        "nDCG@10 - keyword",
    ]);
    for row in measured {
        table.row([
            row.set.clone(),
            row.documents.to_string(),
            row.queries.to_string(),
            row.mode.clone(),
            format!("{:.3}", row.ndcg_at_10),
            format!("{:.3}-{:.3}", row.ndcg_low, row.ndcg_high),
            format!("{:.3}", row.recall_at_10),
            format!("{:.3}", row.recall_at_100),
            format!("{:.3}", row.mrr_at_10),
            row.versus_keyword.map(shown).unwrap_or_default(),
        ]);
    }
    table
}

/// `+0.018 (+0.004 to +0.032)`
fn shown(difference: Difference) -> String {
    format!("{:+.3} ({:+.3} to {:+.3})", difference.mean, difference.low, difference.high)
}
