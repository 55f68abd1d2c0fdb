//! Inputs that every plugin of a role must survive, each for a reason.

use bytes::Bytes;

use super::input::{Input, ParserInput, of_text};
use crate::plugins::PluginInfo;
use crate::types::{Chunk, Role};

const HUGE_BYTES: usize = 8 << 20;
/// Enrichers see at most this much of a document's text.
const DOCUMENT_BYTES: usize = 64 << 10;
const LONG_BYTES: usize = 1 << 20;
/// More than the host gives in one call.
const CHUNKS: usize = 600;
const PASSAGES: usize = 300;
const TEXT: &str = "The garden opens at nine. Führungen beginnen um 14 Uhr.\n\nTickets cost four euros.";
/// A combining accent alone, a right-to-left word, an emoji of several code points, a zero-width joiner, U+FFFD.
const ODD: &str = "\u{301}e\u{301} שלום 👩‍👩‍👧 \u{200d}\u{fffd}\u{10ffff} ﬁ Å";
const PASSAGE: &str = "The garden opens at nine, and tickets cost four euros.";

/// An input with what it is for.
pub struct Probe {
    /// Name of the check.
    pub name: &'static str,
    /// What goes in.
    pub input: Input,
    /// The host's own fences may end this one.
    pub may_hit_a_limit: bool,
}

/// Something ordinary of the role, where the author gives no sample.
pub fn sample(info: &PluginInfo) -> Option<Input> {
    match info.role {
        Role::Parser => Some(Input::Parser(file(info, TEXT.as_bytes().to_vec()))),
        role => of_text(role, TEXT, &[PASSAGE.to_owned(), TEXT.to_owned()]).ok(),
    }
}

/// The probes of a role, made from a sample.
pub fn probes(sample: &Input) -> Vec<Probe> {
    let sized = |name, input| Probe { name, input, may_hit_a_limit: true };
    let plain = |name, input| Probe { name, input, may_hit_a_limit: false };
    match sample {
        Input::Parser(file) => {
            let with = |bytes: Vec<u8>| Input::Parser(ParserInput { bytes: bytes.into(), ..file.clone() });
            vec![
                plain("empty input", with(Vec::new())),
                plain("cut input", with(file.bytes[..file.bytes.len() / 2].to_vec())),
                plain("invalid UTF-8", with(spoilt(&file.bytes))),
                plain("random bytes", with(noise(64 << 10))),
                sized("huge input", with(repeated(&file.bytes, HUGE_BYTES))),
            ]
        }
        Input::Enricher(document, chunks) => {
            let with = |text: String, count: usize| {
                let chunk = |index: usize| Chunk { text: text.clone(), index: index as u32, ..one(chunks) };
                let text_of_document = text.clone();
                let document = crate::plugins::EnrichDocument { text: text_of_document, ..document.clone() };
                Input::Enricher(document, (0..count).map(chunk).collect())
            };
            vec![
                plain("empty input", with(String::new(), 1)),
                plain("no chunks", with(TEXT.into(), 0)),
                plain("many chunks", with(TEXT.into(), CHUNKS)),
                plain("odd Unicode", with(ODD.into(), 2)),
                sized("huge input", with(long(DOCUMENT_BYTES), 8)),
            ]
        }
        Input::Embedder(_, purpose) => {
            let with = |texts: Vec<String>| Input::Embedder(texts, *purpose);
            vec![
                plain("empty input", with(vec![String::new()])),
                plain("many texts", with((0..CHUNKS).map(|n| format!("{TEXT} {n}")).collect())),
                plain("odd Unicode", with(vec![ODD.into()])),
                sized("huge input", with(vec![long(LONG_BYTES)])),
            ]
        }
        Input::Reranker(query, passages) => {
            let with = |query: &str, passages: Vec<String>| Input::Reranker(query.to_owned(), passages);
            vec![
                plain("empty input", with("", passages.clone())),
                plain("no passages", with(query, Vec::new())),
                plain("empty passage", with(query, vec![String::new(), PASSAGE.into()])),
                plain("many passages", with(query, vec![PASSAGE.to_owned(); PASSAGES])),
                plain("odd Unicode", with(ODD, vec![ODD.into()])),
                sized("huge input", with(query, vec![long(LONG_BYTES)])),
            ]
        }
        Input::Generator(request) => {
            let with = |question: &str, texts: &[String]| {
                let input = of_text(Role::Generator, question, texts);
                input.unwrap_or_else(|_| sample.clone())
            };
            let question = request.question.as_str();
            vec![
                plain("empty input", with("", &[])),
                plain("no passages", with(question, &[])),
                plain("odd Unicode", with(ODD, &[ODD.to_owned()])),
                sized("huge input", with(question, &vec![long(LONG_BYTES); 4])),
            ]
        }
    }
}

fn file(info: &PluginInfo, bytes: Vec<u8>) -> ParserInput {
    let file_type = info.file_types.first().cloned().unwrap_or_default();
    ParserInput { bytes: Bytes::from(bytes), filename: format!("sample.{file_type}"), file_type }
}

fn one(chunks: &[Chunk]) -> Chunk {
    chunks.first().cloned().unwrap_or(Chunk {
        index: 0,
        text: String::new(),
        chars: 0..0,
        page: None,
        heading_path: Vec::new(),
        context: None,
        language: None,
        tokens: 0,
        metadata: Default::default(),
    })
}

/// Bytes that are no UTF-8 in the middle of a sample.
fn spoilt(bytes: &[u8]) -> Vec<u8> {
    let (before, after) = bytes.split_at(bytes.len() / 2);
    [before, b"\xff\xfe\xc3\x28\xed\xa0\x80", after].concat()
}

/// The same bytes every time (xorshift).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn repeated(bytes: &[u8], len: usize) -> Vec<u8> {
    bytes.repeat(len / bytes.len().max(1) + 1)
}

fn long(len: usize) -> String {
    let mut text = TEXT.repeat(len / TEXT.len() + 1);
    text.truncate(text.floor_char_boundary(len));
    text
}
