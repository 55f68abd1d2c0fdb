//! Every row must find itself. The choice of neighbours and races of insertions leave a few rows that none leads to: they
//! get further edges from the rows that their own search ends at.

use super::super::scan::{Probe, Rows};
use super::walk::{Scratch, score};
use super::words::Graph;
use super::{Build, EF};

/// A row that a narrow search finds, a wider one finds as well: it goes the same way, and further.
const NARROW: usize = 12;
/// Rows that get an edge to one that was missed, in the first round.
const SOURCES: usize = 2;
const ROUNDS: usize = 8;

/// Adds edges until every row finds itself and every node is reached. `None` if cancelled.
pub(super) fn repair(mut words: Vec<u32>, build: &Build<'_>) -> Option<Vec<u32>> {
    for round in 0..ROUNDS {
        let Some(graph) = Graph::read(&words, build.rows.len()) else { return Some(words) };
        let edges = edges_to_missing(&graph, build, SOURCES << round)?;
        if edges.is_empty() {
            break;
        }
        tracing::debug!(round, edges = edges.len(), "edges to rows that did not find themselves");
        words = graph.with_edges(&edges);
    }
    let Some(graph) = Graph::read(&words, build.rows.len()) else { return Some(words) };
    let edges = edges_to_unreached(&graph, build.rows);
    Some(if edges.is_empty() { words } else { graph.with_edges(&edges) })
}

/// Edges to the rows that do not find themselves.
fn edges_to_missing(graph: &Graph<'_>, build: &Build<'_>, sources: usize) -> Option<Vec<(u32, u32)>> {
    let is_twin = twins(graph);
    let state = || (Scratch::default(), Vec::new());
    let found = build.on_all_threads(graph.rows(), state, |(scratch, edges), row| {
        let row = row as u32;
        let is_missed = !is_twin[row as usize] && !finds_itself(graph, build.rows, row, scratch);
        if is_missed {
            edges.extend(edges_to(graph, build.rows, row, sources, scratch));
        }
    })?;
    let mut edges: Vec<_> = found.into_iter().flat_map(|(_, edges)| edges).collect();
    edges.sort_unstable();
    Some(edges)
}

/// Edges to the nodes that no way leads to: rows in such a crowd that their own search ends before it comes to them.
fn edges_to_unreached(graph: &Graph<'_>, rows: Rows<'_>) -> Vec<(u32, u32)> {
    let mut scratch = Scratch::default();
    let unreached = unreached(graph, rows).into_iter();
    let mut edges: Vec<_> =
        unreached.flat_map(|row| edges_to(graph, rows, row, SOURCES, &mut scratch)).collect();
    edges.sort_unstable();
    edges
}

fn twins(graph: &Graph<'_>) -> Vec<bool> {
    let mut is_twin = vec![false; graph.rows()];
    graph.twins.lists.items.iter().for_each(|row| is_twin[*row as usize] = true);
    is_twin
}

/// Whether a search at the usual width returns the row itself. True for one without direction, and where so many others are
/// as near that they leave no place for it.
fn finds_itself(graph: &Graph<'_>, rows: Rows<'_>, row: u32, scratch: &mut Scratch) -> bool {
    let Some(probe) = Probe::of_row(rows, row as usize) else { return true };
    let own = score(rows, &probe, row).score();
    [NARROW, EF].into_iter().any(|ef| {
        let found = graph.search(rows, &probe, ef, usize::MAX, |_| true, scratch).unwrap_or_default();
        let is_crowded = ef == EF && found.len() >= ef && found.last().is_some_and(|last| last.0 >= own);
        is_crowded || found.iter().any(|(_, other)| *other == row)
    })
}

/// Edges to a row from the nodes that the search for it ends at.
fn edges_to(
    graph: &Graph<'_>,
    rows: Rows<'_>,
    row: u32,
    sources: usize,
    scratch: &mut Scratch,
) -> Vec<(u32, u32)> {
    let Some(probe) = Probe::of_row(rows, row as usize) else { return Vec::new() };
    let found =
        graph.search(rows, &probe, EF.max(sources), usize::MAX, |_| true, scratch).unwrap_or_default();
    // Equal rows come after their node; only the node has edges.
    let nodes = found.into_iter().filter(|(_, from)| !graph.zero.of(*from as usize).is_empty());
    nodes.take(sources).map(|(_, from)| (from, row)).collect()
}

/// The nodes that no way leads to from the entry.
pub(super) fn unreached(graph: &Graph<'_>, rows: Rows<'_>) -> Vec<u32> {
    let mut is_reached: Vec<bool> = (0..rows.len()).map(|row| !rows.is_found(row)).collect();
    graph.twins.lists.items.iter().for_each(|twin| is_reached[*twin as usize] = true);
    let mut open: Vec<u32> = graph.entry.into_iter().collect();
    while let Some(row) = open.pop() {
        if !std::mem::replace(&mut is_reached[row as usize], true) {
            open.extend(graph.zero.of(row as usize));
            graph.layers().iter().for_each(|layer| open.extend(layer.of(row)));
        }
    }
    let missed = is_reached.iter().zip(0..).filter(|(reached, _)| !**reached);
    missed.map(|(_, row)| row).collect()
}

#[cfg(test)]
pub(super) fn rows_that_miss_themselves(graph: &Graph<'_>, build: &Build<'_>) -> usize {
    edges_to_missing(graph, build, 1).map_or(usize::MAX, |edges| edges.len())
}
