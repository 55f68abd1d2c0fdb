//! Checks and converts what a parser returns. A guest is never believed.

use std::ops::Range;

use super::normal::{OffsetMap, normalise};
use crate::plugins::bindings::v0_1_0::imports::types as wit;
use crate::plugins::bindings::v0_1_0::parser::exports::smartrag::plugin::parser as guest;
use crate::plugins::fault::{shortened, stable_code};
use crate::types::{Block, BlockKind, Cell, JsonMap, Page, PageStatus, Warning};

/// Annotations of one thing; they are kept with it, and sent with it.
const ANNOTATIONS_MAX: usize = 1000;
const ANNOTATION_BYTES_MAX: usize = 1 << 20;

/// The checked text of a range of pages; spans point into `text`.
#[derive(Debug, Default, PartialEq)]
pub struct Fragment {
    pub text: String,
    pub blocks: Vec<Block>,
    pub pages: Vec<Page>,
    pub warnings: Vec<Warning>,
}

impl Fragment {
    /// Bytes of all its texts: those of blocks and pages count as well.
    pub fn bytes(&self) -> usize {
        let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let blocks = self.blocks.iter().map(|block| len(&block.part) + len(&block.language));
        let pages = self.pages.iter().map(|page| len(&page.label));
        self.text.len() + blocks.sum::<usize>() + pages.sum::<usize>()
    }
}

/// Checks a fragment of `pages`; the error says what is wrong with it.
pub fn fragment(raw: guest::Fragment, pages: &Range<u32>, paged: bool) -> Result<Fragment, String> {
    let mut blocks = Vec::with_capacity(raw.blocks.len());
    let mut end = 0;
    for (index, block) in raw.blocks.into_iter().enumerate() {
        let block =
            convert(block, &raw.text, pages, paged).map_err(|what| format!("block {index}: {what}"))?;
        if block.span.start < end {
            return Err(format!("block {index} at {:?} overlaps or precedes the one before", block.span));
        }
        end = block.span.end;
        blocks.push(block);
    }
    let page_list = if paged { page_list(raw.pages, pages)? } else { Vec::new() };
    let (text, map) = normalise(without_nul(raw.text));
    if let Some(map) = map {
        blocks.iter_mut().for_each(|block| remap(block, &map));
    }
    let warnings = raw.warnings.into_iter().map(warning).collect();
    Ok(Fragment { text, blocks, pages: page_list, warnings })
}

/// A NUL breaks C strings further on; a space is as long, so offsets stay.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', " ") } else { text }
}

fn remap(block: &mut Block, map: &OffsetMap) {
    let remapped = |span: &Range<usize>| map.map(span.start)..map.map(span.end);
    block.span = remapped(&block.span);
    block.cells.iter_mut().for_each(|cell| cell.span = remapped(&cell.span));
}

fn span(raw: wit::Span, text: &str) -> Result<Range<usize>, String> {
    let span = raw.start as usize..raw.end as usize;
    match text.get(span.clone()) {
        Some(_) => Ok(span),
        None => {
            Err(format!("span {span:?} is not a range of whole characters of a text of {} bytes", text.len()))
        }
    }
}

fn convert(raw: guest::Block, text: &str, pages: &Range<u32>, paged: bool) -> Result<Block, String> {
    let span = span(raw.span, text)?;
    let page = raw.provenance.page.filter(|_| paged);
    if let Some(page) = page.filter(|page| !pages.contains(page)) {
        return Err(format!("page {page} was not asked for, pages {pages:?} were"));
    }
    let kind = kind(raw.kind);
    let cells = raw.cells.into_iter().map(|raw| cell(raw, text, &span)).collect::<Result<_, _>>()?;
    Ok(Block {
        kind,
        level: level(kind, raw.level),
        page,
        bbox: raw
            .provenance
            .bbox
            .map(|b| [b.x0, b.y0, b.x1, b.y1])
            .filter(|b| b.iter().all(|v| v.is_finite())),
        part: raw.provenance.part.map(shortened),
        language: raw.language.and_then(language),
        cells,
        span,
    })
}

fn level(kind: BlockKind, level: u8) -> u8 {
    match kind {
        BlockKind::Heading => level.clamp(1, 6),
        BlockKind::ListItem => level.max(1),
        _ => 0,
    }
}

fn cell(raw: guest::Cell, text: &str, block: &Range<usize>) -> Result<Cell, String> {
    let span = span(raw.span, text)?;
    if span.start < block.start || span.end > block.end {
        return Err(format!("cell at {span:?} lies outside of its block at {block:?}"));
    }
    Ok(Cell {
        row: raw.row,
        column: raw.column,
        row_span: raw.row_span.max(1),
        column_span: raw.column_span.max(1),
        header: raw.header,
        span,
    })
}

fn page_list(raw: Vec<guest::Page>, asked: &Range<u32>) -> Result<Vec<Page>, String> {
    let numbers: Vec<u32> = raw.iter().map(|page| page.number).collect();
    if !numbers.iter().copied().eq(asked.clone()) {
        return Err(format!("pages {asked:?} were asked for, {numbers:?} came back"));
    }
    Ok(raw.into_iter().map(page).collect())
}

fn page(raw: guest::Page) -> Page {
    let points = |value: f32| if value.is_finite() { value.max(0.0) } else { 0.0 };
    Page {
        number: raw.number,
        label: raw.label.map(shortened),
        width: points(raw.width),
        height: points(raw.height),
        status: status(raw.status),
    }
}

/// A warning with a stable code and a message of bounded length.
pub fn warning(raw: wit::Warning) -> Warning {
    Warning { code: stable_code(raw.code), detail: shortened(raw.message), page: raw.page }
}

/// A BCP 47 tag, or nothing.
pub fn language(tag: String) -> Option<String> {
    let ok = (2..=35).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    ok.then_some(tag)
}

/// A title or label on one line, in NFC; nothing if it is blank.
pub fn line(text: String) -> Option<String> {
    let (text, _) = normalise(shortened(text).replace(char::is_control, " "));
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Annotations as an object; the error says that they are too many, or names the first value that is not JSON.
pub fn annotations(raw: Vec<wit::Annotation>) -> Result<JsonMap, String> {
    let bytes: usize = raw.iter().map(|annotation| annotation.key.len() + annotation.value.len()).sum();
    if raw.len() > ANNOTATIONS_MAX || bytes > ANNOTATION_BYTES_MAX {
        return Err(format!(
            "{} annotations of {bytes} bytes came back, {ANNOTATIONS_MAX} of {ANNOTATION_BYTES_MAX} bytes together are \
             the most",
            raw.len()
        ));
    }
    raw.into_iter()
        .map(|annotation| match serde_json::from_str(&annotation.value) {
            Ok(value) => Ok((annotation.key, value)),
            Err(error) => Err(format!("the value of annotation {:?} is not JSON: {error}", annotation.key)),
        })
        .collect()
}

fn kind(kind: guest::BlockKind) -> BlockKind {
    match kind {
        guest::BlockKind::Heading => BlockKind::Heading,
        guest::BlockKind::Paragraph => BlockKind::Paragraph,
        guest::BlockKind::ListItem => BlockKind::ListItem,
        guest::BlockKind::Code => BlockKind::Code,
        guest::BlockKind::Quote => BlockKind::Quote,
        guest::BlockKind::Table => BlockKind::Table,
        guest::BlockKind::Caption => BlockKind::Caption,
        guest::BlockKind::Footnote => BlockKind::Footnote,
        guest::BlockKind::Formula => BlockKind::Formula,
        guest::BlockKind::Image => BlockKind::Image,
        guest::BlockKind::PageHeader => BlockKind::PageHeader,
        guest::BlockKind::PageFooter => BlockKind::PageFooter,
        guest::BlockKind::Other => BlockKind::Other,
    }
}

fn status(status: guest::PageStatus) -> PageStatus {
    match status {
        guest::PageStatus::Ok => PageStatus::Ok,
        guest::PageStatus::Empty => PageStatus::Empty,
        guest::PageStatus::NeedsOcr => PageStatus::NeedsOcr,
        guest::PageStatus::Failed => PageStatus::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: u32, end: u32) -> guest::Block {
        guest::Block {
            kind: guest::BlockKind::Paragraph,
            level: 9,
            span: wit::Span { start, end },
            provenance: guest::Provenance { page: None, bbox: None, part: None, time_ms: None },
            language: None,
            cells: Vec::new(),
        }
    }

    fn raw(text: &str, blocks: Vec<guest::Block>) -> guest::Fragment {
        guest::Fragment { text: text.into(), blocks, pages: Vec::new(), warnings: Vec::new() }
    }

    fn cell_at(start: u32, end: u32) -> guest::Cell {
        let span = wit::Span { start, end };
        guest::Cell { row: 0, column: 0, row_span: 0, column_span: 0, header: false, span }
    }

    #[test]
    fn bad_spans_are_refused() {
        let outside = vec![block(0, 6)];
        let reversed = vec![block(3, 2)];
        let inside_a_character = vec![block(0, 2)];
        let overlapping = vec![block(0, 3), block(2, 5)];
        let unordered = vec![block(3, 5), block(0, 3)];
        let cell_outside = vec![guest::Block { cells: vec![cell_at(0, 4)], ..block(0, 3) }];
        for blocks in [outside, reversed, inside_a_character, overlapping, unordered, cell_outside] {
            let shown = format!("{blocks:?}");
            assert!(fragment(raw("aäbc", blocks), &(0..1), false).is_err(), "{shown}");
        }
        assert!(fragment(raw("aäbc", vec![block(0, 3), block(3, 5)]), &(0..1), false).is_ok());
    }

    #[test]
    fn text_becomes_nfc_without_nul_and_spans_follow() {
        let text = "u\u{308}\0b";
        let blocks = vec![guest::Block { cells: vec![cell_at(0, 3)], ..block(0, 3) }, block(4, 5)];
        let checked = fragment(raw(text, blocks), &(0..1), false).unwrap();
        assert_eq!(checked.text, "ü b");
        assert_eq!(&checked.text[checked.blocks[0].span.clone()], "ü");
        assert_eq!(&checked.text[checked.blocks[0].cells[0].span.clone()], "ü");
        assert_eq!(&checked.text[checked.blocks[1].span.clone()], "b");
    }

    #[test]
    fn pages_are_those_asked_for() {
        let page = |number| guest::Page {
            number,
            label: None,
            width: f32::NAN,
            height: 10.0,
            status: guest::PageStatus::Ok,
            unmapped_ratio: 0.0,
        };
        let with = |numbers: &[u32]| guest::Fragment {
            pages: numbers.iter().map(|n| page(*n)).collect(),
            ..raw("", Vec::new())
        };
        assert!(fragment(with(&[2]), &(2..4), true).is_err());
        assert!(fragment(with(&[3, 2]), &(2..4), true).is_err());
        let checked = fragment(with(&[2, 3]), &(2..4), true).unwrap();
        assert_eq!(checked.pages.len(), 2);
        assert_eq!(checked.pages[0].width, 0.0);
        assert!(fragment(with(&[]), &(0..1), false).unwrap().pages.is_empty());

        let mut stray = block(0, 1);
        stray.provenance.page = Some(9);
        assert!(fragment(raw("a", vec![stray]), &(2..4), true).is_err());
    }

    #[test]
    fn texts_beside_the_text_count() {
        let mut with_part = block(0, 1);
        with_part.provenance.part = Some("p".repeat(500));
        with_part.language = Some("de".into());
        assert_eq!(fragment(raw("abc", vec![with_part]), &(0..1), false).unwrap().bytes(), 3 + 500 + 2);
    }

    #[test]
    fn annotations_are_json() {
        let annotation = |value: &str| wit::Annotation { key: "k".into(), value: value.into() };
        assert_eq!(annotations(vec![annotation("[1]")]).unwrap()["k"], serde_json::json!([1]));
        assert!(annotations(vec![annotation("nonsense")]).unwrap_err().contains("\"k\""));
        assert!(annotations(vec![annotation("1"); ANNOTATIONS_MAX]).is_ok());
        assert!(annotations(vec![annotation("1"); ANNOTATIONS_MAX + 1]).unwrap_err().contains("the most"));
        let long = format!("\"{}\"", "x".repeat(ANNOTATION_BYTES_MAX));
        assert!(annotations(vec![annotation(&long)]).is_err());
    }
}
