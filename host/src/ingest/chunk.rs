//! Cuts a parsed document into chunks along its structure.
//!
//! A chunk is a run of whole blocks under one heading path, as long as the budget allows. A longer block is a chunk of
//! its own if it is no longer than `block_tokens`; else it is cut between sentences (rows, lines), and the pieces
//! overlap by whole sentences. Page furniture ends a chunk and is in none. Law: `text[span]` is the chunk, and its character offsets count the same place.

use std::ops::Range;
use std::rc::Rc;

use crate::text;
use crate::types::{Block, BlockKind, ChunkSpan, Parsed};

/// Name and version of this chunker in provenance records.
pub const CHUNKER: &str = "structure 1";

/// Bytes of a heading that stand in the paths of all below it.
const HEADING_BYTES_MAX: usize = 512;
/// Bytes that one token stands for at most: what an embedder does not know must not become one endless chunk.
const TOKEN_BYTES_MAX: usize = 64;

/// How large chunks become, in tokens of the embedder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Of a chunk of several blocks.
    pub tokens: u32,
    /// Of a block that stays whole; at least `tokens`.
    pub block_tokens: u32,
    /// That a cut block repeats, at most.
    pub overlap: u32,
}

/// A piece of text that is not cut further.
struct Unit {
    span: Range<usize>,
    tokens: u32,
    page: Option<u32>,
    /// The block it was cut from, if it was cut: pieces of one block overlap.
    cut_from: Option<usize>,
    /// The header of the table that it continues.
    context: Option<Rc<str>>,
}

/// What the walk over the blocks yields.
enum Item {
    /// A heading path begins.
    Section(Vec<String>),
    /// Text of the present section.
    Unit(Unit),
    /// Nothing may reach across.
    Break,
}

/// Cuts `parsed` into chunks; `count` tells the tokens of texts in the embedder's measure.
///
/// # Errors
/// Those of `count`.
pub fn chunk<E>(
    parsed: &Parsed,
    budget: Budget,
    mut count: impl FnMut(&[&str]) -> Result<Vec<u32>, E>,
) -> Result<Vec<ChunkSpan>, E> {
    let whole;
    let blocks = if parsed.blocks.is_empty() {
        whole = [whole_text(&parsed.text)];
        &whole[..]
    } else {
        &parsed.blocks[..]
    };
    let mut count = |texts: &[&str]| {
        let least = |(tokens, text): (u32, &&str)| tokens.max((text.len() / TOKEN_BYTES_MAX) as u32);
        count(texts).map(|tokens| tokens.into_iter().zip(texts).map(least).collect::<Vec<_>>())
    };
    let texts: Vec<&str> = blocks.iter().map(|block| &parsed.text[block.span.clone()]).collect();
    let tokens = count(&texts)?;
    let items = items(&parsed.text, blocks, &tokens, budget, &mut count)?;
    Ok(with_chars(&parsed.text, pack(items, budget)))
}

fn whole_text(text: &str) -> Block {
    Block {
        kind: BlockKind::Paragraph,
        level: 0,
        span: 0..text.len(),
        page: None,
        bbox: None,
        part: None,
        language: None,
        cells: Vec::new(),
    }
}

fn items<E>(
    text: &str,
    blocks: &[Block],
    tokens: &[u32],
    budget: Budget,
    count: &mut impl FnMut(&[&str]) -> Result<Vec<u32>, E>,
) -> Result<Vec<Item>, E> {
    let mut items = Vec::new();
    let mut path: Vec<(u8, String)> = Vec::new();
    for (index, (block, &tokens)) in blocks.iter().zip(tokens).enumerate() {
        let span = trimmed(text, block.span.clone());
        if span.is_empty() {
            continue;
        }
        let unit = |span, tokens| Unit { span, tokens, page: block.page, cut_from: None, context: None };
        match block.kind {
            kind if kind.is_furniture() => items.push(Item::Break),
            BlockKind::Heading => {
                let leaf = !has_body(&blocks[index + 1..], block.level);
                path.retain(|(level, _)| *level < block.level);
                let title = &text[span.clone()];
                let title = one_line(&title[..title.floor_char_boundary(HEADING_BYTES_MAX)]);
                path.push((block.level, title));
                items.push(Item::Section(path.iter().map(|(_, title)| title.clone()).collect()));
                if leaf {
                    items.push(Item::Unit(unit(span, tokens)));
                }
            }
            _ if tokens <= budget.block_tokens => items.push(Item::Unit(unit(span, tokens))),
            _ => items.extend(cut(text, block, index, budget, count)?.into_iter().map(Item::Unit)),
        }
    }
    Ok(items)
}

/// Whether a heading of `level` is followed by text or by a heading below it; else it must be a chunk of its own.
fn has_body(following: &[Block], level: u8) -> bool {
    let next = following.iter().find(|block| !block.kind.is_furniture());
    next.is_some_and(|block| block.kind != BlockKind::Heading || block.level > level)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let piece = &text[span.clone()];
    let start = span.start + (piece.len() - piece.trim_start_matches(['\n', '\r']).len());
    let end = span.start + piece.trim_end().len();
    start..end.max(start)
}

/// The smallest pieces of a block that is too long: sentences, rows or lines; words where even those are too long.
fn cut<E>(
    text: &str,
    block: &Block,
    index: usize,
    budget: Budget,
    count: &mut impl FnMut(&[&str]) -> Result<Vec<u32>, E>,
) -> Result<Vec<Unit>, E> {
    let piece = &text[block.span.clone()];
    let spans: Vec<Range<usize>> = match block.kind {
        BlockKind::Table | BlockKind::Code => lines(piece),
        _ => text::sentences(piece),
    };
    let texts: Vec<&str> = spans.iter().map(|span| &piece[span.clone()]).collect();
    let tokens = count(&texts)?;
    let context = table_header(text, block);
    let mut units: Vec<Unit> = Vec::with_capacity(spans.len());
    for (span, tokens) in spans.into_iter().zip(tokens) {
        let parts = tokens.div_ceil(budget.tokens.max(1)).max(1);
        for part in split_words(piece, span, parts as usize) {
            let span = block.span.start + part.start..block.span.start + part.end;
            let tokens = tokens / parts;
            let context = context.clone().filter(|_| !units.is_empty());
            units.push(Unit { span, tokens, page: block.page, cut_from: Some(index), context });
        }
    }
    Ok(units)
}

fn lines(piece: &str) -> Vec<Range<usize>> {
    let mut at = 0;
    let ranges = piece.split_inclusive('\n').map(|line| {
        let range = at..at + line.trim_end().len();
        at += line.len();
        range
    });
    ranges.filter(|range| !range.is_empty()).collect()
}

/// The text of the header rows, or of the first row.
fn table_header(text: &str, block: &Block) -> Option<Rc<str>> {
    if block.kind != BlockKind::Table {
        return None;
    }
    let rows = block.cells.iter().filter(|cell| cell.header).map(|cell| cell.row).max().unwrap_or(0);
    let end = block.cells.iter().filter(|cell| cell.row <= rows).map(|cell| cell.span.end).max()?;
    let header = text.get(block.span.start..end)?.trim();
    (!header.is_empty() && header.len() <= 2000).then(|| header.into())
}

/// Cuts `span` into about `parts` equal pieces at white space, or between characters where there is none.
fn split_words(piece: &str, span: Range<usize>, parts: usize) -> Vec<Range<usize>> {
    let size = span.len().div_ceil(parts);
    let mut pieces = Vec::with_capacity(parts);
    let mut start = span.start;
    while span.end - start > size + size / 4 {
        let limit = piece.floor_char_boundary(start + size);
        let white = piece[start..limit].rfind(char::is_whitespace).filter(|at| *at > size / 2);
        let next = white.map_or(limit, |at| start + at);
        let end = start + piece[start..next].trim_end().len();
        if end > start {
            pieces.push(start..end);
        }
        start = next + (piece[next..span.end].len() - piece[next..span.end].trim_start().len());
    }
    if start < span.end {
        pieces.push(start..span.end);
    }
    pieces
}

/// Joins units until the budget is full.
fn pack(items: Vec<Item>, budget: Budget) -> Vec<ChunkSpan> {
    let mut packer =
        Packer { budget, path: Vec::new(), open: Vec::new(), filled: 0, fresh: 0, chunks: Vec::new() };
    for item in items {
        match item {
            Item::Section(path) => {
                packer.flush();
                packer.path = path;
            }
            Item::Break => packer.flush(),
            Item::Unit(unit) => packer.push(unit),
        }
    }
    packer.flush();
    packer.chunks
}

struct Packer {
    budget: Budget,
    path: Vec<String>,
    open: Vec<Unit>,
    /// Tokens of `open`; a unit without any counts as one.
    filled: u32,
    /// How many of `open` are in no chunk yet; the others are overlap.
    fresh: usize,
    chunks: Vec<ChunkSpan>,
}

impl Packer {
    fn push(&mut self, unit: Unit) {
        let weight = |unit: &Unit| unit.tokens.max(1);
        if self.fresh > 0 && self.filled.saturating_add(weight(&unit)) > self.budget.tokens {
            let overlap = self.overlap(&unit);
            self.flush();
            self.filled = overlap.iter().map(weight).sum();
            self.open = overlap;
        }
        self.filled = self.filled.saturating_add(weight(&unit));
        self.open.push(unit);
        self.fresh += 1;
    }

    /// The last units of the open chunk that come from the same cut block, as far as the overlap allows.
    fn overlap(&mut self, next: &Unit) -> Vec<Unit> {
        let Some(block) = next.cut_from.filter(|_| next.context.is_none()) else { return Vec::new() };
        let mut room = self.budget.overlap.min(self.budget.tokens.saturating_sub(next.tokens));
        let fits = self.open.iter().rev().take_while(|unit| {
            let fits = unit.cut_from == Some(block) && unit.tokens <= room;
            room = room.saturating_sub(unit.tokens);
            fits
        });
        let keep = fits.count().min(self.open.len().saturating_sub(1));
        let from = self.open.len() - keep;
        self.open[from..]
            .iter()
            .map(|unit| Unit { span: unit.span.clone(), context: None, ..*unit })
            .collect()
    }

    fn flush(&mut self) {
        let units = std::mem::take(&mut self.open);
        self.filled = 0;
        let fresh = std::mem::take(&mut self.fresh);
        if fresh == 0 {
            return;
        }
        let (Some(first), Some(last)) = (units.first(), units.last()) else { return };
        self.chunks.push(ChunkSpan {
            span: first.span.start..last.span.end,
            chars: 0..0,
            page: first.page,
            heading_path: self.path.clone(),
            context: first.context.as_deref().map(str::to_owned),
            tokens: units.iter().map(|unit| unit.tokens).sum(),
        });
    }
}

/// Fills in character offsets: one walk over the text.
fn with_chars(text: &str, mut chunks: Vec<ChunkSpan>) -> Vec<ChunkSpan> {
    let mut edges: Vec<usize> = chunks.iter().flat_map(|chunk| [chunk.span.start, chunk.span.end]).collect();
    edges.sort_unstable();
    edges.dedup();
    let (mut at, mut chars) = (0, 0);
    let counts: Vec<usize> = edges
        .iter()
        .map(|&edge| {
            chars += text[at..edge].chars().count();
            at = edge;
            chars
        })
        .collect();
    let count = |byte: usize| edges.binary_search(&byte).map_or(0, |index| counts[index]);
    for chunk in &mut chunks {
        chunk.chars = count(chunk.span.start)..count(chunk.span.end);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn words(texts: &[&str]) -> Result<Vec<u32>, Infallible> {
        Ok(texts.iter().map(|text| text.split_whitespace().count() as u32).collect())
    }

    fn document(parts: &[(BlockKind, u8, &str)]) -> Parsed {
        let mut parsed = Parsed::default();
        for (kind, level, text) in parts {
            if !parsed.text.is_empty() {
                parsed.text.push_str("\n\n");
            }
            let start = parsed.text.len();
            parsed.text.push_str(text);
            parsed.blocks.push(Block {
                kind: *kind,
                level: *level,
                span: start..parsed.text.len(),
                ..whole_text("")
            });
        }
        parsed
    }

    fn cut(parsed: &Parsed, tokens: u32, overlap: u32) -> Vec<ChunkSpan> {
        cut_with(parsed, Budget { tokens, block_tokens: tokens, overlap })
    }

    fn cut_with(parsed: &Parsed, budget: Budget) -> Vec<ChunkSpan> {
        let Ok(chunks) = chunk(parsed, budget, words);
        chunks
    }

    fn texts<'a>(parsed: &'a Parsed, chunks: &[ChunkSpan]) -> Vec<&'a str> {
        chunks.iter().map(|chunk| &parsed.text[chunk.span.clone()]).collect()
    }

    use BlockKind::{Heading, PageFooter, Paragraph};

    #[test]
    fn chunks_stay_under_one_heading_path() {
        let parsed = document(&[
            (Heading, 1, "Guide"),
            (Paragraph, 0, "Intro."),
            (Heading, 2, "Install"),
            (Paragraph, 0, "Do this."),
            (Paragraph, 0, "Then that."),
            (Heading, 2, "Empty"),
        ]);
        let chunks = cut(&parsed, 50, 5);
        assert_eq!(texts(&parsed, &chunks), ["Intro.", "Do this.\n\nThen that.", "Empty"]);
        assert_eq!(chunks[1].heading_path, ["Guide", "Install"]);
        assert_eq!(chunks[2].heading_path, ["Guide", "Empty"]);
    }

    #[test]
    fn long_blocks_are_cut_between_sentences_and_overlap() {
        let parsed = document(&[(Paragraph, 0, "One two three. Four five. Six seven eight. Nine ten.")]);
        let chunks = cut(&parsed, 5, 2);
        assert_eq!(
            texts(&parsed, &chunks),
            ["One two three. Four five.", "Four five. Six seven eight.", "Nine ten."]
        );
    }

    #[test]
    fn blocks_a_little_too_long_stay_whole_and_alone() {
        let parsed = document(&[
            (Paragraph, 0, "Short."),
            (Paragraph, 0, "One two three. Four five six."),
            (Paragraph, 0, "Also short."),
            (Paragraph, 0, "One two three. Four five six. Seven eight nine."),
        ]);
        let chunks = cut_with(&parsed, Budget { tokens: 4, block_tokens: 8, overlap: 0 });
        assert_eq!(
            texts(&parsed, &chunks),
            [
                "Short.",
                "One two three. Four five six.",
                "Also short.",
                "One two three.",
                "Four five six.",
                "Seven eight nine."
            ]
        );
    }

    #[test]
    fn furniture_is_in_no_chunk() {
        let parsed =
            document(&[(Paragraph, 0, "Above."), (PageFooter, 0, "Page 1"), (Paragraph, 0, "Below.")]);
        assert_eq!(texts(&parsed, &cut(&parsed, 50, 0)), ["Above.", "Below."]);
    }

    #[test]
    fn later_rows_of_a_table_carry_its_header() {
        let mut parsed = document(&[(BlockKind::Table, 0, "Name | Age\nAnn | 1\nBob | 2\nCem | 3")]);
        let cell = |row, span: Range<usize>| crate::types::Cell {
            row,
            column: 0,
            row_span: 1,
            column_span: 1,
            header: row == 0,
            span,
        };
        parsed.blocks[0].cells = vec![cell(0, 0..10), cell(1, 11..18)];
        let chunks = cut(&parsed, 6, 3);
        assert_eq!(texts(&parsed, &chunks), ["Name | Age\nAnn | 1", "Bob | 2\nCem | 3"]);
        assert_eq!(chunks[0].context, None);
        assert_eq!(chunks[1].context.as_deref(), Some("Name | Age"));
    }

    #[test]
    fn no_heading_weighs_down_all_below_it() {
        let endless = "ä ".repeat(100_000);
        let parsed = document(&[(BlockKind::Heading, 1, &endless), (BlockKind::Paragraph, 0, "text")]);
        let chunks = cut(&parsed, 10, 0);
        assert!(chunks.iter().all(|chunk| chunk.heading_path.concat().len() <= HEADING_BYTES_MAX));
    }

    #[test]
    fn what_counts_no_tokens_still_fills_chunks() {
        let none = |texts: &[&str]| Ok::<_, Infallible>(vec![0; texts.len()]);
        let budget = Budget { tokens: 10, block_tokens: 20, overlap: 0 };
        let many = document(&[(BlockKind::Paragraph, 0, "*"); 95]);
        assert_eq!(chunk(&many, budget, none).unwrap().len(), 10);
        let long = document(&[(BlockKind::Paragraph, 0, &"*".repeat(10_000))]);
        let chunks = chunk(&long, budget, none).unwrap();
        assert!(chunks.iter().all(|chunk| chunk.span.len() <= 20 * TOKEN_BYTES_MAX), "{}", chunks.len());
    }

    #[test]
    fn a_document_without_blocks_is_one_paragraph() {
        let parsed = Parsed { text: "Grüße.".into(), ..Parsed::default() };
        let chunks = cut(&parsed, 10, 0);
        assert_eq!(chunks[0].chars, 0..6);
    }

    fn blocks() -> impl Strategy<Value = Vec<(BlockKind, u8, String)>> {
        let kind = prop_oneof![
            1 => Just((Heading, 1)), 1 => Just((Heading, 2)), 1 => Just((PageFooter, 0)),
            4 => Just((Paragraph, 0)), 1 => Just((BlockKind::Table, 0)), 1 => Just((BlockKind::Code, 0)),
        ];
        prop::collection::vec((kind, "[a-cäß€ .\n]{0,120}"), 0..12)
            .prop_map(|list| list.into_iter().map(|((kind, level), text)| (kind, level, text)).collect())
    }

    proptest! {
        #[test]
        fn spans_are_the_text_and_nothing_is_lost(parts in blocks(), tokens in 1u32..30, more in 0u32..30, overlap in 0u32..10) {
            let parts: Vec<_> = parts.iter().map(|(kind, level, text)| (*kind, *level, text.as_str())).collect();
            let parsed = document(&parts);
            let chunks = cut_with(&parsed, Budget { tokens, block_tokens: tokens + more, overlap });
            let chars: Vec<char> = parsed.text.chars().collect();
            let mut covered = vec![false; parsed.text.len()];
            for chunk in &chunks {
                let text = &parsed.text[chunk.span.clone()];
                prop_assert!(!text.trim().is_empty());
                let by_chars: String = chars[chunk.chars.clone()].iter().collect();
                prop_assert_eq!(text, by_chars);
                covered[chunk.span.clone()].fill(true);
            }
            for block in &parsed.blocks {
                let body = !block.kind.is_furniture() && block.kind != Heading;
                for (at, c) in parsed.text[block.span.clone()].char_indices() {
                    let seen = covered[block.span.start + at];
                    prop_assert!(!body || c.is_whitespace() || seen, "lost {c:?} of {:?}", block);
                    prop_assert!(!(block.kind.is_furniture() && !c.is_whitespace() && seen), "furniture");
                }
            }
        }
    }
}
