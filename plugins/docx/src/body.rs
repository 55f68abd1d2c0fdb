//! From paragraphs and tables to blocks.

use std::collections::HashMap;

use smartrag_sdk::parser::{BlockKind, FragmentBuilder};
use smartrag_sdk::xml::Element;

use crate::drawings::Drawing;
use crate::inline::{self, Line};
use crate::numbering::Numbers;
use crate::styles::{Meaning, Numbering, Styles};
use crate::table;

/// Reads the text of a document, whose blocks come one by one.
#[derive(Default)]
pub(crate) struct Body {
    pub(crate) out: FragmentBuilder,
    pub(crate) styles: Styles,
    pub(crate) numbers: Numbers,
    /// Footnotes (`true`) and endnotes by their ids.
    pub(crate) notes: HashMap<(bool, String), Element>,
    pub(crate) drawings: HashMap<String, Drawing>,
    /// The first paragraph in the style `Title`.
    pub(crate) title: Option<String>,
    notes_seen: usize,
    /// Lines of code that follow each other are one block.
    code: Vec<String>,
    /// What was said beside the text at hand and comes after it.
    pending: Pending,
}

#[derive(Default)]
struct Pending {
    notes: Vec<(bool, String)>,
    images: Vec<String>,
    boxes: Vec<Element>,
    drawings: Vec<String>,
}

/// What a paragraph is.
struct Kind {
    kind: BlockKind,
    level: u8,
    /// Number or letter in front of it.
    label: String,
    is_title: bool,
}

impl Body {
    /// Reads a block of the body, a cell, a note or a text box.
    pub(crate) fn block(&mut self, element: &Element) {
        match element.name.as_str() {
            "w:p" => self.paragraph(element),
            "w:tbl" => self.table(element),
            "w:sdt" => element.child("w:sdtContent").into_iter().for_each(|content| self.blocks(content)),
            "w:ins" | "w:moveTo" | "w:customXml" | "w:smartTag" => self.blocks(element),
            "m:oMathPara" | "m:oMath" => {
                let text = crate::math::text(element);
                self.flush_code();
                self.out.formula(text);
            }
            _ => {}
        }
    }

    pub(crate) fn blocks(&mut self, parent: &Element) {
        parent.elements().for_each(|child| self.block(child));
    }

    /// The text of a part in which structure means nothing.
    pub(crate) fn plain(&mut self, part: &Element) -> String {
        let text = self.cell_text(part);
        let boxes = std::mem::take(&mut self.pending).boxes;
        boxes
            .iter()
            .map(|content| self.cell_text(content))
            .fold(text, |all, text| format!("{all}\n{text}"))
            .trim()
            .to_owned()
    }

    /// Ends the text.
    pub(crate) fn finish(&mut self) {
        self.flush_code();
        self.after_block();
    }

    fn paragraph(&mut self, paragraph: &Element) {
        let line = self.line(paragraph);
        let kind = self.kind(paragraph, &line);
        if kind.kind == BlockKind::Code {
            self.code.push(line.text);
            return;
        }
        self.flush_code();
        let text = line.text.trim();
        if kind.is_title && self.title.is_none() {
            self.title = Some(text.to_owned());
        }
        if !text.is_empty() {
            self.out.block(kind.kind, kind.level, labelled(&kind.label, text));
        }
        self.after_block();
    }

    /// The text of a paragraph; what hangs on it waits for the end of the block.
    fn line(&mut self, paragraph: &Element) -> Line {
        let mut line = inline::read(paragraph, self.notes_seen + 1);
        self.notes_seen += line.notes.len();
        self.pending.notes.append(&mut line.notes);
        self.pending.images.append(&mut line.images);
        self.pending.boxes.append(&mut line.boxes);
        self.pending.drawings.append(&mut line.drawings);
        line
    }

    fn kind(&mut self, paragraph: &Element, line: &Line) -> Kind {
        let properties = paragraph.child("w:pPr");
        let value = |path: &[&str]| {
            properties.and_then(|found| found.find(path)).and_then(|found| found.attribute("w:val"))
        };
        let style = value(&["w:pStyle"]);
        let outline = value(&["w:outlineLvl"]).and_then(|level| level.parse::<u32>().ok());
        let heading =
            outline.filter(|level| *level < 9).map(|level| level + 1).or_else(|| self.styles.heading(style));
        let meaning = self.styles.meaning(style);
        let list = value(&["w:numPr", "w:numId"]).map(str::to_owned);
        let level = value(&["w:numPr", "w:ilvl"]).and_then(|level| level.parse::<u32>().ok());
        let numbering = numbering(list, level, self.styles.numbering(style), heading);
        // An empty paragraph shows no number, so it is not counted.
        let counted = numbering.filter(|_| !line.text.trim().is_empty());
        let label = counted.as_ref().and_then(|(list, level)| self.numbers.next(list, *level));
        let (kind, level) = match (heading, meaning, &counted) {
            (Some(level), _, _) => (BlockKind::Heading, level),
            (None, Some(Meaning::Title), _) => (BlockKind::Heading, 1),
            (None, Some(Meaning::Code), None) => (BlockKind::Code, 0),
            (None, _, Some((_, level))) if label.is_some() => (BlockKind::ListItem, level + 1),
            (None, Some(Meaning::Quote), _) => (BlockKind::Quote, 0),
            (None, Some(Meaning::Caption), _) => (BlockKind::Caption, 0),
            _ if line.is_formula => (BlockKind::Formula, 0),
            _ => (BlockKind::Paragraph, 0),
        };
        let is_title = meaning == Some(Meaning::Title);
        Kind { kind, level: level.min(255) as u8, label: label.unwrap_or_default(), is_title }
    }

    fn table(&mut self, element: &Element) {
        self.flush_code();
        match table::only_cell(element) {
            // A table of one cell is a frame around text.
            Some(cell) => self.blocks(cell),
            None => {
                let table = table::read(element, &mut |cell| self.cell_text(cell));
                self.out.table(&table);
                self.after_block();
            }
        }
    }

    /// A cell as lines of text.
    fn cell_text(&mut self, cell: &Element) -> String {
        let mut lines: Vec<String> = Vec::new();
        for element in table::flat(cell) {
            match element.name.as_str() {
                "w:p" => {
                    let line = self.line(element);
                    let kind = self.kind(element, &line);
                    lines.push(labelled(&kind.label, line.text.trim()));
                }
                "w:tbl" => {
                    let inner = table::read(element, &mut |cell| self.cell_text(cell));
                    let mut text = FragmentBuilder::new();
                    text.table(&inner);
                    lines.push(text.text().to_owned());
                }
                _ => {}
            }
        }
        lines.retain(|line| !line.trim().is_empty());
        lines.join("\n")
    }

    fn flush_code(&mut self) {
        if !self.code.is_empty() {
            let code = std::mem::take(&mut self.code).join("\n");
            self.out.code(code);
            self.after_block();
        }
    }

    /// Images, charts, text boxes and notes of the block that just ended.
    fn after_block(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let first_note = self.notes_seen + 1 - pending.notes.len();
        pending.images.iter().for_each(|image| _ = self.out.image(image));
        for id in &pending.drawings {
            self.drawings.get(id).into_iter().for_each(|drawing| drawing.append(&mut self.out));
        }
        for content in &pending.boxes {
            self.blocks(content);
            self.flush_code();
        }
        for (index, note) in pending.notes.into_iter().enumerate() {
            if let Some(content) = self.notes.remove(&note) {
                let text = self.cell_text(&content);
                self.out.footnote(format!("[^{}] {}", first_note + index, text.trim()));
            }
        }
    }
}

/// The paragraph's own numbering wins over its style's; list 0 means none. Headings take theirs from the level.
fn numbering(
    list: Option<String>,
    level: Option<u32>,
    of_style: Option<Numbering>,
    heading: Option<u32>,
) -> Option<Numbering> {
    let (style_list, style_level) = of_style.map_or((None, None), |(list, level)| (Some(list), Some(level)));
    let level = level.or(style_level).or(heading.map(|level| level - 1)).unwrap_or(0);
    list.or(style_list).filter(|list| list != "0").map(|list| (list, level))
}

fn labelled(label: &str, text: &str) -> String {
    match label.is_empty() || text.is_empty() {
        true => text.to_owned(),
        false => format!("{label} {text}"),
    }
}
