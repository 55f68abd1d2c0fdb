//! Builds the text of a fragment and the blocks that point into it.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::table::Table;
use super::{Bbox, Block, BlockKind, Cell, Fragment, Page, Provenance};
use crate::{Span, Warning};

/// Builds a fragment block by block.
///
/// Text is brought to NFC and trimmed at both ends of a block, nothing else; a block without text adds nothing.
/// Blocks are joined by a blank line, items of one list by a line break. The text of a table is its cells joined
/// by ` | `, its rows by a line break; line breaks in a cell become spaces.
#[derive(Debug, Default)]
pub struct FragmentBuilder {
    text: String,
    blocks: Vec<Block>,
    pages: Vec<Page>,
    warnings: Vec<Warning>,
    place: Place,
    gap: Option<String>,
}

/// Where the next blocks stand.
#[derive(Clone, Debug, Default)]
struct Place {
    page: Option<u32>,
    part: Option<String>,
    language: Option<String>,
}

impl FragmentBuilder {
    /// A fragment without text.
    pub fn new() -> Self {
        Self::default()
    }

    /// The zero-based page of the blocks from here on.
    pub fn set_page(&mut self, page: Option<u32>) {
        self.place.page = page;
    }

    /// The part of the file (sheet, slide, chapter, member) of the blocks from here on.
    pub fn set_part(&mut self, part: Option<String>) {
        self.place.part = part;
    }

    /// The language (BCP 47) of the blocks from here on, where the file declares it.
    pub fn set_language(&mut self, language: Option<String>) {
        self.place.language = language;
    }

    /// A heading of level 1 to 6; others are brought into that range.
    pub fn heading(&mut self, level: u8, text: impl AsRef<str>) -> BlockRef<'_> {
        self.block(BlockKind::Heading, level.clamp(1, 6), text)
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: impl AsRef<str>) -> BlockRef<'_> {
        self.block(BlockKind::Paragraph, 0, text)
    }

    /// An item of a list, nested `level` deep, counted from 1.
    pub fn list_item(&mut self, level: u8, text: impl AsRef<str>) -> BlockRef<'_> {
        self.block(BlockKind::ListItem, level.max(1), text)
    }

    /// Code. Blank lines around it go, the indentation of its first line stays.
    pub fn code(&mut self, text: impl AsRef<str>) -> BlockRef<'_> {
        self.block(BlockKind::Code, 0, text)
    }

    /// A quotation.
    pub fn quote(&mut self, text: impl AsRef<str>) -> BlockRef<'_> {
        self.block(BlockKind::Quote, 0, text)
    }

    /// The caption of a figure or table.
    pub fn caption(&mut self, text: impl AsRef<str>) -> BlockRef<'_> {
        self.block(BlockKind::Caption, 0, text)
    }

    /// A footnote or endnote.
    pub fn footnote(&mut self, text: impl AsRef<str>) -> BlockRef<'_> {
        self.block(BlockKind::Footnote, 0, text)
    }

    /// A formula that stands by itself.
    pub fn formula(&mut self, text: impl AsRef<str>) -> BlockRef<'_> {
        self.block(BlockKind::Formula, 0, text)
    }

    /// The text that stands for an image.
    pub fn image(&mut self, alt: impl AsRef<str>) -> BlockRef<'_> {
        self.block(BlockKind::Image, 0, alt)
    }

    /// Furniture at the top of a page.
    pub fn page_header(&mut self, text: impl AsRef<str>) -> BlockRef<'_> {
        self.block(BlockKind::PageHeader, 0, text)
    }

    /// Furniture at the bottom of a page.
    pub fn page_footer(&mut self, text: impl AsRef<str>) -> BlockRef<'_> {
        self.block(BlockKind::PageFooter, 0, text)
    }

    /// A block of any kind but a table.
    pub fn block(&mut self, kind: BlockKind, level: u8, text: impl AsRef<str>) -> BlockRef<'_> {
        let text = match kind {
            BlockKind::Code => trim_code(text.as_ref()),
            _ => text.as_ref().trim(),
        };
        if text.is_empty() {
            return BlockRef(None);
        }
        self.separate(kind);
        let span = self.append(text);
        self.push(kind, level, span, Vec::new())
    }

    /// A table. One without any text adds nothing.
    pub fn table(&mut self, table: &Table) -> BlockRef<'_> {
        if table.is_blank() {
            return BlockRef(None);
        }
        self.separate(BlockKind::Table);
        let start = self.text.len();
        let mut cells: Vec<Cell> = Vec::with_capacity(table.cells.len());
        for cell in &table.cells {
            match cells.last() {
                Some(last) if last.row == cell.row => self.text.push_str(" | "),
                Some(_) => self.text.push('\n'),
                None => {}
            }
            cells.push(Cell {
                row: cell.row,
                column: cell.column,
                row_span: cell.row_span,
                column_span: cell.column_span,
                header: cell.header,
                span: self.append(&one_line(&cell.text)),
            });
        }
        let span = span(start, self.text.len());
        self.push(BlockKind::Table, 0, span, cells)
    }

    /// The white space before the next block, instead of the usual one: for formats whose own is worth keeping.
    /// Anything but white space is left out.
    pub fn gap(&mut self, gap: &str) {
        self.gap = Some(gap.chars().filter(|c| c.is_whitespace()).collect());
    }

    /// Declares a page; see [`Page::new`].
    pub fn page(&mut self, page: Page) {
        self.pages.push(page);
    }

    /// Adds a warning.
    pub fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Whether there is no text yet.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The blocks so far.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The finished fragment.
    pub fn finish(self) -> Fragment {
        Fragment { text: self.text, blocks: self.blocks, pages: self.pages, warnings: self.warnings }
    }

    fn separate(&mut self, next: BlockKind) {
        let gap = self.gap.take();
        match self.blocks.last() {
            _ if gap.is_some() => self.text.extend(gap),
            None => {}
            Some(last) if last.kind == BlockKind::ListItem && next == BlockKind::ListItem => {
                self.text.push('\n')
            }
            Some(_) => self.text.push_str("\n\n"),
        }
    }

    /// Separators begin and end with characters that never compose, so that the whole is NFC if the parts are.
    fn append(&mut self, text: &str) -> Span {
        let start = self.text.len();
        match is_nfc(text) {
            true => self.text.push_str(text),
            false => self.text.extend(text.nfc()),
        }
        span(start, self.text.len())
    }

    fn push(&mut self, kind: BlockKind, level: u8, span: Span, cells: Vec<Cell>) -> BlockRef<'_> {
        let Place { page, part, language } = self.place.clone();
        let provenance = Provenance { page, bbox: None, part, time_ms: None };
        self.blocks.push(Block { kind, level, span, provenance, language, cells });
        BlockRef(self.blocks.last_mut())
    }
}

/// A block just added, to say more of it; nothing if it had no text.
#[derive(Debug)]
pub struct BlockRef<'a>(Option<&'a mut Block>);

impl BlockRef<'_> {
    /// Its place on the page, in points.
    pub fn bbox(self, bbox: Bbox) -> Self {
        self.with(|block| block.provenance.bbox = Some(bbox))
    }

    /// Its zero-based page.
    pub fn page(self, page: u32) -> Self {
        self.with(|block| block.provenance.page = Some(page))
    }

    /// Its time in a recording.
    pub fn time_ms(self, time: u64) -> Self {
        self.with(|block| block.provenance.time_ms = Some(time))
    }

    /// Its language, BCP 47.
    pub fn language(self, language: impl Into<String>) -> Self {
        self.with(|block| block.language = Some(language.into()))
    }

    fn with(mut self, change: impl FnOnce(&mut Block)) -> Self {
        if let Some(block) = self.0.as_deref_mut() {
            change(block);
        }
        self
    }
}

impl Page {
    /// A page without a label; its size is in points.
    pub fn new(number: u32, width: f32, height: f32, status: super::PageStatus) -> Self {
        Self { number, label: None, width, height, status, unmapped_ratio: 0.0 }
    }
}

/// Texts beyond 4 GiB can't exist in a guest.
pub(super) fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

fn trim_code(text: &str) -> &str {
    let text = text.trim_end();
    let indent = text.len() - text.trim_start().len();
    let first_line = text[..indent].rfind('\n').map_or(0, |at| at + 1);
    &text[first_line..]
}

fn one_line(text: &str) -> String {
    let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(fragment: &Fragment, span: Span) -> &str {
        &fragment.text[span.start as usize..span.end as usize]
    }

    #[test]
    fn spans_count_the_normalised_text() {
        let mut out = FragmentBuilder::new();
        out.heading(9, "Cafe\u{301} ");
        out.paragraph("  \n ");
        out.list_item(0, "u\u{308}ber");
        out.list_item(2, "zwei");
        out.code("\n\n    let x = 1;\n\n    x\n");
        let fragment = out.finish();
        assert_eq!(fragment.text, "Café\n\nüber\nzwei\n\n    let x = 1;\n\n    x");
        let texts: Vec<_> = fragment.blocks.iter().map(|block| slice(&fragment, block.span)).collect();
        assert_eq!(texts, ["Café", "über", "zwei", "    let x = 1;\n\n    x"]);
        let levels: Vec<_> = fragment.blocks.iter().map(|block| block.level).collect();
        assert_eq!(levels, [6, 1, 2, 0]);
    }

    #[test]
    fn cells_know_their_columns_under_spans() {
        let mut table = Table::new();
        table.row().spanning_cell("A", 2, 1, true).header("B\nb");
        table.row().cell("c").cell("");
        table.row().cell("d").spanning_cell("e", 0, 0, false);
        let mut out = FragmentBuilder::new();
        out.table(&table).page(4);
        let fragment = out.finish();
        assert_eq!(fragment.text, "A | B b\nc | \nd | e");
        let block = &fragment.blocks[0];
        assert_eq!(block.provenance.page, Some(4));
        let places: Vec<_> =
            block.cells.iter().map(|cell| (cell.row, cell.column, slice(&fragment, cell.span))).collect();
        assert_eq!(places, [(0, 0, "A"), (0, 1, "B b"), (1, 1, "c"), (1, 2, ""), (2, 0, "d"), (2, 1, "e")]);
    }

    #[test]
    fn a_row_without_cells_of_its_own_ends_the_spans_above() {
        let mut table = Table::new();
        table.row().spanning_cell("A", 2, 2, false);
        table.row();
        table.row().cell("b");
        assert_eq!((table.cells[1].row, table.cells[1].column), (2, 0));
    }
}
