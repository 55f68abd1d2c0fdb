//! Text to tokens, piece by piece, with a memory of the pieces seen.

use rustc_hash::FxHashMap;
use smartrag_sdk::Result;

use crate::bpe::Joiner;
use crate::vocabulary::{BLANK, Vocabulary, is_cut};

/// Bytes of the longest piece that is remembered.
const PIECE_MAX: usize = 48;
/// Pieces remembered; then all are forgotten, which costs less than knowing which to keep.
const PIECES_MAX: usize = 1 << 15;

/// WordLlama's tokenizer.
pub struct Tokenizer {
    vocabulary: Vocabulary,
    joiner: Joiner,
    /// Range of a piece's tokens in `tokens`.
    pieces: FxHashMap<Box<str>, (u32, u32)>,
    tokens: Vec<u32>,
    /// How many of `tokens` belong to `pieces`.
    remembered: usize,
    normalised: String,
    characters: Vec<u32>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        Ok(Self {
            vocabulary: Vocabulary::from_json(json)?,
            joiner: Joiner::default(),
            pieces: FxHashMap::default(),
            tokens: Vec::new(),
            remembered: 0,
            normalised: String::new(),
            characters: Vec::new(),
        })
    }

    /// Tokens that exist.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.size
    }

    /// Number of tokens of a text.
    pub fn count(&mut self, text: &str) -> u32 {
        let mut count = 0;
        self.each_piece(text, |ids| count += ids.len() as u32);
        count
    }

    /// The tokens of a text in order, a piece at a time.
    pub fn each_piece(&mut self, text: &str, mut take: impl FnMut(&[u32])) {
        let mut rest = text;
        while let Some((at, length, id)) = self.next_special(rest) {
            self.encode(&rest[..at], &mut take);
            take(&[id]);
            rest = &rest[at + length..];
        }
        self.encode(rest, &mut take);
    }

    /// Start, length and id of the first special token; of those that start there the longest.
    fn next_special(&self, text: &str) -> Option<(usize, usize, u32)> {
        let Vocabulary { specials, special_starts, .. } = &self.vocabulary;
        text.match_indices(&special_starts[..]).find_map(|(at, _)| {
            let here = specials.iter().filter(|(token, _)| text[at..].starts_with(token.as_str()));
            let (token, id) = here.max_by_key(|(token, _)| token.len())?;
            Some((at, token.len(), *id))
        })
    }

    fn encode(&mut self, text: &str, take: &mut impl FnMut(&[u32])) {
        if text.is_empty() {
            return;
        }
        let mut normalised = std::mem::take(&mut self.normalised);
        normalised.clear();
        for word in text.split(' ') {
            normalised.push(BLANK);
            normalised.push_str(word);
        }
        for piece in pieces(&normalised) {
            take(self.piece(piece));
        }
        self.normalised = normalised;
    }

    fn piece(&mut self, piece: &str) -> &[u32] {
        if let Some(&(start, end)) = self.pieces.get(piece) {
            return &self.tokens[start as usize..end as usize];
        }
        if self.pieces.len() >= PIECES_MAX {
            self.pieces.clear();
        }
        if self.pieces.is_empty() {
            self.remembered = 0;
        }
        let start = self.remembered;
        self.tokens.truncate(start);
        self.join(piece);
        if piece.len() <= PIECE_MAX {
            self.remembered = self.tokens.len();
            self.pieces.insert(piece.into(), (start as u32, self.remembered as u32));
        }
        &self.tokens[start..]
    }

    fn join(&mut self, piece: &str) {
        let Vocabulary { chars, bytes, merges, .. } = &self.vocabulary;
        self.characters.clear();
        for c in piece.chars() {
            match chars.get(&c) {
                Some(id) => self.characters.push(*id),
                None => {
                    let mut buffer = [0; 4];
                    let encoded = c.encode_utf8(&mut buffer).bytes();
                    self.characters.extend(encoded.map(|byte| bytes[byte as usize]));
                }
            }
        }
        self.joiner.join(&self.characters, merges, &mut self.tokens);
    }
}

/// Cuts a text where no token can reach across.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut chars = text.char_indices();
    let mut before = None;
    let mut start = 0;
    std::iter::from_fn(move || {
        for (at, c) in chars.by_ref() {
            if before.replace(c).is_some_and(|before| is_cut(before, c)) {
                return Some(&text[std::mem::replace(&mut start, at)..at]);
            }
        }
        let last = &text[std::mem::replace(&mut start, text.len())..];
        Some(last).filter(|last| !last.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vocabulary::tests::json;

    fn tokenizer() -> Result<Tokenizer> {
        let tokens = ["▁", "a", "b", "▁a", "▁▁", "ab", "▁ab", "!!", "!"];
        let merges = ["▁ ▁", "▁ a", "a b", "▁a b", "! !"];
        Tokenizer::from_json(json(&tokens, &merges).as_bytes())
    }

    fn encode(tokenizer: &mut Tokenizer, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        tokenizer.each_piece(text, |piece| ids.extend_from_slice(piece));
        ids
    }

    #[test]
    fn words_blanks_specials_and_unknown_characters() -> Result<()> {
        let mut tokenizer = tokenizer()?;
        for _ in 0..2 {
            assert_eq!(encode(&mut tokenizer, "ab  a!!"), [264, 262, 259, 265]);
            assert_eq!(encode(&mut tokenizer, "b<s>a<s>"), [258, 260, 1, 261, 1]);
            assert_eq!(encode(&mut tokenizer, "ä"), [258, 2 + 0xc3, 2 + 0xa4]);
            assert_eq!(encode(&mut tokenizer, ""), [0; 0]);
        }
        Ok(())
    }

    #[test]
    fn the_memory_of_pieces_is_bounded() -> Result<()> {
        let mut tokenizer = tokenizer()?;
        let long = "ab".repeat(PIECE_MAX);
        for at in 0..PIECES_MAX + 9 {
            tokenizer.count(&format!("{at:0b} {long}").replace('0', "a").replace('1', "b"));
        }
        assert!(tokenizer.pieces.len() <= PIECES_MAX);
        assert!(tokenizer.tokens.len() < PIECES_MAX * 20);
        Ok(())
    }

    proptest! {
        #[test]
        fn pieces_lose_nothing_and_cut_only_at_cuts(text in "[ab▁ !<ä1\n]{0,30}") {
            let found: Vec<&str> = pieces(&text).collect();
            prop_assert_eq!(found.concat(), text.as_str());
            for pair in found.windows(2) {
                let before = pair[0].chars().next_back().unwrap_or(BLANK);
                prop_assert!(is_cut(before, pair[1].chars().next().unwrap_or(BLANK)));
            }
        }

        #[test]
        fn remembered_pieces_encode_as_new_ones(text in "[ab !<s>ä1]{0,30}") {
            let mut remembering = tokenizer().unwrap();
            let first = encode(&mut remembering, &text);
            prop_assert_eq!(encode(&mut remembering, &text), first);
        }
    }
}
