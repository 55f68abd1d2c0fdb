//! An open document: pages by range, with what is learnt from one range kept for the next.

use crate::fonts::Fonts;
use crate::furniture::Furniture;
use crate::labels::Labels;
use crate::layout::{self, Block};
use crate::meta::{self, Meta};
use crate::page::{self, PageText};
use crate::styles::Styles;
use hayro_interpret::InterpreterCache;
use hayro_interpret::hayro_syntax::Pdf;
use smartrag_sdk::parser::{Bbox, BlockKind, Document, Fragment, FragmentBuilder, Page, PageStatus, Summary};
use smartrag_sdk::{Error, Result, Warning};
use std::ops::Range;

/// Pages laid out together.
const BATCH: u32 = 32;
/// Pages looked at beside those asked for, to learn what is usual in the document.
const SAMPLES: u32 = 6;

/// An open PDF file.
pub struct PdfDocument {
    pdf: Pdf,
    meta: Meta,
    labels: Labels,
    styles: Styles,
    furniture: Furniture,
}

impl PdfDocument {
    /// Reads what concerns the file as a whole.
    pub fn new(pdf: Pdf) -> Self {
        let (meta, labels) = (meta::read(&pdf), Labels::read(&pdf));
        Self { pdf, meta, labels, styles: Styles::default(), furniture: Furniture::default() }
    }

    fn page_count(&self) -> u32 {
        self.pdf.pages().len() as u32
    }

    fn read<'a>(
        pdf: &'a Pdf,
        number: u32,
        cache: &InterpreterCache<'a>,
        fonts: &mut Fonts,
    ) -> Option<PageText> {
        Some(page::read(pdf.pages().get(number as usize)?, cache, fonts))
    }

    fn batch(&mut self, range: Range<u32>, out: &mut FragmentBuilder) {
        let cache = InterpreterCache::new();
        let mut fonts = Fonts::default();
        let mut pages: Vec<(u32, PageText)> = Vec::new();
        for number in range.clone() {
            let Some(page) = Self::read(&self.pdf, number, &cache, &mut fonts) else { continue };
            learn(&mut self.styles, &mut self.furniture, number, &page);
            pages.push((number, page));
        }
        for number in samples(&range, self.page_count()) {
            if self.furniture.knows(number) {
                continue;
            }
            if let Some(page) = Self::read(&self.pdf, number, &cache, &mut fonts) {
                learn(&mut self.styles, &mut self.furniture, number, &page);
            }
        }
        let body = self.styles.body();
        let mut laid_out = Vec::new();
        for (number, page) in pages {
            let info = self.page_info(number, &page);
            let truncated = page.truncated;
            let furniture = self.furniture.find(number, &page);
            let blocks = layout::blocks(page, &body, &furniture);
            for heading in blocks.iter().filter(|b| b.kind == BlockKind::Heading) {
                self.styles.learn_heading(heading.size);
            }
            laid_out.push((info, truncated, blocks));
        }
        for (info, truncated, blocks) in laid_out {
            self.emit(info, truncated, blocks, out);
        }
    }

    fn page_info(&self, number: u32, page: &PageText) -> Page {
        Page {
            number,
            label: self.labels.get(number),
            width: page.width,
            height: page.height,
            status: page.status,
            unmapped_ratio: page.unmapped_ratio,
        }
    }

    fn emit(&self, page: Page, truncated: bool, blocks: Vec<Block>, out: &mut FragmentBuilder) {
        let number = page.number;
        out.set_page(Some(number));
        if truncated {
            let message = format!("page {} is too large: its end was left out", number + 1);
            out.warn(Warning::new("page_truncated", message).on_page(number));
        }
        if matches!(page.status, PageStatus::NeedsOcr) {
            let message =
                format!("page {} is a picture, or its fonts have no meaning: it needs OCR", number + 1);
            out.warn(Warning::new("needs_ocr", message).on_page(number));
        }
        out.page(page);
        for block in blocks {
            let r = block.rect;
            let bbox = Bbox { x0: r.x0, y0: r.y0, x1: r.x1, y1: r.y1 };
            match &block.table {
                Some(table) => out.table(table).bbox(bbox),
                None if block.kind == BlockKind::Heading => {
                    out.heading(self.styles.level(block.size), &block.text).bbox(bbox)
                }
                None => out.block(block.kind, block.level, &block.text).bbox(bbox),
            };
        }
    }
}

fn learn(styles: &mut Styles, furniture: &mut Furniture, number: u32, page: &PageText) {
    for segment in page.directions.iter().flat_map(|d| &d.segments) {
        styles.learn(segment.size, segment.stem, segment.monospaced, segment.chars());
    }
    furniture.learn(number, page);
}

/// The neighbours of a short range, and pages spread over the document.
fn samples(range: &Range<u32>, count: u32) -> Vec<u32> {
    let mut pages: Vec<u32> = Vec::new();
    if range.len() < 3 {
        pages.extend(range.start.saturating_sub(2)..(range.end + 2).min(count));
    }
    if (range.len() as u32) < SAMPLES {
        pages.extend((0..SAMPLES).map(|i| (u64::from(count) * u64::from(i) / u64::from(SAMPLES)) as u32));
    }
    pages.retain(|page| !range.contains(page));
    pages
}

impl Document for PdfDocument {
    fn summary(&self) -> Summary {
        Summary {
            page_count: self.page_count(),
            paged: true,
            title: self.meta.title.clone(),
            language: self.meta.language.clone(),
            metadata: self.meta.annotations.clone(),
            warnings: Vec::new(),
        }
    }

    fn pages(&mut self, range: Range<u32>) -> Result<Fragment> {
        if range.start > range.end || range.end > self.page_count() {
            return Err(Error::invalid_input(format!("the PDF file has pages 0 to {}", self.page_count())));
        }
        let mut out = FragmentBuilder::new();
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + BATCH);
            self.batch(start..end, &mut out);
            start = end;
        }
        Ok(out.finish())
    }
}
