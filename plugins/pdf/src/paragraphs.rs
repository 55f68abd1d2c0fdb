//! Segments to lines, lines to paragraphs, and what kind of block each is.

use crate::geometry::{Rect, bounds, median};
use crate::lines::{LEADER, Segment};
use crate::lists::{Marker, is_dashed, marker, readable};
use crate::styles::Body;
use crate::text::{Words, append_line};
use smartrag_sdk::parser::BlockKind;

/// Lines of a heading at most.
const HEADING_LINES_MAX: usize = 4;
/// Characters of a heading at most.
const HEADING_CHARS_MAX: usize = 200;
/// Lines of one size are within this factor.
const SAME_SIZE: f32 = 1.12;
/// Lines further apart than the usual distance by this factor begin a paragraph.
const WIDE_LEADING: f32 = 1.25;
/// Baselines further apart, in ems, have a blank line between them.
const BLANK_LINE: f32 = 1.9;
/// Baselines of one listing, in ems, at most: one blank line.
const CODE_DISTANCE_MAX: f32 = 2.8;
/// First words of captions, without the number.
const CAPTIONS: [&str; 14] = [
    "figure",
    "fig",
    "table",
    "tab",
    "abbildung",
    "abb",
    "tabelle",
    "listing",
    "algorithm",
    "chart",
    "scheme",
    "exhibit",
    "photo",
    "box",
];

/// A piece of a line that a wide gap parts from the others.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its text.
    pub text: String,
    /// Its place, in reading coordinates.
    pub rect: Rect,
}

/// A line of a region.
#[derive(Clone, Debug)]
pub struct Line {
    /// Pieces from left to right, or from right to left where the text runs so.
    pub parts: Vec<Part>,
    /// All pieces.
    pub text: String,
    /// Its place, in reading coordinates.
    pub rect: Rect,
    /// y of the baseline.
    pub baseline: f32,
    /// Em.
    pub size: f32,
    /// Thickness of strokes in ems; 0 where unknown.
    pub stem: f32,
    /// Width of every glyph, in ems, where all have the same.
    pub pitch: Option<f32>,
    /// Whether so many letters have it that the type is monospaced.
    pub monospaced: bool,
    /// Whether it runs from right to left.
    pub rtl: bool,
}

/// A paragraph, heading, list item …
#[derive(Debug)]
pub struct Paragraph {
    /// What it is.
    pub kind: BlockKind,
    /// Nesting of list items.
    pub level: u8,
    /// Its text.
    pub text: String,
    /// Its place, in reading coordinates.
    pub rect: Rect,
    /// Em.
    pub size: f32,
}

/// The lines that the segments make, from top to bottom.
pub fn lines(segments: &[Segment], mut region: Vec<usize>) -> Vec<Line> {
    region.sort_by(|&a, &b| segments[a].baseline.total_cmp(&segments[b].baseline));
    let rtl = region.iter().filter(|&&i| segments[i].rtl).count() * 2 > region.len();
    let same = |a: &usize, b: &usize| {
        let (a, b) = (&segments[*a], &segments[*b]);
        b.baseline - a.baseline <= 0.3 * a.size.min(b.size)
    };
    region.chunk_by_mut(same).map(|row| line(segments, row, rtl)).collect()
}

fn line(segments: &[Segment], row: &mut [usize], rtl: bool) -> Line {
    row.sort_by(|&a, &b| segments[a].rect.x0.total_cmp(&segments[b].rect.x0));
    if rtl {
        row.reverse();
    }
    let longest = row.iter().copied().max_by_key(|&i| segments[i].text.len()).unwrap_or(row[0]);
    let main = &segments[longest];
    let texts: Vec<&str> = row.iter().map(|&i| segments[i].text.as_str()).collect();
    let same_pitch = |i: &usize| match (segments[*i].pitch, main.pitch) {
        (Some(a), Some(b)) => (a - b).abs() < 0.01,
        _ => false,
    };
    Line {
        text: texts.join(" "),
        parts: row.iter().map(|&i| Part { text: segments[i].text.clone(), rect: segments[i].rect }).collect(),
        rect: bounds(row.iter().map(|&i| &segments[i].rect)),
        baseline: main.baseline,
        size: main.size,
        stem: main.stem,
        pitch: main.pitch.filter(|_| row.iter().all(same_pitch)),
        monospaced: row.iter().any(|i| segments[*i].monospaced && same_pitch(i)),
        rtl,
    }
}

/// What a region of lines is measured by.
struct Measure {
    left: f32,
    right: f32,
    leading: f32,
}

/// The paragraphs of lines that belong to one region.
pub fn paragraphs(lines: &[Line], body: &Body, words: &Words) -> Vec<Paragraph> {
    let measure = measure(lines);
    let mut groups: Vec<&[Line]> = Vec::new();
    let mut start = 0;
    for next in 1..=lines.len() {
        if next == lines.len() || begins_paragraph(&lines[start..next], &lines[next], &measure, body) {
            groups.push(&lines[start..next]);
            start = next;
        }
    }
    let mut indents: Vec<f32> = Vec::new();
    groups.into_iter().map(|group| paragraph(group, &measure, body, words, &mut indents)).collect()
}

fn measure(lines: &[Line]) -> Measure {
    let around = bounds(lines.iter().map(|l| &l.rect));
    let mut distances: Vec<f32> = lines
        .windows(2)
        .filter(|pair| same_size(&pair[0], &pair[1]))
        .map(|pair| (pair[1].baseline - pair[0].baseline) / pair[0].size)
        .filter(|d| *d > 0.8 && *d < 2.5)
        .collect();
    let leading = if distances.is_empty() {
        1.25
    } else {
        // Of many distances, a smaller one is the usual: gaps between paragraphs are in the larger half.
        distances.sort_by(f32::total_cmp);
        distances[distances.len() / 3]
    };
    Measure { left: around.x0, right: around.x1, leading: leading.max(1.0) }
}

fn same_size(a: &Line, b: &Line) -> bool {
    a.size.max(b.size) <= SAME_SIZE * a.size.min(b.size)
}

fn begins_paragraph(so_far: &[Line], next: &Line, measure: &Measure, body: &Body) -> bool {
    let (Some(first), Some(last)) = (so_far.first(), so_far.last()) else { return true };
    let distance = (next.baseline - last.baseline) / last.size.max(next.size);
    if goes_on_as_code(so_far, next) {
        return !(0.0..CODE_DISTANCE_MAX).contains(&distance);
    }
    if distance < 0.0 || distance > measure.leading * WIDE_LEADING || !same_size(last, next) {
        return true;
    }
    if last.monospaced != next.monospaced && last.text.len().min(next.text.len()) > 12 {
        return true;
    }
    let all_bold = so_far.iter().all(|l| body.is_bolder(l.stem));
    let goes_on = next.text.starts_with(char::is_lowercase) && !ends_sentence(&last.text);
    if !goes_on && all_bold != body.is_bolder(next.stem) && (all_bold || next.text.chars().count() < 100) {
        return true;
    }
    if is_caption(&next.text) && ends_sentence(&last.text) {
        return true;
    }
    match marker(&next.text) {
        Some(Marker::Bullet) => return true,
        Some(Marker::Weak) if marker(&first.text).is_some() || is_short(last, next, measure) => return true,
        Some(Marker::Weak) if ends_sentence(&last.text) || last.text.ends_with(':') => return true,
        _ => {}
    }
    starts_indented(so_far, next, measure) || (is_short(last, next, measure) && ends_sentence(&last.text))
}

/// Lines of one pitch, some of them surely monospaced: blank lines between them are part of the listing.
fn goes_on_as_code(so_far: &[Line], next: &Line) -> bool {
    let same = |line: &Line| match (line.pitch, next.pitch) {
        (Some(a), Some(b)) => (a - b).abs() < 0.01 && same_size(line, next),
        _ => false,
    };
    so_far.iter().all(same) && (next.monospaced || so_far.iter().any(|l| l.monospaced))
}

/// Whether the line ends so early that the next word would have fitted.
fn is_short(line: &Line, next: &Line, measure: &Measure) -> bool {
    let word = next.text.split(' ').next().map_or(0, |w| w.chars().count());
    let room = if line.rtl { line.rect.x0 - measure.left } else { measure.right - line.rect.x1 };
    room > (word as f32 * 0.6 + 2.0) * line.size
}

fn starts_indented(so_far: &[Line], next: &Line, measure: &Measure) -> bool {
    let Some(last) = so_far.last() else { return false };
    let indent =
        |line: &Line| if line.rtl { measure.right - line.rect.x1 } else { line.rect.x0 - measure.left };
    let step = (indent(next) - indent(last)) / next.size;
    // The lines after the first of a list item hang.
    let hangs = so_far.len() == 1 && marker(&last.text).is_some();
    step > 0.8 && step < 6.0 && !hangs && ends_sentence(&last.text)
}

fn ends_sentence(text: &str) -> bool {
    let text = text.trim_end_matches(['"', '\'', '”', '“', '’', ')', ']', '»', '«']);
    text.ends_with(['.', '!', '?', ':', ';', '…', '。', '！', '？', '؟'])
}

fn paragraph(
    group: &[Line],
    measure: &Measure,
    body: &Body,
    words: &Words,
    indents: &mut Vec<f32>,
) -> Paragraph {
    let size = median(&mut group.iter().map(|l| l.size).collect::<Vec<_>>());
    let kind = kind(group, size, body);
    let mut level = 0;
    if kind == BlockKind::ListItem {
        level = list_level(&group[0], indents);
    } else {
        indents.clear();
    }
    let mut text = if kind == BlockKind::Code { code(group) } else { running_text(group, measure, words) };
    if kind == BlockKind::ListItem {
        text = readable(&text);
    }
    Paragraph { kind, level, text, rect: bounds(group.iter().map(|l| &l.rect)), size }
}

fn kind(group: &[Line], size: f32, body: &Body) -> BlockKind {
    let text = &group[0].text;
    if is_caption(text) {
        return BlockKind::Caption;
    }
    if is_heading(group, size, body) {
        return BlockKind::Heading;
    }
    if !body.monospaced
        && group.iter().all(|l| l.pitch.is_some())
        && group.iter().any(|l| l.monospaced)
        && (group.len() > 2 || group.iter().any(|l| looks_like_code(&l.text)))
    {
        return BlockKind::Code;
    }
    if marker(text).is_some() {
        return BlockKind::ListItem;
    }
    BlockKind::Paragraph
}

fn looks_like_code(text: &str) -> bool {
    text.contains(['{', '}', ';', '=', '$', '|', '\\', '_']) || text.contains("()")
}

fn is_heading(group: &[Line], size: f32, body: &Body) -> bool {
    let chars: usize = group.iter().map(|l| l.text.chars().count()).sum();
    let letters = group.iter().flat_map(|l| l.text.chars()).filter(|c| c.is_alphabetic()).count();
    if group.len() > HEADING_LINES_MAX || chars > HEADING_CHARS_MAX || letters < 2 || letters * 2 < chars {
        return false;
    }
    let text = &group[group.len() - 1].text;
    if is_dashed(&group[0].text) {
        return false;
    }
    if text.ends_with([',', ';', '-']) {
        return false;
    }
    if body.is_larger(size) {
        return true;
    }
    let bold = group.iter().all(|l| body.is_bolder(l.stem));
    bold && size > 0.93 * body.size && group.len() <= 2 && chars <= 120 && !text.ends_with(['.', ':'])
}

/// `Figure 3:` and the like.
fn is_caption(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let (Some(first), Some(second)) = (words.next(), words.next()) else { return false };
    let name = first.trim_end_matches('.').to_lowercase();
    let number = second.trim_end_matches([':', '.', ')', '|', '—', '–', '-']);
    let numbered = !number.is_empty()
        && number.len() <= 6
        && number.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-' || c.is_ascii_uppercase());
    let parted =
        second.len() > number.len() || words.next().is_none_or(|w| !w.starts_with(char::is_lowercase));
    CAPTIONS.contains(&name.as_str()) && first.starts_with(char::is_uppercase) && numbered && parted
}

fn list_level(line: &Line, indents: &mut Vec<f32>) -> u8 {
    let x = if line.rtl { -line.rect.x1 } else { line.rect.x0 };
    while indents.last().is_some_and(|last| *last > x + 0.3 * line.size) {
        indents.pop();
    }
    if indents.last().is_none_or(|last| x > last + 0.8 * line.size) {
        indents.push(x);
    }
    indents.len().clamp(1, 255) as u8
}

/// Lines that were ended on purpose, as in an address, keep their ends.
fn running_text(group: &[Line], measure: &Measure, words: &Words) -> String {
    let mut text = String::new();
    for (index, line) in group.iter().enumerate() {
        let forced = index > 0 && group.len() < 12 && is_short(&group[index - 1], line, measure);
        let contents = index > 0 && group[index - 1].text.contains(LEADER);
        if (forced || contents) && !text.ends_with('-') {
            text.push('\n');
            text.push_str(&line.text);
        } else {
            append_line(&mut text, &line.text, words);
        }
    }
    text
}

/// Monospaced lines keep their indentation and their wide gaps.
fn code(group: &[Line]) -> String {
    let left = group.iter().map(|l| l.rect.x0).fold(f32::INFINITY, f32::min);
    let mut text = String::new();
    for (index, line) in group.iter().enumerate() {
        if index > 0 {
            let distance = line.baseline - group[index - 1].baseline;
            text.push_str(if distance > BLANK_LINE * line.size { "\n\n" } else { "\n" });
        }
        let cell = line.pitch.unwrap_or(0.6) * line.size;
        let mut column = 0;
        for part in &line.parts {
            let wanted = (((part.rect.x0 - left) / cell).round().max(0.0) as usize).min(200);
            let least = usize::from(column > 0);
            let gap = wanted.saturating_sub(column).max(least);
            text.extend(std::iter::repeat_n(' ', gap));
            text.push_str(&part.text);
            column += gap + part.text.chars().count();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions() {
        assert!(is_caption("Figure 3: The model"));
        assert!(is_caption("Table 1. HPO performed"));
        assert!(is_caption("Abb. 2.1 Übersicht"));
        assert!(!is_caption("Figure 3 shows the model"));
        assert!(!is_caption("table 4 is"));
    }
}
