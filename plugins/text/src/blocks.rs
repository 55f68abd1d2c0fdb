//! Cuts text into blocks; what lies between them is white space and stays as it is.

use std::ops::Range;

use smartrag_sdk::parser::FragmentBuilder;

/// File types that are written for people; all others are code or data.
const PROSE: [&str; 13] =
    ["txt", "rst", "org", "adoc", "tex", "md", "html", "rtf", "eml", "srt", "vtt", "po", "svg"];

/// How blocks are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// Paragraphs end at a blank line.
    Prose,
    /// Chunks end at a blank line before a line that is not indented and closes nothing.
    Code,
}

impl Style {
    pub(crate) fn of(file_type: &str) -> Self {
        match PROSE.contains(&file_type) {
            true => Style::Prose,
            false => Style::Code,
        }
    }
}

pub(crate) fn append(out: &mut FragmentBuilder, text: &str, style: Style) {
    let mut end = 0;
    for block in cut(text, style) {
        out.gap(&text[end..block.start]);
        end = block.end;
        match style {
            Style::Prose => out.paragraph(&text[block]),
            Style::Code => out.code(&text[block]),
        };
    }
}

/// The blocks' places, without white space at their ends; code keeps the indentation of its first line.
fn cut(text: &str, style: Style) -> Vec<Range<usize>> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    let mut open = false;
    let mut start = 0;
    for line in text.split_inclusive(['\n', '\x0c']) {
        let (at, trimmed) = (start, line.trim());
        start += line.len();
        if trimmed.is_empty() {
            open = false;
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let end = at + indent + trimmed.len();
        match blocks.last_mut() {
            Some(last) if open || style == Style::Code && continues(line) => last.end = end,
            _ => blocks.push(if style == Style::Code { at..end } else { at + indent..end }),
        }
        open = !line.ends_with('\x0c');
    }
    blocks
}

/// Whether a line after a blank one still belongs to the chunk above.
fn continues(line: &str) -> bool {
    line.starts_with([' ', '\t', '}', ')', ']']) || line.trim_end() == "end"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_ends_at_blank_lines_and_form_feeds() {
        let text = "\n one\ntwo\n \n\nthree\x0cfour\n";
        let blocks: Vec<_> = cut(text, Style::Prose).into_iter().map(|block| &text[block]).collect();
        assert_eq!(blocks, ["one\ntwo", "three", "four"]);
    }

    #[test]
    fn code_keeps_a_function_together() {
        let text = "use a;\n\nfn f() {\n    one();\n\n    two();\n\n}\n\nfn g() {}\n";
        let blocks: Vec<_> = cut(text, Style::Code).into_iter().map(|block| &text[block]).collect();
        assert_eq!(blocks, ["use a;", "fn f() {\n    one();\n\n    two();\n\n}", "fn g() {}"]);
    }

    #[test]
    fn indentation_at_the_beginning_stays() {
        let text = "\n    a\n  b\n";
        assert_eq!(&text[cut(text, Style::Code)[0].clone()], "    a\n  b");
    }
}
