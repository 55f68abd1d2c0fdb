//! Lines to running text.

use crate::unicode::is_ideographic;
use std::collections::HashSet;

/// The words of a page, to tell a word that was broken at the end of a line from a compound.
#[derive(Debug, Default)]
pub struct Words(HashSet<String>);

impl Words {
    /// Learns the words of a line.
    pub fn learn(&mut self, line: &str) {
        for word in line.split_whitespace() {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric());
            if word.chars().nth(3).is_some() {
                self.0.insert(word.to_lowercase());
            }
        }
    }

    fn knows(&self, word: &str) -> bool {
        self.0.contains(&word.to_lowercase())
    }
}

/// Adds a line to the text of a paragraph: words broken by a hyphen are made whole.
pub fn append_line(text: &mut String, line: &str, words: &Words) {
    let Some(last) = text.chars().next_back() else {
        text.push_str(line);
        return;
    };
    let first = line.chars().next().unwrap_or(' ');
    if is_ideographic(last) && is_ideographic(first) {
        text.push_str(line);
        return;
    }
    if !is_hyphen(last) || text.chars().rev().nth(1).is_none_or(|c| !c.is_alphanumeric()) {
        text.push(' ');
        text.push_str(line);
        return;
    }
    match joint(text, line, last, words) {
        Joint::Whole => {
            text.pop();
        }
        Joint::Compound => {}
        Joint::Suspended => text.push(' '),
    }
    text.push_str(line);
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{AD}')
}

enum Joint {
    /// `exam-` `ple`.
    Whole,
    /// `well-` `known`.
    Compound,
    /// `Vor-` `und Nachteile`.
    Suspended,
}

fn joint(text: &str, line: &str, hyphen: char, words: &Words) -> Joint {
    if hyphen == '\u{AD}' {
        return Joint::Whole;
    }
    let next = line.split_whitespace().next().unwrap_or_default();
    if matches!(next, "und" | "oder" | "bzw." | "sowie" | "and" | "or" | "to" | "et" | "ou") {
        return Joint::Suspended;
    }
    if !next.starts_with(char::is_lowercase) {
        return Joint::Compound;
    }
    let start = text.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let head = text[start..].trim_end_matches(is_hyphen).trim_start_matches(|c: char| !c.is_alphanumeric());
    let tail = next.trim_end_matches(|c: char| !c.is_alphanumeric());
    if words.knows(&format!("{head}{tail}")) {
        Joint::Whole
    } else if words.knows(&format!("{head}-{tail}"))
        || head.ends_with(|c: char| c.is_numeric())
        || head.contains("://")
    {
        Joint::Compound
    } else {
        Joint::Whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(lines: &[&str], page: &str) -> String {
        let mut words = Words::default();
        words.learn(page);
        lines.iter().fold(String::new(), |mut text, line| {
            append_line(&mut text, line, &words);
            text
        })
    }

    #[test]
    fn hyphens_at_line_ends() {
        assert_eq!(join(&["an exam-", "ple of"], ""), "an example of");
        assert_eq!(join(&["a well-", "known one"], "this well-known thing"), "a well-known one");
        assert_eq!(join(&["Vor-", "und Nachteile"], ""), "Vor- und Nachteile");
        assert_eq!(join(&["die E-", "Mail"], ""), "die E-Mail");
        assert_eq!(join(&["from 10-", "fold"], ""), "from 10-fold");
        assert_eq!(join(&["a dash -", "here"], ""), "a dash - here");
        assert_eq!(join(&["Bei\u{AD}", "spiel"], ""), "Beispiel");
    }

    #[test]
    fn ideographs_take_no_space() {
        assert_eq!(join(&["日本", "語"], ""), "日本語");
    }
}
