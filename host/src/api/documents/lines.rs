//! Cuts a stream of bytes into numbered lines and groups of lines.

use std::collections::VecDeque;

/// Lines of a group at most: one commit serves them all.
const GROUP_LINES_MAX: usize = 256;
/// Bytes of a group at most, unless a single line has more.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A line that is not blank.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1; blank lines count.
    pub number: u64,
    /// Without its end; `None` where it was too long to be kept.
    pub bytes: Option<Vec<u8>>,
}

/// Complete lines that wait, and the beginning of the next.
pub(super) struct Lines {
    ready: VecDeque<Line>,
    ready_bytes: usize,
    partial: Vec<u8>,
    partial_too_long: bool,
    number: u64,
    line_bytes_max: u64,
}

impl Lines {
    pub fn new(line_bytes_max: u64) -> Self {
        Self {
            ready: VecDeque::new(),
            ready_bytes: 0,
            partial: Vec::new(),
            partial_too_long: false,
            number: 1,
            line_bytes_max,
        }
    }

    /// Takes in what has arrived.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    /// The stream is over: what is left is a line, too.
    pub fn finish(&mut self) {
        self.end_line();
    }

    /// Whether no complete line waits.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Whether a whole group waits.
    pub fn is_full(&self) -> bool {
        self.ready.len() >= GROUP_LINES_MAX || self.ready_bytes >= GROUP_BYTES_MAX
    }

    /// The next lines, as many as go into one group.
    pub fn group(&mut self) -> Vec<Line> {
        let (mut group, mut bytes) = (Vec::new(), 0);
        while group.len() < GROUP_LINES_MAX
            && (group.is_empty() || bytes < GROUP_BYTES_MAX)
            && let Some(line) = self.ready.pop_front()
        {
            let length = line.bytes.as_ref().map_or(0, Vec::len);
            bytes += length;
            self.ready_bytes -= length;
            group.push(line);
        }
        group
    }

    fn extend(&mut self, bytes: &[u8]) {
        if (self.partial.len() + bytes.len()) as u64 > self.line_bytes_max {
            self.partial_too_long = true;
            self.partial = Vec::new();
        }
        if !self.partial_too_long {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self) {
        let bytes = std::mem::take(&mut self.partial);
        let too_long = std::mem::take(&mut self.partial_too_long);
        let number = self.number;
        self.number += 1;
        if too_long {
            self.ready.push_back(Line { number, bytes: None });
        } else if !bytes.trim_ascii().is_empty() {
            self.ready_bytes += bytes.len();
            self.ready.push_back(Line { number, bytes: Some(bytes) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(lines: &mut Lines) -> Vec<Line> {
        lines.finish();
        let mut all = Vec::new();
        while !lines.is_empty() {
            all.extend(lines.group());
        }
        all
    }

    proptest! {
        /// However the bytes arrive, the lines are those of the whole text.
        #[test]
        fn cutting_does_not_depend_on_arrival(text in "[ab \n]{0,60}", cuts in prop::collection::vec(0..60usize, 0..6)) {
            let mut lines = Lines::new(10);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                lines.push(&text.as_bytes()[from..cut]);
                from = cut;
            }
            let expected: Vec<Line> = (1..)
                .zip(text.split('\n'))
                .filter(|(_, line)| line.len() > 10 || !line.trim().is_empty())
                .map(|(number, line)| Line { number, bytes: (line.len() <= 10).then(|| line.into()) })
                .collect();
            prop_assert_eq!(all(&mut lines), expected);
            prop_assert_eq!(lines.ready_bytes, 0);
        }
    }

    #[test]
    fn groups_are_bounded() {
        let mut lines = Lines::new(1 << 30);
        lines.push(&b"x\n".repeat(300));
        assert!(lines.is_full());
        assert_eq!((lines.group().len(), lines.group().len()), (256, 44));
        lines.push(&[vec![b'x'; GROUP_BYTES_MAX + 1], b"\nx\n".to_vec()].concat());
        assert!(lines.is_full());
        assert_eq!((lines.group().len(), lines.group().len()), (1, 1));
    }
}
