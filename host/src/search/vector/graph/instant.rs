//! instant-distance as builder: a static HNSW whose finished graph shows through its serde form.

use instant_distance::{Heuristic, Hnsw, Point};
use serde::{Deserialize, Serialize};

use super::super::scan::Rows;
use super::Build;
use super::twins::{Nodes, nodes};
use super::words::{KeyedBuffer, ListsBuffer, write};

/// Candidates for neighbours.
const EF_CONSTRUCTION: usize = 100;
/// Share of the nodes that stand one layer higher. The package's own default, 1 / ln 32, makes many more layers.
const LAYER_SHARE: f32 = 1.0 / 32.0;
const NONE: u32 = u32::MAX;

/// A row as a point. Only its number is written out.
#[derive(Clone, Copy)]
struct Handle<'a> {
    rows: &'a Rows<'a>,
    row: u32,
}

impl Point for Handle<'_> {
    fn distance(&self, other: &Self) -> f32 {
        1.0 - self.rows.cosine_of_upper(self.row, other.row)
    }
}

impl Serialize for Handle<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.row)
    }
}

/// The finished graph as the package writes it: nodes in an order of its own, those of higher layers first.
#[derive(Deserialize)]
struct Written {
    #[allow(dead_code)]
    ef_search: usize,
    /// The row of each node.
    points: Vec<u32>,
    zero: Vec<Vec<u32>>,
    /// From layer 1 on; each holds the first nodes.
    layers: Vec<Vec<Vec<u32>>>,
}

/// Builds the edges, on all cores and without a pause: the package knows neither. `None` if cancelled before or after, or
/// where the package's form is not the one we know.
pub(super) fn build(build: &Build<'_>) -> Option<Vec<u32>> {
    let Nodes { is_node, twins } = nodes(build.rows);
    let rows = (0..build.rows.len() as u32).filter(|row| is_node[*row as usize]);
    let points = rows.map(|row| Handle { rows: &build.rows, row }).collect();
    // The other options would cost much: `keep_pruned` makes building five times slower, `extend_candidates` deadlocks.
    let heuristic = Heuristic { extend_candidates: false, keep_pruned: false };
    let builder = instant_distance::Builder::default().seed(build.seed).ml(LAYER_SHARE);
    let builder = builder.ef_construction(EF_CONSTRUCTION).select_heuristic(Some(heuristic));
    if build.is_cancelled() {
        return None;
    }
    let (graph, _) = builder.build_hnsw(points);
    let written = read(&graph).filter(|_| !build.is_cancelled())?;
    Some(convert(&written, build.rows.len(), &twins))
}

fn read(graph: &Hnsw<Handle<'_>>) -> Option<Written> {
    let bytes = rmp_serde::to_vec(graph).ok()?;
    rmp_serde::from_slice(&bytes).ok()
}

/// The same graph in words, with rows for nodes.
fn convert(written: &Written, rows: usize, twins: &KeyedBuffer) -> Vec<u32> {
    let mut node_of = vec![None; rows];
    for (node, row) in written.points.iter().enumerate() {
        if let Some(slot) = node_of.get_mut(*row as usize) {
            *slot = Some(node);
        }
    }
    let neighbours = |list: &[u32]| -> Vec<u32> {
        let nodes = list.iter().take_while(|node| **node != NONE);
        nodes.filter_map(|node| written.points.get(*node as usize).copied()).collect()
    };
    let mut zero = ListsBuffer::default();
    let mut layers: Vec<KeyedBuffer> = written.layers.iter().map(|_| KeyedBuffer::default()).collect();
    for (row, node) in node_of.iter().enumerate() {
        let list = node.and_then(|node| written.zero.get(node));
        zero.push(list.map(|list| neighbours(list)).unwrap_or_default());
        for (layer, keyed) in written.layers.iter().zip(&mut layers) {
            if let Some(list) = node.and_then(|node| layer.get(node)) {
                keyed.push(row as u32, neighbours(list));
            }
        }
    }
    let layers: Vec<_> = layers.iter().map(KeyedBuffer::borrow).collect();
    write(written.points.first().copied(), zero.borrow(), &layers, twins.borrow())
}
