//! Which of the rows nearby become neighbours.

use super::super::scan::Rows;
use super::walk::Scored;

/// Takes candidates, best first, unless one that was taken stands for them: so edges lead into all directions (algorithm 4
/// of Malkov & Yashunin, 2018, without its options). DiskANN's slack (α of 1.1 or 1.2, Subramanya et al., 2019) brought longer lists and nothing else.
pub(super) fn select(rows: Rows<'_>, candidates: &[Scored], limit: usize, chosen: &mut Vec<u32>) {
    chosen.clear();
    for candidate in candidates {
        if chosen.len() >= limit {
            break;
        }
        if !rows.is_nearer_to_any(candidate.row(), chosen, candidate.score()) {
            chosen.push(candidate.row());
        }
    }
}
