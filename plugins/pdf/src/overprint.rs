//! Text that is drawn more than once: bold by overprinting, shadows, and the text layer under real text.

use crate::glyphs::Glyph;
use crate::unicode::UNMAPPED;
use rustc_hash::{FxHashMap, FxHashSet};

/// The same letter within this many ems is the same letter.
const SAME_PLACE: f32 = 0.12;
/// Points; the side of a square of the look-up grid.
const SQUARE: f32 = 3.0;

/// Keeps one of each.
pub fn remove(glyphs: &mut Vec<Glyph>) {
    if glyphs.iter().any(|g| g.invisible) && glyphs.iter().any(|g| !g.invisible) {
        remove_hidden_copies(glyphs);
    }
    let mut seen: FxHashMap<(char, i32, i32), (f32, f32)> = FxHashMap::default();
    glyphs.retain(|glyph| {
        let letter = glyph.text.first();
        let (x, y) = glyph.origin;
        let tolerance = (SAME_PLACE * glyph.size).min(SQUARE);
        let near = |v: f32| square(v - tolerance)..=square(v + tolerance);
        let same = |&(ox, oy): &(f32, f32)| (ox - x).abs() <= tolerance && (oy - y).abs() <= tolerance;
        let again = near(x).any(|c| near(y).any(|r| seen.get(&(letter, c, r)).is_some_and(same)));
        if !again {
            seen.insert((letter, square(x), square(y)), (x, y));
        }
        !again || glyph.text.is_space()
    });
}

fn square(v: f32) -> i32 {
    (v / SQUARE).floor() as i32
}

/// Invisible glyphs that lie under visible ones say the same, only worse.
fn remove_hidden_copies(glyphs: &mut Vec<Glyph>) {
    let mut covered: FxHashSet<(i32, i32)> = FxHashSet::default();
    for glyph in glyphs.iter().filter(|g| !g.invisible && g.text.first() != UNMAPPED && !g.text.is_space()) {
        let (across, along) = (glyph.size.min(100.0), glyph.end.0 - glyph.origin.0);
        let steps_x = (along.abs() / SQUARE) as i32 + 1;
        let steps_y = (across / SQUARE) as i32;
        for x in 0..=steps_x.min(50) {
            for y in 0..=steps_y {
                let at =
                    (glyph.origin.0 + along.signum() * x as f32 * SQUARE, glyph.origin.1 - y as f32 * SQUARE);
                covered.insert((square(at.0), square(at.1)));
            }
        }
    }
    glyphs.retain(|glyph| {
        let middle =
            ((glyph.origin.0 + glyph.end.0) / 2.0, (glyph.origin.1 + glyph.end.1) / 2.0 - 0.3 * glyph.size);
        !glyph.invisible || !covered.contains(&(square(middle.0), square(middle.1)))
    });
}
