use std::ops::Range;

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// As it stands there.
    pub text: &'a str,
    /// Byte offset.
    pub start: usize,
}

impl Word<'_> {
    /// Its bytes in the text.
    pub fn span(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// Whether it holds a digit.
    pub fn is_number(&self) -> bool {
        self.text.chars().any(|c| c.is_numeric())
    }

    /// Whether it begins with a capital letter.
    pub fn is_capitalised(&self) -> bool {
        self.text.chars().next().is_some_and(char::is_uppercase)
    }
}

/// Runs of letters and digits. Numbers keep their inner points and commas, and words their apostrophe: `1,000.5`,
/// `don't`.
pub fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += text[at..].find(char::is_alphanumeric)?;
        let start = at;
        at += length(&text[at..]);
        Some(Word { text: &text[start..at], start })
    })
}

/// Bytes of the word at the beginning of `rest`.
fn length(rest: &str) -> usize {
    let mut chars = rest.char_indices().peekable();
    let mut before = ' ';
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map_or(' ', |(_, c)| *c);
        if !c.is_alphanumeric() && !is_mark(c) && !joins(before, c, after) {
            return at;
        }
        before = c;
    }
    rest.len()
}

fn joins(before: char, c: char, after: char) -> bool {
    match c {
        '.' | ',' => before.is_ascii_digit() && after.is_ascii_digit(),
        '\'' | '’' => before.is_alphabetic() && after.is_alphabetic(),
        _ => false,
    }
}

/// Combining accents, where a text is not composed, and the soft hyphen.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{ad}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_apostrophes_stay_whole() {
        let text = "„Don't“ zahlte 1,000.5 €, 3. Mal: x-y 2.";
        let found: Vec<&str> = words(text).map(|word| word.text).collect();
        assert_eq!(found, ["Don't", "zahlte", "1,000.5", "3", "Mal", "x", "y", "2"]);
    }

    proptest! {
        #[test]
        fn words_are_where_they_say(text in "\\PC{0,40}") {
            let mut end = 0;
            for word in words(&text) {
                prop_assert!(word.start >= end && !word.text.is_empty());
                prop_assert_eq!(&text[word.span()], word.text);
                end = word.span().end;
            }
        }
    }
}
