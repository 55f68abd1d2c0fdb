//! Glyphs to segments: pieces of a line without a wide gap.

use crate::bidi;
use crate::geometry::{Rect, Turn, median};
use crate::glyphs::Glyph;
use crate::unicode::{GlyphText, UNMAPPED, is_ideographic, nfc};

/// Gaps wider than this many ems part segments.
const SEGMENT_GAP: f32 = 1.0;
/// Baselines closer than this many ems are one.
const SAME_BASELINE: f32 = 0.2;
/// Pieces on either side that a superscript may belong to.
const NEIGHBOURS_MAX: usize = 300;
/// Ruled lines looked at between two glyphs.
const WALLS_MAX: usize = 100;
/// Dots that are a leader at least.
const LEADER_DOTS_MIN: usize = 5;
/// What is left of a leader.
pub const LEADER: &str = " … ";
/// Letters of a monospaced segment at least.
const MONOSPACED_MIN: usize = 6;

/// A piece of a line.
#[derive(Clone, Debug)]
pub struct Segment {
    /// In logical order, words parted by one space.
    pub text: String,
    /// In reading coordinates.
    pub rect: Rect,
    /// y of the baseline.
    pub baseline: f32,
    /// Em of most of its glyphs.
    pub size: f32,
    /// Thickness of strokes in ems; 0 where unknown.
    pub stem: f32,
    /// Width of every glyph, in ems, where all have the same.
    pub pitch: Option<f32>,
    /// Whether so many letters have it that the type is monospaced.
    pub monospaced: bool,
    /// Marked as page furniture by the file.
    pub artifact: bool,
    /// Whether right-to-left text prevails.
    pub rtl: bool,
}

impl Segment {
    /// How many characters.
    pub fn chars(&self) -> usize {
        self.text.chars().count()
    }
}

/// A glyph in reading coordinates.
struct Placed<'g> {
    glyph: &'g Glyph,
    x0: f32,
    x1: f32,
    y: f32,
}

/// Segments of the glyphs of one direction; `walls` are vertical ruled lines, sorted by
/// x, which part words.
pub fn segments(glyphs: &[&Glyph], turn: Turn, walls: &[Rect]) -> Vec<Segment> {
    let mut placed: Vec<Placed<'_>> = glyphs.iter().map(|g| place(g, turn)).collect();
    placed.sort_by(|a, b| a.y.total_cmp(&b.y));
    let mut pieces: Vec<Vec<Placed<'_>>> = Vec::new();
    for row in rows(placed) {
        pieces.extend(split_row(row, walls));
    }
    attach_scripts(&mut pieces);
    pieces.iter().filter_map(|piece| segment(piece)).collect()
}

fn place(glyph: &Glyph, turn: Turn) -> Placed<'_> {
    let (a, b) = (turn.apply(glyph.origin), turn.apply(glyph.end));
    // Vertical text runs down the middle of its glyphs; the line's baseline lies on their left side.
    Placed { glyph, x0: a.0.min(b.0), x1: a.0.max(b.0), y: a.1 }
}

fn rows(sorted: Vec<Placed<'_>>) -> Vec<Vec<Placed<'_>>> {
    let mut rows: Vec<Vec<Placed<'_>>> = Vec::new();
    let mut baseline = f32::NEG_INFINITY;
    for item in sorted {
        match rows.last_mut() {
            Some(row) if item.y - baseline <= SAME_BASELINE * item.glyph.size.min(row[0].glyph.size) => {
                row.push(item);
            }
            _ => {
                baseline = item.y;
                rows.push(vec![item]);
            }
        }
    }
    rows
}

fn split_row<'g>(mut row: Vec<Placed<'g>>, walls: &[Rect]) -> Vec<Vec<Placed<'g>>> {
    row.sort_by(|a, b| a.x0.total_cmp(&b.x0));
    let mut pieces: Vec<Vec<Placed<'g>>> = Vec::new();
    let mut end = f32::NEG_INFINITY;
    for item in row {
        if item.glyph.text.is_space() {
            if let Some(piece) = pieces.last_mut() {
                piece.push(item);
            }
            continue;
        }
        let gap = item.x0 - end;
        let size = item.glyph.size;
        let apart =
            gap > SEGMENT_GAP * size || (gap > 0.0 && walled(walls, end, item.x0, item.y - 0.3 * size));
        match pieces.last_mut() {
            Some(piece) if !apart => piece.push(item),
            _ => {
                end = f32::NEG_INFINITY;
                pieces.push(vec![item]);
            }
        }
        if let Some(last) = pieces.last().and_then(|p| p.last()) {
            end = end.max(last.x1);
        }
    }
    pieces
}

/// Whether a ruled line stands between two glyphs; `walls` are sorted.
fn walled(walls: &[Rect], from: f32, to: f32, y: f32) -> bool {
    let first = walls.partition_point(|w| w.x0 < from - 1.0);
    let between = walls[first..].iter().take_while(|w| w.x0 <= to + 1.0);
    between.take(WALLS_MAX).any(|w| w.x1 <= to + 1.0 && w.y0 <= y && w.y1 >= y)
}

/// Superscripts and subscripts join the line that they stand at.
fn attach_scripts(pieces: &mut Vec<Vec<Placed<'_>>>) {
    let outlines: Vec<(Rect, f32, f32)> = pieces.iter().map(|p| outline(p)).collect();
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by(|&a, &b| outlines[a].1.total_cmp(&outlines[b].1));
    let mut target: Vec<Option<usize>> = vec![None; pieces.len()];
    for (position, &index) in order.iter().enumerate() {
        if pieces[index].len() > 12 {
            continue;
        }
        let near = |other: &usize| (outlines[*other].1 - outlines[index].1).abs() <= 2.0 * outlines[index].2;
        let before = order[..position].iter().rev().take_while(|i| near(i)).take(NEIGHBOURS_MAX);
        let after = order[position + 1..].iter().take_while(|i| near(i)).take(NEIGHBOURS_MAX);
        target[index] =
            before.chain(after).copied().find(|&host| is_script(&outlines[index], &outlines[host]));
    }
    for index in 0..pieces.len() {
        let Some(host) = target[index].filter(|&host| target[host].is_none()) else { continue };
        let script = std::mem::take(&mut pieces[index]);
        pieces[host].extend(script);
        pieces[host].sort_by(|a, b| a.x0.total_cmp(&b.x0));
    }
    pieces.retain(|p| !p.is_empty());
}

/// Box, baseline and size.
fn outline(piece: &[Placed<'_>]) -> (Rect, f32, f32) {
    let size = main_size(piece);
    let mut rect = Rect::NOTHING;
    for p in piece.iter().filter(|p| !p.glyph.text.is_space()) {
        rect = rect.union(&Rect {
            x0: p.x0,
            x1: p.x1,
            y0: p.y - 0.75 * p.glyph.size,
            y1: p.y + 0.25 * p.glyph.size,
        });
    }
    (rect, main_baseline(piece, size), size)
}

fn main_size(piece: &[Placed<'_>]) -> f32 {
    median(&mut piece.iter().map(|p| p.glyph.size).collect::<Vec<_>>())
}

fn main_baseline(piece: &[Placed<'_>], size: f32) -> f32 {
    let large = piece.iter().filter(|p| p.glyph.size > 0.9 * size);
    median(&mut large.map(|p| p.y).collect::<Vec<_>>())
}

fn is_script(small: &(Rect, f32, f32), host: &(Rect, f32, f32)) -> bool {
    let raised = host.1 - small.1;
    small.2 < 0.88 * host.2
        && raised > -0.4 * host.2
        && raised < 0.75 * host.2
        && small.0.x1 >= host.0.x0 - 0.8 * host.2
        && small.0.x0 <= host.0.x1 + 0.3 * host.2
}

fn segment(piece: &[Placed<'_>]) -> Option<Segment> {
    let (rect, baseline, size) = outline(piece);
    if !rect.is_finite() {
        return None;
    }
    let (text, rtl) = text_of(piece);
    let mut stems: Vec<f32> = piece.iter().map(|p| p.glyph.stem).filter(|s| *s > 0.0).collect();
    Some(Segment {
        artifact: piece.iter().all(|p| p.glyph.artifact || p.glyph.text.is_space()),
        stem: median(&mut stems),
        pitch: pitch(piece),
        monospaced: pitch(piece).is_some() && letters(piece) >= MONOSPACED_MIN,
        text: Some(text).filter(|t| !t.is_empty())?,
        rect,
        baseline,
        size,
        rtl,
    })
}

fn pitch(piece: &[Placed<'_>]) -> Option<f32> {
    let mut visible = piece.iter().filter(|p| !p.glyph.text.is_space());
    let width = |p: &Placed<'_>| (p.x1 - p.x0) / p.glyph.size;
    let first = width(visible.next()?);
    let same = visible.all(|p| (width(p) - first).abs() < 0.01 && !is_ideographic(p.glyph.text.first()));
    (same && first > 0.3 && first < 0.8).then_some(first)
}

/// Digits have one width in most fonts, so they don't count.
fn letters(piece: &[Placed<'_>]) -> usize {
    piece.iter().filter(|p| p.glyph.text.first().is_alphabetic()).count()
}

/// The text in logical order, and whether it runs from right to left.
fn text_of(piece: &[Placed<'_>]) -> (String, bool) {
    let mut visual: Vec<GlyphText> = Vec::with_capacity(piece.len() + 8);
    let spaced = piece.iter().any(|p| p.glyph.text.is_space());
    let threshold = word_gap(piece, spaced);
    let mut last: Option<&Placed<'_>> = None;
    let mut pending = false;
    for item in piece {
        if item.glyph.text.is_space() {
            pending = true;
            continue;
        }
        if let Some(last) = last
            && (pending || is_word_gap(last, item, threshold) || change_of_direction(last, item))
        {
            visual.push(GlyphText::Char(' '));
        }
        pending = false;
        visual.push(item.glyph.text.clone());
        last = Some(item);
    }
    let rtl = bidi::is_right_to_left(&visual);
    let text = bidi::logical(&visual, rtl);
    (shorten_leaders(&nfc(text.trim())), rtl)
}

fn is_word_gap(last: &Placed<'_>, next: &Placed<'_>, threshold: f32) -> bool {
    let both_ideographic = is_ideographic(last.glyph.text.first()) && is_ideographic(next.glyph.text.first());
    let threshold = if both_ideographic { threshold.max(0.6) } else { threshold };
    next.x0 - last.x1 > threshold * last.glyph.size.min(next.glyph.size)
}

/// Office programs lose the space between a foreign word and the right-to-left text around it.
fn change_of_direction(last: &Placed<'_>, next: &Placed<'_>) -> bool {
    let (a, b) = (last.glyph.text.first(), next.glyph.text.first());
    a.is_alphabetic() && b.is_alphabetic() && bidi::is_rtl_letter(a) != bidi::is_rtl_letter(b)
}

/// In ems. Tracked-out lines have wide gaps everywhere; lines with real spaces need no guess.
fn word_gap(piece: &[Placed<'_>], spaced: bool) -> f32 {
    let mut gaps: Vec<f32> = piece
        .windows(2)
        .filter(|pair| !pair[0].glyph.text.is_space() && !pair[1].glyph.text.is_space())
        .map(|pair| (pair[1].x0 - pair[0].x1) / pair[0].glyph.size)
        .collect();
    let base = if spaced { 0.2 } else { 0.15 };
    if gaps.len() < 6 {
        return base;
    }
    base + median(&mut gaps).clamp(0.0, 0.5)
}

/// Rows of dots lead the eye from a title to its page number; to a reader of text they say nothing.
fn shorten_leaders(text: &str) -> String {
    if !text.contains("....") && !text.contains(". . . .") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('.') {
        let tail = &rest[at..];
        let length = tail.find(|c| c != '.' && c != ' ').unwrap_or(tail.len());
        if tail[..length].matches('.').count() < LEADER_DOTS_MIN {
            out.push_str(&rest[..at + length]);
        } else {
            out.push_str(rest[..at].trim_end());
            out.push_str(LEADER);
        }
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out.trim().to_owned()
}

/// Whether nothing in it has a meaning.
pub fn is_unmapped(text: &str) -> bool {
    text.chars().all(|c| c == UNMAPPED || c == ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_are_shortened_and_ellipses_are_not() {
        assert_eq!(shorten_leaders("Preface . . . . . . . xi"), "Preface … xi");
        assert_eq!(shorten_leaders("1.2 Roles........ 12"), "1.2 Roles … 12");
        assert_eq!(shorten_leaders("wait .... no. Yes."), "wait .... no. Yes.");
    }
}
