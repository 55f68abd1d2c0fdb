//! Citations in the text of an answer: `[n]` stands for source `n`. A number that no source has is taken out, and groups
//! such as `[1, 2]` become `[1][2]`. Code in backquotes is left alone. Pieces may be cut anywhere.

use std::collections::BTreeSet;

/// Longer than any group of citations; whatever is longer is text.
const GROUP_MAX: usize = 64;

/// Reads an answer as it comes.
#[derive(Debug)]
pub(super) struct Citations {
    sources: u32,
    /// White space, and behind it what may become a citation: not given out yet.
    held: String,
    in_code: bool,
    was_backquote: bool,
    cited: BTreeSet<u32>,
    invented: BTreeSet<u32>,
}

impl Citations {
    /// For an answer from so many sources.
    pub(super) fn new(sources: usize) -> Self {
        Self {
            sources: u32::try_from(sources).unwrap_or(u32::MAX),
            held: String::new(),
            in_code: false,
            was_backquote: false,
            cited: BTreeSet::new(),
            invented: BTreeSet::new(),
        }
    }

    /// The text that can be given out after this piece.
    pub(super) fn push(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(self.held.len() + piece.len());
        piece.chars().for_each(|letter| self.take(letter, &mut out));
        out
    }

    /// What was held back when the answer ended.
    pub(super) fn end(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Sources that the answer names.
    pub(super) fn cited(&self) -> Vec<u32> {
        self.cited.iter().copied().collect()
    }

    /// Numbers that no source has.
    pub(super) fn invented(&self) -> Vec<u32> {
        self.invented.iter().copied().collect()
    }

    fn take(&mut self, letter: char, out: &mut String) {
        self.follow_code(letter);
        let in_group = self.held.trim_start().starts_with('[');
        match letter {
            _ if self.in_code => self.release(letter, out),
            ']' if in_group => {
                self.held.push(letter);
                self.close(out);
            }
            '[' => {
                if in_group {
                    out.push_str(&std::mem::take(&mut self.held));
                }
                self.held.push(letter);
            }
            _ if in_group && is_part(letter) && self.held.len() < GROUP_MAX => self.held.push(letter),
            _ if letter.is_whitespace() && !in_group => self.held.push(letter),
            _ => self.release(letter, out),
        }
    }

    /// A run of backquotes begins or ends code.
    fn follow_code(&mut self, letter: char) {
        let is_backquote = letter == '`';
        if is_backquote && !self.was_backquote {
            self.in_code = !self.in_code;
        }
        self.was_backquote = is_backquote;
    }

    fn release(&mut self, letter: char, out: &mut String) {
        out.push_str(&std::mem::take(&mut self.held));
        out.push(letter);
    }

    /// Judges a group in brackets.
    fn close(&mut self, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        let group = held.trim_start();
        let numbers: Option<Vec<u32>> =
            group[1..group.len() - 1].split([',', ';']).map(|number| number.trim().parse().ok()).collect();
        let Some(numbers) = numbers else { return out.push_str(&held) };
        let (known, invented): (Vec<u32>, Vec<u32>) =
            numbers.into_iter().partition(|number| (1..=self.sources).contains(number));
        self.invented.extend(invented);
        if known.is_empty() {
            return;
        }
        out.push_str(&held[..held.len() - group.len()]);
        known.iter().for_each(|number| out.push_str(&format!("[{number}]")));
        self.cited.extend(known);
    }
}

fn is_part(letter: char) -> bool {
    letter.is_ascii_digit() || matches!(letter, ',' | ';' | ' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&str]) -> (String, Vec<u32>, Vec<u32>) {
        let mut citations = Citations::new(3);
        let mut text: String = pieces.iter().map(|piece| citations.push(piece)).collect();
        text.push_str(&citations.end());
        (text, citations.cited(), citations.invented())
    }

    #[test]
    fn invented_numbers_are_taken_out_and_reported() {
        let read = |text| read(&[text]);
        assert_eq!(read("So it is [1]."), ("So it is [1].".into(), vec![1], vec![]));
        assert_eq!(read("So [7] it is [0]."), ("So it is.".into(), vec![], vec![0, 7]));
        assert_eq!(read("Both [2, 9; 3], sure."), ("Both [2][3], sure.".into(), vec![2, 3], vec![9]));
        assert_eq!(read("a[1][8]\n\nb"), ("a[1]\n\nb".into(), vec![1], vec![8]));
        assert_eq!(read("[4]"), (String::new(), vec![], vec![4]));
    }

    #[test]
    fn other_brackets_and_code_are_left_alone() {
        for text in [
            "[see] [1a] [] [ ] [x, 1] [",
            "[[x]",
            "`list[7]` and ``a[8]``",
            "```\nx[9]\n```\n",
            "a [1",
            "[99999999999999]",
            "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]",
            "ends with blanks  ",
        ] {
            assert_eq!(read(&[text]).0, text);
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(text in "[\\[\\]0-9 ,a`\\n]{0,40}", cut in 0usize..40) {
            let cut = cut.min(text.len());
            prop_assert_eq!(read(&[&text[..cut], &text[cut..]]), read(&[&text]));
        }
    }
}
