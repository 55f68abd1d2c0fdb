//! Visual to logical order.

use crate::unicode::GlyphText;
use unicode_bidi::{BidiClass, BidiInfo, Level, bidi_class};

/// Whether right-to-left letters prevail.
pub fn is_right_to_left(glyphs: &[GlyphText]) -> bool {
    let (mut right, mut left) = (0usize, 0usize);
    for glyph in glyphs {
        match bidi_class(glyph.first()) {
            BidiClass::R | BidiClass::AL => right += 1,
            BidiClass::L => left += 1,
            _ => {}
        }
    }
    right > left
}

/// Whether the letter is written from right to left.
pub fn is_rtl_letter(c: char) -> bool {
    matches!(bidi_class(c), BidiClass::R | BidiClass::AL)
}

/// The text of glyphs that stand in visual order. Reordering runs by their levels undoes itself, so the algorithm
/// that lays a line out also reads it back.
pub fn logical(visual: &[GlyphText], rtl: bool) -> String {
    let mut text = String::with_capacity(visual.len() + 8);
    let has_rtl = rtl || visual.iter().any(|g| is_rtl_letter(g.first()));
    if !has_rtl {
        visual.iter().for_each(|g| g.push_to(&mut text));
        return text;
    }
    let base = if rtl { Level::rtl() } else { Level::ltr() };
    // One character a glyph, so that marks and ligatures stay whole.
    let firsts: String = visual.iter().map(GlyphText::first).collect();
    let info = BidiInfo::new(&firsts, Some(base));
    let levels: Vec<Level> = firsts.char_indices().map(|(at, _)| info.levels[at]).collect();
    let order = BidiInfo::reorder_visual(&levels);
    let mirror = names_brackets_by_shape(visual, &order, &levels);
    for index in order {
        let glyph = &visual[index];
        match mirrored(glyph.first()) {
            Some(other) if mirror && levels[index].is_rtl() => text.push(other),
            _ => glyph.push_to(&mut text),
        }
    }
    text
}

/// Some files name a bracket by how it looks on the page, others by what it meant before it was mirrored. The first
/// bracket of a line opens, more often than not.
fn names_brackets_by_shape(visual: &[GlyphText], order: &[usize], levels: &[Level]) -> bool {
    let first = order
        .iter()
        .filter(|&&i| levels[i].is_rtl())
        .map(|&i| visual[i].first())
        .find(|c| mirrored(*c).is_some());
    !matches!(first, Some('(' | '[' | '{' | '<' | '«'))
}

fn mirrored(c: char) -> Option<char> {
    Some(match c {
        '(' => ')',
        ')' => '(',
        '[' => ']',
        ']' => '[',
        '{' => '}',
        '}' => '{',
        '<' => '>',
        '>' => '<',
        '«' => '»',
        '»' => '«',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(visual: &str) -> String {
        let glyphs: Vec<GlyphText> = visual.chars().map(GlyphText::Char).collect();
        logical(&glyphs, is_right_to_left(&glyphs))
    }

    #[test]
    fn left_to_right_stays() {
        assert_eq!(read("plain (text) 12"), "plain (text) 12");
    }

    #[test]
    fn hebrew_turns_and_numbers_do_not() {
        assert_eq!(read("2024 םולש"), "שלום 2024");
        assert_eq!(read("(םולש)"), "(שלום)");
        assert_eq!(read(")םולש("), "(שלום)");
    }

    #[test]
    fn a_foreign_word_within_keeps_its_order() {
        assert_eq!(read("םלוע Rust םולש"), "שלום Rust עולם");
        assert_eq!(read("see םולש now, it is written"), "see שלום now, it is written");
    }

    #[test]
    fn marks_stay_with_their_letter() {
        let glyphs = [GlyphText::Char('ב'), GlyphText::Several("א\u{5B8}".into())];
        assert_eq!(logical(&glyphs, true), "א\u{5B8}ב");
    }
}
