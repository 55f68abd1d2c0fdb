//! From pulldown-cmark's events to blocks.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use smartrag_sdk::parser::{BlockKind, FragmentBuilder, Parsed, Table};

use crate::front_matter::{self, Value};
use crate::raw_html;

/// Reads a document.
pub(crate) fn parse(markdown: &str) -> Parsed {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_MATH
        | Options::ENABLE_GFM;
    let mut walker = Walker::default();
    Parser::new_ext(markdown, options).for_each(|event| walker.event(event));
    walker.finish()
}

#[derive(Default)]
struct Walker {
    out: FragmentBuilder,
    /// Inline text of the block at hand.
    text: String,
    /// Raw HTML of the block at hand.
    html: String,
    /// The open lists, outermost first, with the next number of the ordered ones.
    lists: Vec<Option<u64>>,
    /// Set from the start of an item until its first text is out.
    item: Option<String>,
    quotes: u32,
    footnote: Option<String>,
    table: Option<Table>,
    in_header: bool,
    front_matter: Vec<(String, Value)>,
    images: u32,
    /// Whether the block has text outside images, and images at all.
    has_plain: bool,
    has_image: bool,
    title: Option<String>,
}

impl Walker {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Code(text) => self.push(&text),
            Event::InlineMath(math) => self.push(&format!("${math}$")),
            Event::DisplayMath(math) => self.display_math(&math),
            Event::Html(html) => self.html.push_str(&html),
            Event::InlineHtml(html) => self.inline_html(&html),
            Event::FootnoteReference(label) => self.push(&format!("[^{label}]")),
            Event::SoftBreak => self.text.push(' '),
            Event::HardBreak => self.text.push('\n'),
            Event::TaskListMarker(done) => self.push(if done { "[x] " } else { "[ ] " }),
            Event::Rule => {}
        }
    }

    fn push(&mut self, text: &str) {
        self.has_plain |= self.images == 0 && !text.trim().is_empty();
        self.text.push_str(text);
    }

    /// A formula between dollars in a line of its own, or amid a paragraph.
    fn display_math(&mut self, math: &str) {
        match self.text.trim().is_empty() && self.table.is_none() {
            true => {
                self.out.formula(math);
            }
            false => self.push(&format!(" $${math}$$ ")),
        }
    }

    fn inline_html(&mut self, html: &str) {
        match html.to_ascii_lowercase().starts_with("<br") {
            true => self.text.push('\n'),
            false => self.push(&raw_html::text(html)),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::List(number) => {
                self.flush();
                self.lists.push(number);
            }
            Tag::Item => self.start_item(),
            Tag::BlockQuote(_) => {
                self.flush();
                self.quotes += 1;
            }
            Tag::FootnoteDefinition(label) => {
                self.flush();
                self.footnote = Some(format!("[^{label}] "));
            }
            Tag::Table(_) => {
                self.flush();
                self.table = Some(Table::new());
            }
            Tag::TableHead | Tag::TableRow => {
                self.in_header = tag == Tag::TableHead;
                self.table.iter_mut().for_each(|table| _ = table.row());
            }
            Tag::Image { .. } => {
                self.images += 1;
                self.has_image = true;
            }
            Tag::Paragraph | Tag::Heading { .. } | Tag::CodeBlock(_) | Tag::HtmlBlock => self.flush(),
            _ => {}
        }
    }

    fn start_item(&mut self) {
        self.flush();
        let number = self.lists.last_mut().and_then(Option::as_mut);
        self.item = Some(
            number.map(|number| format!("{}. ", std::mem::replace(number, *number + 1))).unwrap_or_default(),
        );
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => self.end_heading(level),
            TagEnd::CodeBlock => self.emit(BlockKind::Code, 0),
            TagEnd::HtmlBlock => {
                self.text = raw_html::text(&std::mem::take(&mut self.html));
                self.has_plain = true;
                self.flush();
            }
            TagEnd::List(_) => {
                self.flush();
                self.lists.pop();
            }
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.quotes = self.quotes.saturating_sub(1);
            }
            TagEnd::FootnoteDefinition => {
                self.flush();
                self.footnote = None;
            }
            TagEnd::TableCell => self.end_cell(),
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.out.table(&table);
                }
            }
            TagEnd::MetadataBlock(_) => {
                self.front_matter = front_matter::read(&std::mem::take(&mut self.text));
            }
            TagEnd::Image => self.images = self.images.saturating_sub(1),
            TagEnd::Paragraph
            | TagEnd::Item
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition => {
                self.flush();
            }
            _ => {}
        }
    }

    fn end_heading(&mut self, level: HeadingLevel) {
        if level == HeadingLevel::H1 && self.title.is_none() {
            self.title = Some(self.text.trim().to_owned());
        }
        self.emit(BlockKind::Heading, level as u8);
    }

    fn end_cell(&mut self) {
        let text = std::mem::take(&mut self.text);
        if let Some(table) = &mut self.table {
            table.spanning_cell(text, 1, 1, self.in_header);
        }
    }

    /// Puts out the text at hand as what its surroundings make of it.
    fn flush(&mut self) {
        if self.text.trim().is_empty() {
            self.text.clear();
            return;
        }
        if let Some(label) = &mut self.footnote {
            self.text.insert_str(0, &std::mem::take(label));
            return self.emit(BlockKind::Footnote, 0);
        }
        if let Some(marker) = self.item.take() {
            self.text.insert_str(0, &marker);
            return self.emit(BlockKind::ListItem, self.lists.len().min(255) as u8);
        }
        match (self.quotes, self.has_image && !self.has_plain) {
            (_, true) => self.emit(BlockKind::Image, 0),
            (0, false) => self.emit(BlockKind::Paragraph, 0),
            (_, false) => self.emit(BlockKind::Quote, 0),
        }
    }

    fn emit(&mut self, kind: BlockKind, level: u8) {
        let text = std::mem::take(&mut self.text);
        self.out.block(kind, level, text);
        (self.has_plain, self.has_image) = (false, false);
    }

    fn finish(mut self) -> Parsed {
        self.flush();
        let mut parsed = Parsed::new(self.out);
        let mut title = self.title;
        for (key, value) in self.front_matter {
            parsed = match (key.as_str(), value) {
                ("title", Value::One(text)) => {
                    title = Some(text);
                    parsed
                }
                ("lang" | "language", Value::One(text)) => parsed.language(Some(text)),
                (_, Value::One(text)) => parsed.meta(key, text),
                (_, Value::Many(texts)) => parsed.meta(key, texts),
            };
        }
        parsed.title(title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(markdown: &str) -> Vec<(BlockKind, u8, String)> {
        let fragment = parse(markdown).fragment();
        let text = |block: &smartrag_sdk::parser::Block| {
            fragment.text[block.span.start as usize..block.span.end as usize].to_owned()
        };
        fragment.blocks.iter().map(|block| (block.kind, block.level, text(block))).collect()
    }

    #[test]
    fn structure() {
        let markdown = "# One *two*\n\nA [link](http://x) and\nmore `code`.\n\n- a\n  1. b\n\n     c\n- [x] d\n\n> q\n\n\
                        ```rust\n  fn f() {}\n```\n\n![alt](i.png)\n\nText[^1] <b>bold</b>\n\n[^1]: Note\n";
        let expected = [
            (BlockKind::Heading, 1, "One two"),
            (BlockKind::Paragraph, 0, "A link and more code."),
            (BlockKind::ListItem, 1, "a"),
            (BlockKind::ListItem, 2, "1. b"),
            (BlockKind::Paragraph, 0, "c"),
            (BlockKind::ListItem, 1, "[x] d"),
            (BlockKind::Quote, 0, "q"),
            (BlockKind::Code, 0, "  fn f() {}"),
            (BlockKind::Image, 0, "alt"),
            (BlockKind::Paragraph, 0, "Text[^1] bold"),
            (BlockKind::Footnote, 0, "[^1] Note"),
        ];
        assert_eq!(blocks(markdown), expected.map(|(kind, level, text)| (kind, level, text.to_owned())));
    }

    #[test]
    fn tables_have_headers() {
        let fragment = parse("| a | b |\n|---|---|\n| 1 | *2* |\n").fragment();
        assert_eq!(fragment.text, "a | b\n1 | 2");
        let headers: Vec<_> = fragment.blocks[0].cells.iter().map(|cell| cell.header).collect();
        assert_eq!(headers, [true, true, false, false]);
    }

    #[test]
    fn front_matter_is_metadata() {
        let parsed = parse("---\ntitle: T\nlang: de\nauthor: A\n---\n# H\n\ntext\n");
        assert_eq!((parsed.title_text(), parsed.language_tag()), (Some("T"), Some("de")));
        assert_eq!(
            (parsed.metadata()[0].key.as_str(), parsed.metadata()[0].value.as_str()),
            ("author", "\"A\"")
        );
        assert_eq!(parsed.fragment().text, "H\n\ntext");
    }

    #[test]
    fn deep_nesting_ends() {
        parse(&">".repeat(20_000));
        parse(&"[".repeat(20_000));
        parse(&"- ".repeat(5_000));
    }
}
