//! NFC for a text whose offsets are in use. Method: a character of combining class 0 that never composes with what
//! stands before it begins a piece, and pieces normalise apart (Unicode Standard Annex 15, section 9).

use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc, is_nfc_quick};

/// Where offsets of the old text are in the new one.
pub struct OffsetMap {
    /// Start of each piece, old and new, ascending; ends with both lengths.
    pieces: Vec<(usize, usize)>,
}

impl OffsetMap {
    /// The new offset; one inside a piece goes to the piece's end, so that order is kept.
    pub fn map(&self, offset: usize) -> usize {
        let index = self.pieces.partition_point(|(old, _)| *old < offset);
        self.pieces.get(index).or(self.pieces.last()).map_or(0, |(_, new)| *new)
    }
}

/// The text in NFC, and how offsets move; `None` where nothing had to change.
pub fn normalise(text: String) -> (String, Option<OffsetMap>) {
    if text.is_ascii() || is_nfc(&text) {
        return (text, None);
    }
    let mut normal = String::with_capacity(text.len());
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices().skip(1) {
        if begins_piece(c) {
            pieces.push((start, normal.len()));
            normal.extend(text[start..at].nfc());
            start = at;
        }
    }
    pieces.push((start, normal.len()));
    normal.extend(text[start..].nfc());
    pieces.push((text.len(), normal.len()));
    (normal, Some(OffsetMap { pieces }))
}

fn begins_piece(c: char) -> bool {
    c.is_ascii() || canonical_combining_class(c) == 0 && is_nfc_quick(std::iter::once(c)) == IsNormalized::Yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_follow_their_words() {
        let text = "Gru\u{308}ße und A\u{30a}".to_owned();
        let span = 0.."Gru\u{308}ße".len();
        let (normal, map) = normalise(text);
        let map = map.unwrap();
        assert_eq!(&normal[map.map(span.start)..map.map(span.end)], "Grüße");
        assert_eq!(map.map("Gru\u{308}ße und A\u{30a}".len()), normal.len());
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole(text in "[a-zA-Zü\u{300}-\u{310}\u{323}\u{1100}-\u{11ff}\u{212b}가-힣 ]{0,40}") {
            let whole: String = text.nfc().collect();
            let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let (normal, map) = normalise(text);
            prop_assert_eq!(&normal, &whole);
            if let Some(map) = map {
                let mapped: Vec<usize> = offsets.into_iter().map(|at| map.map(at)).collect();
                prop_assert!(mapped.is_sorted());
                prop_assert!(mapped.iter().all(|at| normal.is_char_boundary(*at)));
                prop_assert_eq!(mapped.last().copied(), Some(normal.len()));
            }
        }
    }
}
