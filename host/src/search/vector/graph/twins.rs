//! Equal rows.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::scan::Rows;
use super::words::KeyedBuffer;

/// Which rows become nodes.
pub(super) struct Nodes {
    /// Whether each row does: it has a direction and no earlier row is equal.
    pub is_node: Vec<bool>,
    /// The later rows that equal a node.
    pub twins: KeyedBuffer,
}

/// Finds equal rows by their hashes. Rows count as equal when they have the same upper half and step: a search can't tell
/// them apart before it rescores them.
pub(super) fn nodes(rows: Rows<'_>) -> Nodes {
    let mut is_node: Vec<bool> = (0..rows.len()).map(|row| rows.is_found(row)).collect();
    let mut hashed: Vec<(u64, u32)> = (0..rows.len() as u32)
        .filter(|row| is_node[*row as usize])
        .map(|row| (hash(content(rows, row)), row))
        .collect();
    hashed.sort_unstable();
    let mut groups = Vec::new();
    for same in hashed.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
        let (first, others) = (same[0].1, &same[1..]);
        let equal = others.iter().map(|(_, row)| *row);
        let equal: Vec<u32> = equal.filter(|row| content(rows, *row) == content(rows, first)).collect();
        equal.iter().for_each(|row| is_node[*row as usize] = false);
        groups.push((first, equal));
    }
    groups.sort_unstable();
    let mut twins = KeyedBuffer::default();
    groups
        .into_iter()
        .filter(|(_, equal)| !equal.is_empty())
        .for_each(|(first, equal)| twins.push(first, equal));
    Nodes { is_node, twins }
}

fn content<'a>(rows: Rows<'a>, row: u32) -> (&'a [i8], u32) {
    let row = row as usize;
    (&rows.upper[row * rows.dimension..(row + 1) * rows.dimension], rows.steps[row].to_bits())
}

fn hash(content: (&[i8], u32)) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}
