//! What a user typed: words, phrases in plain double quotes, and beginnings of words (`word*`).

use super::analyze::{folded, is_unspaced, is_word_char};

/// Of a longer query only the beginning counts.
const QUERY_BYTES_MAX: usize = 16 << 10;
/// Phrases that a query may have.
const PHRASES_MAX: usize = 8;
/// Beginnings of words that a query may have; further ones are whole words.
const PREFIXES_MAX: usize = 16;

/// A query taken apart. Every text is one.
#[derive(Debug, Default, PartialEq)]
pub struct Typed {
    /// All whole words, those of the phrases, too.
    pub words: String,
    /// What stands in quotes.
    pub phrases: Vec<String>,
    /// Beginnings of words, in lower case.
    pub prefixes: Vec<String>,
}

impl Typed {
    /// Takes a query apart. An unpaired quote is an ordinary character; in quotes a star is one, too.
    pub fn new(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(QUERY_BYTES_MAX)];
        let parts: Vec<&str> = text.split('"').collect();
        let paired = parts.len() - (parts.len() + 1) % 2;
        let mut typed = Self::default();
        for (at, part) in parts.into_iter().enumerate() {
            if at % 2 == 1 && at < paired {
                typed.push_phrase(part);
            } else {
                typed.push_words(part);
            }
            typed.words.push(' ');
        }
        typed
    }

    fn push_phrase(&mut self, phrase: &str) {
        if !phrase.trim().is_empty() && self.phrases.len() < PHRASES_MAX {
            self.phrases.push(phrase.to_owned());
        }
        self.words.push_str(phrase);
    }

    fn push_words(&mut self, mut text: &str) {
        while let Some(star) = text.find('*') {
            let (before, after) = (&text[..star], &text[star + 1..]);
            match beginning(before, after).filter(|_| self.prefixes.len() < PREFIXES_MAX) {
                Some(start) => {
                    self.words.push_str(&before[..start]);
                    self.prefixes.push(folded(&before[start..]));
                }
                None => self.words.push_str(before),
            }
            self.words.push(' ');
            text = after;
        }
        self.words.push_str(text);
    }
}

/// Where the word begins that a star ends; `None` if it ends none. `**bold**` is no beginning of a word, and scripts
/// without spaces are found by their characters anyway.
fn beginning(before: &str, after: &str) -> Option<usize> {
    let start = before.char_indices().rev().take_while(|(_, c)| is_word_char(*c)).last()?.0;
    let goes_on = after.starts_with(|c| is_word_char(c) || c == '*');
    let plain = !before[start..].contains(is_unspaced);
    (plain && !goes_on).then_some(start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn typed(text: &str) -> (String, Vec<String>, Vec<String>) {
        let Typed { words, phrases, prefixes } = Typed::new(text);
        (words.split_whitespace().collect::<Vec<_>>().join(" "), phrases, prefixes)
    }

    #[test]
    fn stars_end_words_and_quotes_make_phrases() {
        let expected = |words: &str, phrases: &[&str], prefixes: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
            (words.to_owned(), owned(phrases), owned(prefixes))
        };
        assert_eq!(typed("red Hou* \"a cat*\" x"), expected("red a cat* x", &["a cat*"], &["hou"]));
        assert_eq!(typed("a \"b c"), expected("a b c", &[], &[]));
        assert_eq!(typed("\"b\" c* \"d"), expected("b d", &["b"], &["c"]));
        assert_eq!(typed("Häu*, Gro\u{308}*"), expected(",", &[], &["häu", "grö"]));
        assert_eq!(typed("* 5*3 ** *x"), expected("5 3 x", &[], &[]));
        assert_eq!(typed("a**b** 東京*"), expected("a b 東京", &[], &[]));
    }

    proptest! {
        #[test]
        fn no_word_is_lost(text in "[a-cä\"* ]{0,30}") {
            let (words, _, prefixes) = typed(&text);
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count();
            let kept = letters(&words) + prefixes.iter().map(|prefix| letters(prefix)).sum::<usize>();
            prop_assert_eq!(kept, letters(&text));
        }
    }
}
