//! What goes to stdout, and how it looks.

use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;

const BOLD: &str = "\u{1b}[1m";
const NORMAL: &str = "\u{1b}[0m";

/// Writes a piece of text at once.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Writes a line.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    print(&format!("{text}\n"))
}

/// Writes a value for machines.
pub(super) fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Columns as wide as their widest cell, two spaces apart.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<const N: usize>(titles: [&str; N]) -> Self {
        Self { rows: vec![titles.map(str::to_owned).to_vec()] }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| one_line(&cell)).to_vec());
    }

    pub fn render(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| self.rows.iter().map(|row| cells(&row[column])).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        self.rows.iter().map(|row| render_row(row, &widths)).collect()
    }

    pub fn print(&self) -> anyhow::Result<()> {
        print(&self.render())
    }
}

fn cells(text: &str) -> usize {
    text.chars().count()
}

fn render_row(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width - cells(cell) + 2));
    }
    format!("{}\n", line.trim_end())
}

/// Text from documents for a terminal: control characters could move its cursor or worse.
pub(super) fn plain(text: &str) -> String {
    let is_harmless = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(|c| *c != '\r').map(|c| if is_harmless(&c) { c } else { '\u{FFFD}' }).collect()
}

/// The same without line breaks.
pub(super) fn one_line(text: &str) -> String {
    plain(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The beginning of a text, on one line.
pub(super) fn excerpt(text: &str, chars_max: usize) -> String {
    let text = one_line(text);
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text,
    }
}

/// Characters before the first mark that an excerpt shows.
const LEAD_CHARS: usize = 40;

/// An excerpt around the first of the marks, which are ordered ranges of code points; what is marked is bold.
pub(super) fn excerpt_bold(text: &str, marks: &[Range<usize>], chars_max: usize) -> String {
    let Some(first) = marks.first() else { return excerpt(text, chars_max) };
    let is_marked = |at: usize| marks.iter().any(|mark| mark.contains(&at));
    let start = first.start.saturating_sub(LEAD_CHARS);
    let mut bold = false;
    let mut shown = String::from(if start > 0 { "…" } else { "" });
    for (at, c) in text.chars().enumerate().skip(start).take(chars_max) {
        if is_marked(at) != bold {
            bold = !bold;
            shown.push_str(if bold { BOLD } else { NORMAL });
        }
        let c = if c.is_whitespace() { ' ' } else { c };
        shown.push_str(&plain(&c.to_string()));
    }
    if bold {
        shown.push_str(NORMAL);
    }
    let goes_on = text.chars().nth(start + chars_max).is_some();
    shown.push_str(if goes_on { "…" } else { "" });
    shown
}

/// Bytes as people say them.
pub(super) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// `1 file`, `2 files`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_without_trailing_spaces() {
        let mut table = Table::new(["NAME", "SIZE", ""]);
        table.row(["größe".into(), "1".into(), String::new()]);
        table.row(["a".into(), "12345".into(), "x\ny".into()]);
        assert_eq!(table.render(), "NAME   SIZE\ngröße  1\na      12345  x y\n");
    }

    #[test]
    fn documents_can_not_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\nc\u{9b}"), "a\u{FFFD}[2Jb\nc\u{FFFD}");
    }

    #[test]
    fn an_excerpt_says_that_it_is_one() {
        assert_eq!(excerpt("ein  langer\nSatz", 10), "ein langer…");
        assert_eq!(excerpt("kurz", 4), "kurz");
    }

    #[test]
    fn an_excerpt_shows_what_is_marked() {
        let one = |mark: std::ops::Range<usize>| vec![mark];
        let bold = |text, marks: &[Range<usize>], max| {
            excerpt_bold(text, marks, max).replace(BOLD, "<").replace(NORMAL, ">")
        };
        assert_eq!(bold("ein Wörtchen\u{1b}[2J\nzu", &one(4..12), 99), "ein <Wörtchen>\u{FFFD}[2J zu");
        assert_eq!(bold("ein Wort", &one(4..8), 6), "ein <Wo>…");
        assert_eq!(bold("ein Wort", &[], 99), "ein Wort");
        let far = format!("{}Ziel", "ä".repeat(200));
        assert_eq!(bold(&far, &one(200..204), 160), format!("…{}<Ziel>", "ä".repeat(LEAD_CHARS)));
    }
}
