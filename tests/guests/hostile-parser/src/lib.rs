//! A parser that does what its file asks for: `parser!panic`. Files that ask for nothing are read as one paragraph.

use std::ops::Range;

use smartrag_sdk::parser::{Block, BlockKind, Document, Fragment, Options, PagedParser, Provenance, Summary};
use smartrag_sdk::{Descriptor, Error, Result, Source, Span, Warning, describe};

struct Plugin;

struct Open {
    text: String,
}

impl PagedParser for Plugin {
    type Document = Open;

    fn describe() -> Descriptor {
        describe!("hostile-parser")
    }

    fn open(source: Source, _: &Options) -> Result<Open> {
        let bytes = source.read_all(1 << 20)?;
        Ok(Open { text: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

impl Document for Open {
    fn summary(&self) -> Summary {
        let mut summary = Summary {
            page_count: 1,
            paged: false,
            title: None,
            language: None,
            metadata: Vec::new(),
            warnings: Vec::new(),
        };
        match hostile::misdeed("parser", &self.text) {
            Some(("pages", _)) => summary.page_count = u32::MAX,
            Some(("parts", _)) => summary.page_count = 20_000,
            Some(("warnings", _)) => summary.warnings = vec![Warning::new("w", "w"); 100_000],
            Some(("title", _)) => summary.title = Some("\u{1b}[2J\nforged".repeat(10_000)),
            _ => {}
        }
        summary
    }

    fn pages(&mut self, pages: Range<u32>) -> Result<Fragment> {
        let Some((misdeed, _)) = hostile::misdeed("parser", &self.text) else {
            return Ok(fragment(self.text.as_str(), &[(0, self.text.len())]));
        };
        hostile::commit(misdeed);
        Ok(match misdeed {
            "output" => fragment("x".repeat(200 << 20), &[]),
            "not-utf8" => fragment(not_utf8(), &[]),
            "tiny" => fragment("x", &[(0, 0); 1_200_000]),
            // Texts that stand beside the text: 2,000 bytes a block, for as many pages as there may be.
            "parts" => parts(pages.len() * 1000),
            "span-outside" => fragment("abc", &[(0, 4)]),
            "span-huge" => fragment("abc", &[(0, u32::MAX as usize)]),
            "span-reversed" => fragment("abc", &[(2, 1)]),
            "span-inside" => fragment("aäbc", &[(0, 2)]),
            "span-overlap" => fragment("abc", &[(0, 2), (1, 3)]),
            "forge" => return Err(Error::corrupt("no\n2026-01-01 ERROR all is lost\u{1b}[2J")),
            "code" => {
                return Err(Error::other(
                    self.text.trim_start_matches("parser!code ").trim(),
                    "a code of its own",
                ));
            }
            _ => fragment(self.text.as_str(), &[(0, self.text.len())]),
        })
    }
}

fn fragment(text: impl Into<String>, spans: &[(usize, usize)]) -> Fragment {
    let blocks = spans.iter().map(|(start, end)| block(*start as u32, *end as u32, None)).collect();
    Fragment { text: text.into(), blocks, pages: Vec::new(), warnings: Vec::new() }
}

fn parts(count: usize) -> Fragment {
    let blocks = (0..count).map(|_| block(0, 0, Some("p".repeat(2000)))).collect();
    Fragment { text: "x".to_owned(), blocks, pages: Vec::new(), warnings: Vec::new() }
}

fn block(start: u32, end: u32, part: Option<String>) -> Block {
    let provenance = Provenance { page: None, bbox: None, part, time_ms: None };
    let kind = BlockKind::Paragraph;
    Block { kind, level: 0, span: Span { start, end }, provenance, language: None, cells: Vec::new() }
}

fn not_utf8() -> String {
    // SAFETY: there is none; the host has to find out.
    unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xc3]) }
}

smartrag_sdk::export!(paged_parser, Plugin);
