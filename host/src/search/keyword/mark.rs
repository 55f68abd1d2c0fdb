//! Where in a text the words of a query stand.

use std::collections::HashSet;
use std::ops::Range;

use tantivy::tokenizer::Token;
use unicode_normalization::is_nfc;

use super::analyze::{analysis_for, folded};

/// Marks in texts what a query looks for.
#[derive(Clone, Debug, Default)]
pub struct Marker {
    /// Terms of all languages of the collection.
    pub(super) terms: HashSet<String>,
    /// Beginnings of words, in lower case.
    pub(super) prefixes: Vec<String>,
}

impl Marker {
    /// The words of the text that the query asks for, as the analysis of the text's language sees them: Unicode code
    /// points, in order, without overlaps. Text must be NFC, as that of chunks is: in other text nothing is marked.
    pub fn marks(&self, text: &str, language: Option<&str>) -> Vec<Range<usize>> {
        let mut marks: Vec<Range<usize>> = Vec::new();
        if !is_nfc(text) {
            return marks;
        }
        analysis_for(language).tokens(text, |token| {
            if !self.wants(text, token) {
                return;
            }
            let (start, end) = (token.offset_from, token.offset_to);
            match marks.last_mut() {
                // Pairs of characters overlap with their neighbours.
                Some(last) if start < last.end => last.end = last.end.max(end),
                _ => marks.push(start..end),
            }
        });
        in_code_points(text, &mut marks);
        marks
    }

    fn wants(&self, text: &str, token: &Token) -> bool {
        if self.terms.contains(&token.text) {
            return true;
        }
        if self.prefixes.is_empty() {
            return false;
        }
        let word = folded(&text[token.offset_from..token.offset_to]);
        self.prefixes.iter().any(|prefix| word.starts_with(prefix))
    }
}

/// Turns ordered ranges of bytes into such of code points.
fn in_code_points(text: &str, ranges: &mut [Range<usize>]) {
    let (mut byte, mut point) = (0, 0);
    let mut advance = |to: usize| {
        point += text[byte..to].chars().count();
        byte = to;
        point
    };
    for range in ranges {
        *range = advance(range.start)..advance(range.end);
    }
}
