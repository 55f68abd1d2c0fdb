//! HTML pages.

mod elements;
mod encoding;
mod head;
mod tables;
mod walk;

use scraper::Html;
use smartrag_sdk::parser::{Options, Parsed, Parser};
use smartrag_sdk::{Descriptor, Result, Source, describe, text};

/// The tree takes about ten times as much; larger files would not fit the guest's memory.
const BYTES_MAX: u64 = 32 << 20;

/// The plugin.
pub struct HtmlPages;

impl Parser for HtmlPages {
    fn describe() -> Descriptor {
        describe!("html")
    }

    fn parse(source: &Source, _options: &Options) -> Result<Parsed> {
        let bytes = source.read_all(BYTES_MAX)?;
        let decoded = text::decode(&bytes, encoding::declared(&bytes).as_deref());
        let page = Html::parse_document(&decoded.text);
        Ok(head::apply(&page, Parsed::new(walk::walk(&page))))
    }
}

smartrag_sdk::export!(parser, HtmlPages);
