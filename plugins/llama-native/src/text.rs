//! From the bytes of tokens to text: whole characters, and nothing from a stop text on.

/// Bytes at the end that may become a character with those that follow.
const UTF8_HELD_MAX: usize = 3;

/// Makes text of pieces that may cut characters.
#[derive(Debug, Default)]
pub struct Utf8 {
    held: Vec<u8>,
}

impl Utf8 {
    /// The text that is whole now; bytes that never become a character are replaced.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let kept = unfinished(&self.held);
        let whole = self.held.len() - kept;
        let text = String::from_utf8_lossy(&self.held[..whole]).into_owned();
        self.held.drain(..whole);
        text
    }

    /// What is left at the end.
    pub fn end(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

/// How many bytes at the end begin a character without ending it.
fn unfinished(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(UTF8_HELD_MAX);
    for at in (from..bytes.len()).rev() {
        let length = match bytes[at] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => 1,
        };
        let there = bytes.len() - at;
        return if there < length { there } else { 0 };
    }
    0
}

/// Looks for texts that end an answer; pieces may cut them.
#[derive(Debug)]
pub struct Stops {
    texts: Vec<String>,
    held: String,
}

impl Stops {
    /// Empty texts end nothing.
    pub fn new(texts: &[&str]) -> Self {
        let texts = texts.iter().filter(|text| !text.is_empty()).map(|text| (*text).to_owned());
        Self { texts: texts.collect(), held: String::new() }
    }

    /// What can be said now, and whether the answer ends here.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        if let Some(at) = self.texts.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let kept = self.texts.iter().map(|stop| begun(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - kept);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back when the answer ended by itself.
    pub fn end(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Bytes at the end of a text that begin `stop`.
fn begun(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(at, _)| at).rev();
    lengths.into_iter().find(|length| text.ends_with(&stop[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_whole_wherever_they_are_cut() {
        let text = "aé€😀ß";
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                let mut utf8 = Utf8::default();
                let bytes = text.as_bytes();
                let pieces = [&bytes[..cut], &bytes[cut..second], &bytes[second..]];
                let said: String = pieces.iter().map(|piece| utf8.push(piece)).collect();
                assert_eq!(said + &utf8.end(), text, "{cut} {second}");
            }
        }
    }

    #[test]
    fn broken_bytes_are_replaced_and_hold_nothing_back() {
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.push(b"a\xff\x80b"), "a\u{fffd}\u{fffd}b");
        assert_eq!(utf8.push(b"\xe2\x82"), "");
        assert_eq!(utf8.push(b"x"), "\u{fffd}x");
        assert_eq!((utf8.push(b"\xf0\x9f"), utf8.end()), (String::new(), "\u{fffd}".into()));
        assert_eq!(utf8.push(b"\x80\x80\x80\x80").chars().count(), 4);
    }

    fn until(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut stops = Stops::new(stops);
        let mut said = String::new();
        for piece in pieces {
            let (text, ends) = stops.push(piece);
            said += &text;
            if ends {
                return (said, true);
            }
        }
        (said + &stops.end(), false)
    }

    #[test]
    fn stops_end_an_answer_wherever_they_are_cut() {
        let text = "One. Zwei ßä. END of it";
        for cut in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            let pieces = [&text[..cut], &text[cut..]];
            assert_eq!(until(&["END", ""], &pieces), ("One. Zwei ßä. ".into(), true), "{cut}");
            assert_eq!(until(&["of it!", "ä, "], &pieces), (text.into(), false), "{cut}");
            assert_eq!(until(&[" of", "ßä"], &pieces), ("One. Zwei ".into(), true), "{cut}");
        }
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(until(&["Zwei ßä!", "END"], &letters), ("One. Zwei ßä. ".into(), true));
    }
}
