//! Headers and footers: what stands in the same place at the edge of several pages.

use crate::lines::Segment;
use crate::page::PageText;
use std::collections::{BTreeMap, HashMap};

/// Share of the page's height, at each end, in which furniture stands.
const EDGE: f32 = 0.2;
/// Rows at each end that may be furniture.
const ROWS: usize = 3;
/// Points by which it may move from page to page.
const DRIFT: f32 = 4.0;
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
        let texts = edges(&main.segments, page)
            .into_iter()
            .map(|(index, edge, _)| {
                let segment = &main.segments[index];
                EdgeText { edge, y: segment.baseline, signature: signature(&segment.text) }
            })
            .collect();
        self.pages.insert(number, texts);
    }

    /// Indices of the segments of the page's main direction that are furniture.
    pub fn find(&self, number: u32, page: &PageText) -> HashMap<usize, Edge> {
        let Some(main) = page.directions.first() else { return HashMap::new() };
        let mut found = HashMap::new();
        for (index, edge, row) in edges(&main.segments, page) {
            let segment = &main.segments[index];
            if segment.artifact
                || (row == 0 && is_page_number(segment, page))
                || self.repeats(number, edge, segment)
            {
                found.insert(index, edge);
            }
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

/// Index, end and row (counted from the end) of the segments near both ends of the page.
fn edges(segments: &[Segment], page: &PageText) -> Vec<(usize, Edge, usize)> {
    let (top, bottom) = extent(segments, page);
    let height = bottom - top;
    let mut order: Vec<usize> = (0..segments.len()).collect();
    order.sort_by(|&a, &b| segments[a].baseline.total_cmp(&segments[b].baseline));
    let mut found = Vec::new();
    let mut collect = |order: &mut dyn Iterator<Item = usize>, edge: Edge| {
        let (mut row, mut last) = (0, None);
        for index in order {
            let segment = &segments[index];
            let inside = match edge {
                Edge::Top => segment.baseline - top,
                Edge::Bottom => bottom - segment.baseline,
            };
            if last.is_some_and(|y: f32| (y - segment.baseline).abs() > 0.4 * segment.size) {
                row += 1;
            }
            last = Some(segment.baseline);
            if inside > EDGE * height || row >= ROWS {
                break;
            }
            found.push((index, edge, row));
        }
    };
    collect(&mut order.iter().copied(), Edge::Top);
    collect(&mut order.iter().rev().copied(), Edge::Bottom);
    found
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
