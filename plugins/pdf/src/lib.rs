//! PDF: text with layout. hayro reads the file and places the glyphs; here they become words, lines, columns and
//! blocks.

mod bidi;
mod columns;
mod document;
mod file;
mod fonts;
mod furniture;
mod geometry;
mod glyphs;
mod labels;
mod layout;
mod lines;
mod lists;
mod meta;
mod overprint;
mod page;
mod paragraphs;
mod rules;
mod styles;
mod tables;
mod text;
mod unicode;

pub use document::PdfDocument;
use smartrag_sdk::parser::{Options, PagedParser};
use smartrag_sdk::{Descriptor, Result, Source, describe};

/// Larger files would not fit the guest's memory.
const BYTES_MAX: u64 = 256 << 20;

/// The plugin.
pub struct Pdf;

impl PagedParser for Pdf {
    type Document = PdfDocument;

    fn describe() -> Descriptor {
        describe!("pdf")
    }

    fn open(source: Source, options: &Options) -> Result<PdfDocument> {
        let bytes = source.read_all(BYTES_MAX)?;
        Ok(PdfDocument::new(file::open(bytes, &options.passwords)?))
    }
}

smartrag_sdk::export!(paged_parser, Pdf);
