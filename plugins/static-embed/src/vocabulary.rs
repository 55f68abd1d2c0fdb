//! Reads the `tokenizer.json` of the `tokenizers` library, as far as WordLlama's uses it: byte-pair encoding with
//! byte fallback, blanks as `▁`, no pre-tokenizer.

use std::borrow::Cow;
use std::fmt;

use rustc_hash::FxHashMap;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use smartrag_sdk::{Error, Result};

use crate::bpe::Merges;

/// What stands for a blank.
pub const BLANK: char = '▁';

/// All that encoding needs of the file.
pub struct Vocabulary {
    pub chars: FxHashMap<char, u32>,
    /// The token of each byte, for characters that have none.
    pub bytes: Vec<u32>,
    pub merges: Merges,
    /// Tokens that are found in the text as they are written, such as `<s>`.
    pub specials: Vec<(String, u32)>,
    /// Their first characters.
    pub special_starts: Vec<char>,
    pub size: usize,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    model: Model<'a>,
    added_tokens: Vec<AddedToken>,
    normalizer: serde_json::Value,
    pre_tokenizer: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(borrow)]
    vocab: Ids<'a>,
    #[serde(borrow)]
    merges: Vec<Text<'a>>,
    byte_fallback: bool,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

/// A string that is borrowed where it holds no escape: there are 150,000 of them, and every start waits.
#[derive(Deserialize, PartialEq, Eq, Hash)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Ids<'a>(FxHashMap<Cow<'a, str>, u32>);

impl<'de: 'a, 'a> Deserialize<'de> for Ids<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdsVisitor;
        impl<'de> Visitor<'de> for IdsVisitor {
            type Value = Ids<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("tokens with their ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ids<'de>, A::Error> {
                let mut ids = FxHashMap::with_capacity_and_hasher(1 << 15, Default::default());
                while let Some((Text(token), id)) = map.next_entry()? {
                    ids.insert(token, id);
                }
                Ok(Ids(ids))
            }
        }
        deserializer.deserialize_map(IdsVisitor)
    }
}

impl Vocabulary {
    /// Refuses any file that means something else than this crate does.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let file: File = serde_json::from_slice(json).map_err(unusable)?;
        if file.pre_tokenizer.is_some() || !file.model.byte_fallback || !normalizer_fits(&file.normalizer) {
            return Err(unusable("it is not a byte-fallback BPE over ▁-separated words"));
        }
        let Ids(ids) = &file.model.vocab;
        let mut special_starts: Vec<char> =
            file.added_tokens.iter().filter_map(|token| token.content.chars().next()).collect();
        special_starts.dedup();
        Ok(Self {
            chars: ids.iter().filter_map(|(token, id)| Some((single(token)?, *id))).collect(),
            bytes: byte_tokens(ids)?,
            merges: merges(ids, &file.model.merges)?,
            special_starts,
            specials: file.added_tokens.into_iter().map(|token| (token.content, token.id)).collect(),
            size: ids.values().max().map_or(0, |id| *id as usize + 1),
        })
    }
}

/// Prepend `▁`, replace blanks by `▁`, nothing else.
fn normalizer_fits(normalizer: &serde_json::Value) -> bool {
    *normalizer
        == serde_json::json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]})
}

fn single(token: &str) -> Option<char> {
    let mut chars = token.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn byte_tokens(ids: &FxHashMap<Cow<str>, u32>) -> Result<Vec<u32>> {
    let token = |byte| format!("<0x{byte:02X}>");
    (0..=255u8)
        .map(|byte| ids.get(token(byte).as_str()).copied().ok_or_else(|| unusable("it lacks byte tokens")))
        .collect()
}

fn merges(ids: &FxHashMap<Cow<str>, u32>, lines: &[Text]) -> Result<Merges> {
    let mut merges = Merges::with_capacity_and_hasher(lines.len(), Default::default());
    let mut joined = String::new();
    for (rank, Text(line)) in lines.iter().enumerate() {
        let (left, right) = line.split_once(' ').ok_or_else(|| unusable(format!("bad merge {line:?}")))?;
        if spans_a_cut(left, right) {
            return Err(unusable(format!("the merge {line:?} crosses words")));
        }
        joined.clear();
        joined.extend([left, right]);
        let id = |token: &str| ids.get(token).copied().ok_or_else(|| unusable(format!("no token {token:?}")));
        merges.insert((id(left)?, id(right)?), (rank as u32, id(&joined)?));
    }
    Ok(merges)
}

fn spans_a_cut(left: &str, right: &str) -> bool {
    matches!((left.chars().next_back(), right.chars().next()), (Some(before), Some(after)) if is_cut(before, after))
}

/// Whether pieces may be encoded apart here. True only where no merge of the file joins the two characters, which
/// reading the file makes sure of: so that the pieces are words, few and worth remembering.
pub fn is_cut(before: char, after: char) -> bool {
    before != BLANK && (after == BLANK || before.is_alphabetic() != after.is_alphabetic())
}

fn unusable(reason: impl ToString) -> Error {
    let reason = reason.to_string();
    Error::missing_model(
        "tokenizer",
        format!("the tokenizer file can't be used: {reason}; run `smartrag models fetch`"),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The normaliser and byte tokens of the real file with a vocabulary of a few tokens.
    pub(crate) fn json(tokens: &[&str], merges: &[&str]) -> String {
        let bytes = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
        let all = ["<unk>", "<s>"].into_iter().map(String::from).chain(bytes);
        let all = all.chain(tokens.iter().map(|token| token.to_string()));
        let vocab: serde_json::Map<_, _> = all.zip((0..).map(|id: u32| id.into())).collect();
        serde_json::json!({
            "added_tokens": [{"id": 1, "content": "<s>", "special": true}],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
            "pre_tokenizer": null,
            "model": {"type": "BPE", "byte_fallback": true, "vocab": vocab, "merges": merges},
        })
        .to_string()
    }

    fn error(json: &str) -> String {
        Vocabulary::from_json(json.as_bytes()).err().map(|e| e.message).unwrap_or_default()
    }

    #[test]
    fn tokens_and_merges_are_read() -> Result<()> {
        let json = json(&["▁", "a", "\"", "▁a"], &["▁ a"]);
        let vocabulary = Vocabulary::from_json(json.as_bytes())?;
        assert_eq!(vocabulary.chars.get(&'"'), Some(&260));
        assert_eq!(vocabulary.merges.get(&(258, 259)), Some(&(0, 261)));
        assert_eq!((vocabulary.bytes[255], vocabulary.size), (257, 262));
        assert_eq!(vocabulary.specials, [("<s>".to_string(), 1)]);
        Ok(())
    }

    #[test]
    fn files_that_mean_something_else_are_refused() {
        assert!(error(&json(&["a", "▁", "a▁"], &["a ▁"])).contains("crosses words"));
        assert!(error(&json(&["a"], &["a b"])).contains("no token \"b\""));
        assert!(error(&json(&[], &["ab"])).contains("bad merge"));
        assert!(error(&json(&[], &[]).replace("Prepend", "Strip")).contains("not a byte-fallback BPE"));
        assert!(error(&json(&[], &[]).replace("<0x41>", "<0xZZ>")).contains("byte tokens"));
        assert!(error("{}").contains("models fetch"));
    }
}
