//! A graph as flat words, in memory or in a mapped file.
//!
//! Ten words of header: magic, rows, entry, edges of layer 0, upper layers, groups of equal rows, their rows, 0, 0, 0. Then
//! two words (nodes, edges) for each upper layer. Then layer 0 as offsets and neighbours, each upper layer from the lowest as
//! nodes, offsets and neighbours, and the equal rows as groups, offsets and rows. Neighbours are rows on every layer.

use super::walk::Links;
use crate::search::vector::prefetch::{LINE, prefetch};

const MAGIC: u32 = u32::from_le_bytes(*b"SRG1");
const HEADER: usize = 10;
/// The entry of a graph without nodes.
const NOWHERE: u32 = u32::MAX;
/// Sixteen times fewer nodes on each: enough for all rows that 32 bits can count.
pub(super) const LAYERS_MAX: usize = 8;

/// Lists of rows, one after the other: list `i` ends where list `i + 1` begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lists<'a> {
    pub offsets: &'a [u32],
    pub items: &'a [u32],
}

/// Lists of some rows, in ascending order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keyed<'a> {
    pub keys: &'a [u32],
    pub lists: Lists<'a>,
}

/// A finished graph over the rows of a segment.
///
/// Equal rows are one node, the first of them: a crowd of copies would otherwise choose only each other for neighbours.
#[derive(Clone, Copy, Debug)]
pub struct Graph<'a> {
    rows: usize,
    pub(super) entry: Option<u32>,
    pub(super) zero: Lists<'a>,
    /// From layer 1 on.
    layers: [Keyed<'a>; LAYERS_MAX],
    height: usize,
    pub(super) twins: Keyed<'a>,
}

impl<'a> Lists<'a> {
    pub fn of(&self, at: usize) -> &'a [u32] {
        let bounds = self.offsets.get(at).zip(self.offsets.get(at + 1));
        bounds.and_then(|(from, to)| self.items.get(*from as usize..*to as usize)).unwrap_or_default()
    }

    fn is_sound(&self, rows: usize) -> bool {
        self.offsets.first() == Some(&0)
            && self.offsets.is_sorted()
            && self.offsets.last().is_some_and(|end| *end as usize == self.items.len())
            && self.items.iter().all(|row| (*row as usize) < rows)
    }
}

impl<'a> Keyed<'a> {
    pub fn of(&self, row: u32) -> &'a [u32] {
        self.keys.binary_search(&row).map_or(&[], |at| self.lists.of(at))
    }

    fn is_sound(&self, rows: usize) -> bool {
        self.keys.is_sorted_by(|a, b| a < b)
            && self.keys.last().is_none_or(|last| (*last as usize) < rows)
            && self.lists.is_sound(rows)
    }
}

impl Links for Lists<'_> {
    fn read(&self, node: u32, into: &mut Vec<u32>) {
        into.extend_from_slice(self.of(node as usize));
    }

    fn prefetch(&self, node: u32) {
        let Some(from) = self.offsets.get(node as usize) else { return };
        let step = LINE / size_of::<u32>();
        (0..2).for_each(|line| prefetch(self.items, *from as usize + line * step));
    }
}

impl Links for Keyed<'_> {
    fn read(&self, node: u32, into: &mut Vec<u32>) {
        into.extend_from_slice(self.of(node));
    }

    fn prefetch(&self, _node: u32) {}
}

/// Cuts sections off the front.
struct Sections<'a>(&'a [u32]);

impl<'a> Sections<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u32]> {
        let (section, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(section)
    }

    fn lists(&mut self, count: usize, items: usize) -> Option<Lists<'a>> {
        Some(Lists { offsets: self.take(count.checked_add(1)?)?, items: self.take(items)? })
    }

    fn keyed(&mut self, count: usize, items: usize) -> Option<Keyed<'a>> {
        Some(Keyed { keys: self.take(count)?, lists: self.lists(count, items)? })
    }
}

impl<'a> Graph<'a> {
    /// Reads the header only, so it is cheap enough for every search. `None` unless the words are those of a graph over so
    /// many rows.
    pub fn read(words: &'a [u32], rows: usize) -> Option<Self> {
        let mut sections = Sections(words);
        let header = sections.take(HEADER)?;
        let [edges, height, groups, twins] = [3, 4, 5, 6].map(|at| header[at] as usize);
        if header[0] != MAGIC || header[1] as usize != rows || height > LAYERS_MAX {
            return None;
        }
        let sizes = sections.take(height * 2)?;
        let zero = sections.lists(rows, edges)?;
        let mut layers = [Keyed::default(); LAYERS_MAX];
        for (layer, size) in layers.iter_mut().zip(sizes.chunks_exact(2)) {
            *layer = sections.keyed(size[0] as usize, size[1] as usize)?;
        }
        let twins = sections.keyed(groups, twins)?;
        let entry = (header[2] != NOWHERE).then_some(header[2]);
        sections.0.is_empty().then_some(Self { rows, entry, zero, layers, height, twins })
    }

    /// Reads everything: rows are in range, lists in order. A search on unchecked words may miss rows but does not panic.
    pub fn check(&self) -> bool {
        self.entry.is_none_or(|entry| (entry as usize) < self.rows)
            && self.zero.is_sound(self.rows)
            && self.layers().iter().all(|layer| layer.is_sound(self.rows))
            && self.twins.is_sound(self.rows)
    }

    /// Rows that the graph was built over, whether they are nodes or not.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The layers above layer 0, from the lowest.
    pub(super) fn layers(&self) -> &[Keyed<'a>] {
        &self.layers[..self.height]
    }

    /// The same with more edges on layer 0, each `(from, to)`, in ascending order.
    pub(super) fn with_edges(&self, edges: &[(u32, u32)]) -> Vec<u32> {
        let mut zero = ListsBuffer::default();
        let mut edges = edges.iter().peekable();
        for row in 0..self.rows {
            zero.items.extend_from_slice(self.zero.of(row));
            while let Some((_, to)) = edges.next_if(|(from, _)| *from as usize == row) {
                zero.items.push(*to);
            }
            zero.end();
        }
        write(self.entry, zero.borrow(), self.layers(), self.twins)
    }
}

/// Lists that grow.
#[derive(Debug)]
pub(super) struct ListsBuffer {
    offsets: Vec<u32>,
    pub items: Vec<u32>,
}

impl Default for ListsBuffer {
    fn default() -> Self {
        Self { offsets: vec![0], items: Vec::new() }
    }
}

impl ListsBuffer {
    /// Ends the list that was appended to `items`.
    pub fn end(&mut self) {
        self.offsets.push(self.items.len() as u32);
    }

    pub fn push(&mut self, list: impl IntoIterator<Item = u32>) {
        self.items.extend(list);
        self.end();
    }

    pub fn borrow(&self) -> Lists<'_> {
        Lists { offsets: &self.offsets, items: &self.items }
    }
}

/// Lists of some rows that grow.
#[derive(Debug, Default)]
pub(super) struct KeyedBuffer {
    keys: Vec<u32>,
    lists: ListsBuffer,
}

impl KeyedBuffer {
    /// Appends a list; keys come in ascending order.
    pub fn push(&mut self, key: u32, list: impl IntoIterator<Item = u32>) {
        self.keys.push(key);
        self.lists.push(list);
    }

    pub fn borrow(&self) -> Keyed<'_> {
        Keyed { keys: &self.keys, lists: self.lists.borrow() }
    }
}

/// Puts the sections together.
pub(super) fn write(entry: Option<u32>, zero: Lists<'_>, layers: &[Keyed<'_>], twins: Keyed<'_>) -> Vec<u32> {
    let length = |section: &[u32]| section.len() as u32;
    let rows = length(zero.offsets) - 1;
    let mut words = vec![MAGIC, rows, entry.unwrap_or(NOWHERE), length(zero.items), layers.len() as u32];
    words.extend([length(twins.keys), length(twins.lists.items), 0, 0, 0]);
    layers.iter().for_each(|layer| words.extend([length(layer.keys), length(layer.lists.items)]));
    words.extend_from_slice(zero.offsets);
    words.extend_from_slice(zero.items);
    for keyed in layers.iter().chain([&twins]) {
        words.extend_from_slice(keyed.keys);
        words.extend_from_slice(keyed.lists.offsets);
        words.extend_from_slice(keyed.lists.items);
    }
    words
}
