//! Markdown: CommonMark with GitHub's tables, footnotes and task lists, and front matter.

mod front_matter;
mod raw_html;
mod walk;

use smartrag_sdk::parser::{Options, Parsed, Parser};
use smartrag_sdk::{Descriptor, Result, Source, describe, text};

/// Larger files would not fit the guest's memory.
const BYTES_MAX: u64 = 32 << 20;

/// The plugin.
pub struct Markdown;

impl Parser for Markdown {
    fn describe() -> Descriptor {
        describe!("markdown")
    }

    fn parse(source: &Source, _options: &Options) -> Result<Parsed> {
        let decoded = text::decode(&source.read_all(BYTES_MAX)?, None);
        Ok(walk::parse(&decoded.text))
    }
}

smartrag_sdk::export!(parser, Markdown);
