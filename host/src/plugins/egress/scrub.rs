//! Takes secrets out of answers that echo them. A server can still encode a secret so that it is not recognised:
//! this guards against accidents and plain echoes, the grants against the rest.

use super::secrets::Used;

/// A shorter secret would make other text unreadable.
const SCRUBBED_MIN: usize = 8;

/// Replaces secrets in a stream, however it is cut; holds back only what may be the beginning of one.
#[derive(Default)]
pub struct Scrubber {
    /// Longest first.
    needles: Vec<(Vec<u8>, Vec<u8>)>,
    held: Vec<u8>,
}

impl Scrubber {
    /// For the secrets of a request.
    pub fn new(used: Vec<Used>) -> Self {
        let long = used.into_iter().filter(|secret| secret.value.len() >= SCRUBBED_MIN);
        let mut needles: Vec<_> = long
            .map(|secret| (secret.value, format!("{{{{secret:{}}}}}", secret.name).into_bytes()))
            .collect();
        needles.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        needles.dedup();
        Self { needles, held: Vec::new() }
    }

    /// Whether there is nothing to look for.
    pub fn is_idle(&self) -> bool {
        self.needles.is_empty()
    }

    /// What can be given on after these bytes; after the `last` ones, all.
    pub fn push(&mut self, bytes: &[u8], last: bool) -> Vec<u8> {
        let mut input = std::mem::take(&mut self.held);
        input.extend_from_slice(bytes);
        let mut output = Vec::with_capacity(input.len());
        let mut rest = input.as_slice();
        while let Some((first, behind)) = rest.split_first() {
            let candidate = self.needles.iter().find(|(needle, _)| {
                needle.first() == Some(first)
                    && (rest.starts_with(needle) || (!last && needle.starts_with(rest)))
            });
            match candidate {
                Some((needle, stand_in)) if rest.len() >= needle.len() => {
                    output.extend_from_slice(stand_in);
                    rest = rest.get(needle.len()..).unwrap_or_default();
                }
                Some(_) => {
                    self.held = rest.to_vec();
                    break;
                }
                None => {
                    output.push(*first);
                    rest = behind;
                }
            }
        }
        output
    }

    /// A whole value.
    pub fn clean(&self, bytes: &[u8]) -> Vec<u8> {
        Self { needles: self.needles.clone(), held: Vec::new() }.push(bytes, true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scrubber(secrets: &[&str]) -> Scrubber {
        let used = secrets.iter().enumerate();
        let used = used.map(|(at, value)| Used { name: at.to_string(), value: value.as_bytes().to_vec() });
        Scrubber::new(used.collect())
    }

    #[test]
    fn text_without_secrets_is_not_held_back() {
        let mut scrubber = scrubber(&["abcdefgh"]);
        assert_eq!(scrubber.push(b"data: 1\n\n", false), b"data: 1\n\n");
        assert_eq!(scrubber.push(b"xabc", false), b"x");
        assert_eq!(scrubber.push(b"x", false), b"abcx");
        assert_eq!(scrubber.push(b"abc", true), b"abc");
    }

    #[test]
    fn the_longest_secret_wins() {
        let mut scrubber = scrubber(&["abcdefgh", "abcdefghij", "short"]);
        assert_eq!(scrubber.push(b"abcdefgh", false), b"");
        assert_eq!(scrubber.push(b"ij short abcdefgh", true), b"{{secret:1}} short {{secret:0}}");
        assert_eq!(scrubber.clean(b"k=abcdefghi"), b"k={{secret:0}}i");
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(pieces in prop::collection::vec("(abababab|[ab]{0,9})", 0..12)) {
            let mut scrubber = scrubber(&["abababab"]);
            let mut out = Vec::new();
            for piece in &pieces {
                out.extend(scrubber.push(piece.as_bytes(), false));
            }
            out.extend(scrubber.push(b"", true));
            let whole = pieces.concat().replace("abababab", "{{secret:0}}");
            prop_assert_eq!(String::from_utf8(out).unwrap(), whole);
        }
    }
}
