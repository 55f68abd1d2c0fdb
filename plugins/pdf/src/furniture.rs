//! Headers and footers: what stands in the same place at the edge of several pages.

use crate::lines::Segment;
use crate::page::{Direction, PageText};
use std::collections::{BTreeMap, HashMap};

/// Share of the page's height, at each end, in which furniture stands.
const EDGE: f32 = 0.2;
/// Rows at each end that may be furniture.
const ROWS: usize = 3;
/// Points by which it may move from page to page.
const DRIFT: f32 = 4.0;
/// Distance of furniture from the text at least, in ems.
const GAP_MIN: f32 = 1.6;
/// The same for a page number that only looks like one.
const GAP_MIN_OF_NUMBER: f32 = 2.2;
/// Share of the page's height, at each end, in which a lone number is a page number.
const NUMBER_EDGE: f32 = 0.12;

/// Which end of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Header.
    Top,
    /// Footer.
    Bottom,
}

#[derive(Debug)]
struct EdgeText {
    edge: Edge,
    y: f32,
    signature: String,
}

/// The edges of the pages seen so far.
#[derive(Debug, Default)]
pub struct Furniture {
    pages: BTreeMap<u32, Vec<EdgeText>>,
}

impl Furniture {
    /// Whether the page was learnt.
    pub fn knows(&self, number: u32) -> bool {
        self.pages.contains_key(&number)
    }

    /// Learns the edges of a page.
    pub fn learn(&mut self, number: u32, page: &PageText) {
        let Some(main) = page.directions.first() else { return };
        let mut texts = Vec::new();
        for edge in [Edge::Top, Edge::Bottom] {
            for index in edge_rows(&main.segments, page, edge).into_iter().take(ROWS).flatten() {
                let segment = &main.segments[index];
                texts.push(EdgeText { edge, y: segment.baseline, signature: signature(&segment.text) });
            }
        }
        self.pages.insert(number, texts);
    }

    /// Indices of the segments of the page's main direction that are furniture: the outermost rows, as long as
    /// each holds something that is, and a gap parts them from the text.
    pub fn find(&self, number: u32, page: &PageText) -> HashMap<usize, Edge> {
        let Some(main) = page.directions.first() else { return HashMap::new() };
        let mut found = HashMap::new();
        for edge in [Edge::Top, Edge::Bottom] {
            let rows = edge_rows(&main.segments, page, edge);
            let mut certain = 0;
            for (depth, row) in rows.iter().enumerate().take(ROWS) {
                let segments = || row.iter().map(|&i| &main.segments[i]);
                let marked = segments().all(|s| s.artifact);
                let repeated = segments().any(|s| self.repeats(number, edge, s));
                let numbered = depth == 0 && segments().any(|s| is_page_number(s, page));
                if !(marked || repeated || numbered) {
                    break;
                }
                // A number alone proves less than repetition.
                let gap = if repeated { GAP_MIN } else { GAP_MIN_OF_NUMBER };
                if marked || rows.get(depth + 1).is_none_or(|next| apart(&main.segments, row, next, gap)) {
                    certain = depth + 1;
                }
            }
            found.extend(rows[..certain].iter().flatten().map(|&i| (i, edge)));
            let marked = (0..main.segments.len())
                .filter(|&i| main.segments[i].artifact && end_of(i, main, page) == edge);
            found.extend(marked.map(|i| (i, edge)));
        }
        found
    }

    fn repeats(&self, number: u32, edge: Edge, segment: &Segment) -> bool {
        let signature = signature(&segment.text);
        let near = self.pages.range(number.saturating_sub(8)..=number.saturating_add(8));
        near.filter(|(other, _)| **other != number).any(|(_, texts)| {
            texts.iter().any(|t| {
                t.edge == edge && (t.y - segment.baseline).abs() <= DRIFT && t.signature == signature
            })
        })
    }
}

/// The rows near one end of the page, the outermost first, and one more.
fn edge_rows(segments: &[Segment], page: &PageText, edge: Edge) -> Vec<Vec<usize>> {
    let (top, bottom) = extent(segments, page);
    let inwards = |i: &usize| match edge {
        Edge::Top => segments[*i].baseline - top,
        Edge::Bottom => bottom - segments[*i].baseline,
    };
    let mut order: Vec<usize> = (0..segments.len()).collect();
    order.sort_by(|a, b| inwards(a).total_cmp(&inwards(b)));
    let same = |a: &usize, b: &usize| inwards(b) - inwards(a) <= 0.4 * segments[*a].size;
    let inside = |row: &&[usize]| inwards(&row[0]) <= EDGE * (bottom - top);
    let rows: Vec<&[usize]> = order.chunk_by(same).collect();
    let near = rows.iter().take_while(|row| inside(row)).count().min(ROWS);
    rows[..rows.len().min(near + 1)].iter().map(|row| row.to_vec()).collect()
}

/// Whether two rows are more than `gap` ems apart.
fn apart(segments: &[Segment], row: &[usize], next: &[usize], gap: f32) -> bool {
    let (a, b) = (&segments[row[0]], &segments[next[0]]);
    (a.baseline - b.baseline).abs() > gap * a.size.max(b.size)
}

fn end_of(index: usize, main: &Direction, page: &PageText) -> Edge {
    let (top, bottom) = extent(&main.segments, page);
    if main.segments[index].baseline * 2.0 < top + bottom { Edge::Top } else { Edge::Bottom }
}

/// Of the page, in reading coordinates of its main direction.
fn extent(segments: &[Segment], page: &PageText) -> (f32, f32) {
    let turned = page
        .directions
        .first()
        .map(|d| d.turn.rect(&crate::geometry::Rect { x0: 0.0, y0: 0.0, x1: page.width, y1: page.height }));
    match turned {
        Some(r) if !segments.is_empty() => (r.y0, r.y1),
        _ => (0.0, page.height),
    }
}

/// Numbers change from page to page.
fn signature(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(200) {
        match c {
            c if c.is_numeric() && out.ends_with('#') => {}
            c if c.is_numeric() => out.push('#'),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

fn is_page_number(segment: &Segment, page: &PageText) -> bool {
    let (top, bottom) = extent(std::slice::from_ref(segment), page);
    let margin = NUMBER_EDGE * (bottom - top);
    if segment.baseline - top > margin && bottom - segment.baseline > margin {
        return false;
    }
    let bare = segment.text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let words: Vec<&str> = bare.split_whitespace().filter(|w| w.chars().any(char::is_alphanumeric)).collect();
    let is_number = |w: &str| w.len() <= 4 && w.bytes().all(|b| b.is_ascii_digit());
    let is_roman = |w: &str| w.len() <= 7 && w.bytes().all(|b| b"ivxlc".contains(&b));
    match words.as_slice() {
        [number] => is_number(number) || is_roman(number),
        ["page" | "seite" | "p" | "s", number] => is_number(number),
        [number, "of" | "von" | "/", total] | ["page" | "seite", number, "of" | "von", total] => {
            is_number(number) && is_number(total)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_ignore_numbers_and_case() {
        assert_eq!(signature("Page 12 of 340"), signature("PAGE 1 OF 2"));
        assert_ne!(signature("Chapter A"), signature("Chapter B"));
    }
}
