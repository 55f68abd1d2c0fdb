//! The text of a paragraph, and what hangs on it.

use smartrag_sdk::xml::Element;

use crate::math;
use crate::styles::is_on;

/// A paragraph's text with what is to follow it.
#[derive(Default, Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// Ids of footnotes (`true`) and endnotes, in order.
    pub(crate) notes: Vec<(bool, String)>,
    /// Texts that stand for images.
    pub(crate) images: Vec<String>,
    /// Contents of text boxes.
    pub(crate) boxes: Vec<Element>,
    /// Ids of charts and diagrams.
    pub(crate) drawings: Vec<String>,
    /// Whether all the text is formula.
    pub(crate) is_formula: bool,
    has_words: bool,
    /// Open fields; whether their result has begun.
    fields: Vec<bool>,
}

/// Reads a paragraph. `first_note` is the number of the next footnote mark.
pub(crate) fn read(paragraph: &Element, first_note: usize) -> Line {
    let mut line = Line::default();
    line.all(paragraph, first_note);
    line.is_formula &= !line.has_words;
    line
}

impl Line {
    fn all(&mut self, element: &Element, first_note: usize) {
        element.elements().for_each(|child| self.element(child, first_note));
    }

    fn element(&mut self, element: &Element, first_note: usize) {
        match element.name.as_str() {
            // Tracked deletions, properties, and field codes are no text.
            "w:del" | "w:moveFrom" | "w:pPr" | "w:rPr" | "w:instrText" | "w:delText" | "w:sdtPr"
            | "w:sdtEndPr" => {}
            "w:r" if is_on(element.child("w:rPr"), "w:vanish") => {}
            "w:t" => self.push(&element.text()),
            "w:tab" | "w:ptab" => self.push("\t"),
            "w:br" | "w:cr" => self.push("\n"),
            "w:noBreakHyphen" => self.push("\u{2011}"),
            "w:sym" => self.push(&symbol(element)),
            "w:fldChar" => self.field(element.attribute("w:fldCharType").unwrap_or_default()),
            "m:oMath" => self.formula(element),
            "m:oMathPara" => {
                for formula in element.elements().filter(|child| child.name == "m:oMath") {
                    let line_break = if self.text.is_empty() { "" } else { "\n" };
                    self.text.push_str(line_break);
                    self.formula(formula);
                }
            }
            "w:footnoteReference" | "w:endnoteReference" => self.note(element, first_note),
            "w:txbxContent" => self.boxes.push(element.clone()),
            "wp:docPr" => self.image(element),
            "c:chart" => self.drawings.extend(element.attribute("r:id").map(str::to_owned)),
            "dgm:relIds" => self.drawings.extend(element.attribute("r:dm").map(str::to_owned)),
            "mc:AlternateContent" => self.alternative(element, first_note),
            _ => self.all(element, first_note),
        }
    }

    fn push(&mut self, text: &str) {
        if self.fields.iter().all(|in_result| *in_result) {
            self.has_words |= !text.trim().is_empty();
            self.text.push_str(text);
        }
    }

    fn field(&mut self, kind: &str) {
        match kind {
            "begin" => self.fields.push(false),
            "separate" => self.fields.iter_mut().next_back().into_iter().for_each(|field| *field = true),
            _ => _ = self.fields.pop(),
        }
    }

    fn formula(&mut self, element: &Element) {
        self.is_formula = true;
        self.text.push_str(&math::text(element));
    }

    fn note(&mut self, element: &Element, first_note: usize) {
        let id = element.attribute("w:id").unwrap_or_default().to_owned();
        self.notes.push((element.name == "w:footnoteReference", id));
        let mark = format!("[^{}]", first_note + self.notes.len() - 1);
        self.push(&mark);
    }

    fn image(&mut self, properties: &Element) {
        let said = properties.attribute("descr").or(properties.attribute("title")).unwrap_or_default().trim();
        if !said.is_empty() {
            self.images.push(said.to_owned());
        }
    }

    /// The same thing twice, for newer and older readers: the first that says anything.
    fn alternative(&mut self, element: &Element, first_note: usize) {
        let said = |line: &Self| (line.text.len(), line.boxes.len(), line.images.len(), line.drawings.len());
        let before = said(self);
        for branch in element.elements() {
            self.all(branch, first_note);
            if said(self) != before {
                return;
            }
        }
    }
}

/// Symbol fonts keep their signs in the private use area; the few that forms use have a meaning there.
fn symbol(element: &Element) -> String {
    let code = element.attribute("w:char").and_then(|code| u32::from_str_radix(code, 16).ok()).unwrap_or(0);
    let wingdings = element.attribute("w:font").is_some_and(|font| font.starts_with("Wingdings"));
    match (wingdings, code & 0xFF) {
        _ if !(0xF000..=0xF0FF).contains(&code) => char::from_u32(code).map(String::from).unwrap_or_default(),
        (true, 0x6F | 0xA8 | 0x71 | 0x72) => "☐".into(),
        (true, 0xFE | 0xFC) => "☑".into(),
        (true, 0xFD | 0x78) => "☒".into(),
        (true, 0xE0) => "→".into(),
        (true, _) => String::new(),
        (false, low) => char::from_u32(low).filter(|c| !c.is_control()).map(String::from).unwrap_or_default(),
    }
}
