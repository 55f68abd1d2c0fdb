//! From the tree to blocks. The walk is a loop, not a recursion: pages may be nested as deep as they like.

use scraper::{ElementRef, Html, Node};
use smartrag_sdk::parser::{BlockKind, FragmentBuilder};

use crate::elements::{Role, role};
use crate::tables::{self, Reading};

/// The blocks of a page.
pub(crate) fn walk(page: &Html) -> FragmentBuilder {
    let mut walker = Walker::default();
    for edge in page.tree.root().traverse() {
        match edge {
            ego_tree::iter::Edge::Open(node) => match (node.value(), ElementRef::wrap(node)) {
                (_, Some(element)) => walker.open(element),
                (Node::Text(text), None) => walker.text(text),
                _ => {}
            },
            ego_tree::iter::Edge::Close(node) => {
                if let Some(element) = ElementRef::wrap(node) {
                    walker.close(element);
                }
            }
        }
    }
    walker.flush();
    walker.out
}

#[derive(Default)]
struct Walker {
    out: FragmentBuilder,
    /// Text of the block at hand.
    text: String,
    /// Elements open inside a dropped one, itself included.
    dropped: usize,
    furniture: u32,
    quotes: u32,
    pre: u32,
    captions: u32,
    heading: Option<u8>,
    /// Open lists, outermost first, with the next number of the ordered ones.
    lists: Vec<Option<i64>>,
    /// The marker of an item whose text has not begun.
    item: Option<String>,
    table: Option<Reading>,
    languages: Vec<Option<String>>,
    has_plain: bool,
    has_image: bool,
}

impl Walker {
    fn text(&mut self, text: &str) {
        if self.dropped > 0 {
            return;
        }
        self.has_plain |= !text.trim().is_empty();
        if self.pre > 0 {
            return self.text.push_str(text);
        }
        for c in text.chars() {
            match c {
                ' ' | '\t' | '\n' | '\r' | '\x0c'
                    if self.text.ends_with([' ', '\n']) || self.text.is_empty() => {}
                ' ' | '\t' | '\n' | '\r' | '\x0c' => self.text.push(' '),
                _ => self.text.push(c),
            }
        }
    }

    fn open(&mut self, element: ElementRef<'_>) {
        let role = role(element.value());
        if self.dropped > 0 || role == Role::Dropped {
            self.dropped += 1;
            return;
        }
        self.enter_language(element);
        if let Some(reading) = &mut self.table {
            return open_in_table(reading, &mut self.text, role, element);
        }
        match role {
            Role::Inline => {}
            Role::Break => self.line_break(),
            Role::Image => self.image(element),
            Role::Table => self.open_table(element),
            _ => self.open_block(role, element),
        }
    }

    fn open_block(&mut self, role: Role, element: ElementRef<'_>) {
        self.flush();
        match role {
            Role::Heading(level) => self.heading = Some(level),
            Role::List(numbered) => {
                let start = element.attr("start").and_then(|start| start.trim().parse().ok()).unwrap_or(1);
                self.lists.push(numbered.then_some(start));
            }
            Role::Item => self.open_item(),
            Role::Quote => self.quotes += 1,
            Role::Pre => self.pre += 1,
            Role::Caption => self.captions += 1,
            Role::Furniture => self.furniture += 1,
            _ => {}
        }
    }

    fn open_item(&mut self) {
        let number = self.lists.last_mut().and_then(Option::as_mut);
        let marker =
            number.map(|number| format!("{}. ", std::mem::replace(number, number.saturating_add(1))));
        self.item = Some(marker.unwrap_or_default());
    }

    fn open_table(&mut self, element: ElementRef<'_>) {
        self.flush();
        if !tables::is_layout(element) {
            self.table = Some(Reading { depth: 1, ..Reading::default() });
        }
    }

    /// Two breaks in a row end a paragraph.
    fn line_break(&mut self) {
        match self.text.trim_end_matches(' ').ends_with('\n') && self.pre == 0 && self.heading.is_none() {
            true => self.flush(),
            false => self.text.push('\n'),
        }
    }

    fn image(&mut self, element: ElementRef<'_>) {
        let alt = element.attr("alt").unwrap_or_default().trim();
        if !alt.is_empty() {
            self.has_image = true;
            let joins = self.text.is_empty() || self.text.ends_with(char::is_whitespace);
            self.text.push_str(if joins { "" } else { " " });
            self.text.push_str(alt);
            self.text.push(' ');
        }
    }

    fn close(&mut self, element: ElementRef<'_>) {
        if self.dropped > 0 {
            self.dropped -= 1;
            return;
        }
        let role = role(element.value());
        match &mut self.table {
            Some(_) => self.close_in_table(role, element),
            None => self.close_block(role),
        }
        self.leave_language(element);
    }

    fn close_block(&mut self, role: Role) {
        if matches!(role, Role::Inline | Role::Break | Role::Image) {
            return;
        }
        self.flush();
        match role {
            Role::Heading(_) => self.heading = None,
            Role::List(_) => _ = self.lists.pop(),
            Role::Item => self.item = None,
            Role::Quote => self.quotes = self.quotes.saturating_sub(1),
            Role::Pre => self.pre = self.pre.saturating_sub(1),
            Role::Caption => self.captions = self.captions.saturating_sub(1),
            Role::Furniture => self.furniture = self.furniture.saturating_sub(1),
            _ => {}
        }
    }

    fn close_in_table(&mut self, role: Role, element: ElementRef<'_>) {
        let Some(reading) = &mut self.table else { return };
        match (role, element.value().name()) {
            (Role::Table, _) => {
                reading.depth -= 1;
                if reading.depth == 0 {
                    self.finish_table();
                }
            }
            (_, "td" | "th") if reading.depth == 1 => reading.close_cell(&std::mem::take(&mut self.text)),
            (Role::Caption, _) if reading.cell.is_none() => {
                let caption = std::mem::take(&mut self.text);
                self.emit(BlockKind::Caption, 0, &caption);
            }
            (Role::Inline | Role::Break | Role::Image, _) => {}
            _ => self.text.push('\n'),
        }
    }

    fn finish_table(&mut self) {
        self.text.clear();
        (self.has_plain, self.has_image) = (false, false);
        if let Some(reading) = self.table.take() {
            self.out.table(&reading.table);
        }
    }

    fn enter_language(&mut self, element: ElementRef<'_>) {
        if let Some(language) = element.attr("lang").filter(|_| element.value().name() != "html") {
            self.languages.push(Some(language.to_owned()));
            self.out.set_language(Some(language.to_owned()));
        }
    }

    fn leave_language(&mut self, element: ElementRef<'_>) {
        if element.attr("lang").is_some() && element.value().name() != "html" {
            self.languages.pop();
            self.out.set_language(self.languages.last().cloned().flatten());
        }
    }

    /// Puts out the text at hand as what its surroundings make of it.
    fn flush(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        if text.trim().is_empty() {
            return;
        }
        let level = self.lists.len().clamp(1, 255) as u8;
        let (kind, level) = match (self.heading, self.item.take()) {
            _ if self.furniture > 0 => (BlockKind::PageFooter, 0),
            (Some(level), _) => (BlockKind::Heading, level),
            _ if self.pre > 0 => (BlockKind::Code, 0),
            (_, Some(marker)) => {
                text = format!("{marker}{}", text.trim_start());
                (BlockKind::ListItem, level)
            }
            _ if self.captions > 0 => (BlockKind::Caption, 0),
            _ if self.has_image && !self.has_plain => (BlockKind::Image, 0),
            _ if self.quotes > 0 => (BlockKind::Quote, 0),
            _ => (BlockKind::Paragraph, 0),
        };
        self.emit(kind, level, &text);
    }

    fn emit(&mut self, kind: BlockKind, level: u8, text: &str) {
        self.out.block(kind, level, tidy(kind, text));
        (self.has_plain, self.has_image) = (false, false);
    }
}

fn open_in_table(reading: &mut Reading, text: &mut String, role: Role, element: ElementRef<'_>) {
    match role {
        Role::Inline => {}
        Role::Table => reading.depth += 1,
        Role::Image => {
            text.push_str(element.attr("alt").unwrap_or_default());
            text.push(' ');
        }
        _ if reading.depth == 1 && matches!(element.value().name(), "td" | "th") => {
            text.clear();
            reading.open(element);
        }
        _ => {
            text.push('\n');
            if reading.depth == 1 {
                reading.open(element);
            }
        }
    }
}

/// White space before a line break shows nowhere; code keeps its own.
fn tidy(kind: BlockKind, text: &str) -> String {
    match kind {
        BlockKind::Code => text.to_owned(),
        _ => text.split('\n').map(str::trim).collect::<Vec<_>>().join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(html: &str) -> Vec<(BlockKind, u8, String)> {
        let fragment = walk(&Html::parse_document(html)).finish();
        let text = |block: &smartrag_sdk::parser::Block| {
            fragment.text[block.span.start as usize..block.span.end as usize].to_owned()
        };
        fragment.blocks.iter().map(|block| (block.kind, block.level, text(block))).collect()
    }

    #[test]
    fn structure() {
        let html = "<nav>Menu</nav><h1>A&nbsp;<i>B</i></h1>lead<p>one\n two<br> three <b>x</b>.</p><div hidden>no</div>\
                    <ol start=3><li>a<ul><li>b</li></ul></li><li><p>c</p><p>d</p></li></ol><blockquote>q</blockquote>\
                    <pre>  code\n   x</pre><figure><img src=x alt='pic'><figcaption>cap</figcaption></figure>\
                    <script>bad()</script><p lang=fr>oui</p>";
        let expected = [
            (BlockKind::PageFooter, 0, "Menu"),
            (BlockKind::Heading, 1, "A\u{a0}B"),
            (BlockKind::Paragraph, 0, "lead"),
            (BlockKind::Paragraph, 0, "one two\nthree x."),
            (BlockKind::ListItem, 1, "3. a"),
            (BlockKind::ListItem, 2, "b"),
            (BlockKind::ListItem, 1, "4. c"),
            (BlockKind::Paragraph, 0, "d"),
            (BlockKind::Quote, 0, "q"),
            (BlockKind::Code, 0, "  code\n   x"),
            (BlockKind::Image, 0, "pic"),
            (BlockKind::Caption, 0, "cap"),
            (BlockKind::Paragraph, 0, "oui"),
        ];
        assert_eq!(blocks(html), expected.map(|(kind, level, text)| (kind, level, text.to_owned())));
    }

    #[test]
    fn tables_with_spans() {
        let html = "<table><caption>C</caption><tr><th rowspan=2>h<th>i<tr><td><p>a</p><p>b</p></table>after";
        let fragment = walk(&Html::parse_document(html)).finish();
        assert_eq!(fragment.text, "C\n\nh | i\na b\n\nafter");
        let cells: Vec<_> =
            fragment.blocks[1].cells.iter().map(|cell| (cell.row, cell.column, cell.header)).collect();
        assert_eq!(cells, [(0, 0, true), (0, 1, true), (1, 1, false)]);
    }

    #[test]
    fn layout_tables_are_no_tables() {
        let html = "<table><tr><td><h2>T</h2><table><tr><td>1<td>2</table></td></tr></table>";
        let expected = [(BlockKind::Heading, 2, "T".to_owned()), (BlockKind::Table, 0, "1 | 2".to_owned())];
        assert_eq!(blocks(html), expected);
    }

    #[test]
    fn two_breaks_end_a_paragraph() {
        let texts: Vec<_> = blocks("a<br>b<br> <br>c").into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(texts, ["a\nb", "c"]);
    }

    #[test]
    fn deep_nesting_ends() {
        let html = format!("{}deep{}", "<div><span>".repeat(3_000), "<table><td>".repeat(300));
        assert_eq!(blocks(&html)[0].2, "deep");
    }
}
