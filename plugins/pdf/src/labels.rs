//! Page labels: how the pages are numbered in print.

use hayro_interpret::hayro_syntax::Pdf;
use hayro_interpret::hayro_syntax::object::{Array, Dict, Name, Object, String as PdfString};

use crate::unicode::text_string;

/// Nodes of the number tree looked at.
const NODES_MAX: usize = 1_000;
/// Ranges kept.
const RANGES_MAX: usize = 20_000;

#[derive(Debug)]
struct Range {
    first_page: u32,
    style: Style,
    prefix: String,
    start: u32,
}

#[derive(Clone, Copy, Debug)]
enum Style {
    None,
    Decimal,
    Roman { upper: bool },
    Letters { upper: bool },
}

/// The labels of a file.
#[derive(Debug, Default)]
pub struct Labels(Vec<Range>);

impl Labels {
    /// Reads them; none if the file has none.
    pub fn read(pdf: &Pdf) -> Self {
        let catalog = pdf.xref().get::<Dict<'_>>(pdf.xref().root_id()).unwrap_or_default();
        let mut open: Vec<Dict<'_>> = catalog.get::<Dict<'_>>(b"PageLabels").into_iter().collect();
        let mut ranges = Vec::new();
        let mut nodes = 0;
        while let Some(node) = open.pop() {
            nodes += 1;
            if nodes > NODES_MAX || ranges.len() > RANGES_MAX {
                break;
            }
            if let Some(kids) = node.get::<Array<'_>>(b"Kids") {
                open.extend(kids.iter::<Dict<'_>>().take(NODES_MAX));
            }
            if let Some(numbers) = node.get::<Array<'_>>(b"Nums") {
                read_ranges(&numbers, &mut ranges);
            }
        }
        ranges.sort_by_key(|r| r.first_page);
        Self(ranges)
    }

    /// The label of a page, counted from 0.
    pub fn get(&self, page: u32) -> Option<String> {
        let at = self.0.partition_point(|r| r.first_page <= page).checked_sub(1)?;
        let range = &self.0[at];
        let number = range.start.saturating_add(page - range.first_page);
        let label = format!("{}{}", range.prefix, range.style.show(number));
        (!label.is_empty()).then_some(label)
    }
}

fn read_ranges(numbers: &Array<'_>, ranges: &mut Vec<Range>) {
    let mut page = None;
    for object in numbers.iter::<Object<'_>>().take(2 * RANGES_MAX) {
        match (page, object) {
            (Some(first_page), Object::Dict(dict)) => {
                ranges.push(range(first_page, &dict));
                page = None;
            }
            (_, Object::Number(n)) => page = u32::try_from(n.as_i64()).ok(),
            _ => {}
        }
    }
}

fn range(first_page: u32, dict: &Dict<'_>) -> Range {
    let style = match dict.get::<Name<'_>>(b"S").as_ref().map(|n| n.as_ref()) {
        Some(b"D") => Style::Decimal,
        Some(b"R") => Style::Roman { upper: true },
        Some(b"r") => Style::Roman { upper: false },
        Some(b"A") => Style::Letters { upper: true },
        Some(b"a") => Style::Letters { upper: false },
        _ => Style::None,
    };
    let prefix = dict.get::<PdfString<'_>>(b"P").map(|s| text_string(s.as_bytes())).unwrap_or_default();
    let start = dict.get::<u32>(b"St").unwrap_or(1);
    Range { first_page, style, prefix: prefix.chars().take(64).collect(), start }
}

impl Style {
    fn show(self, number: u32) -> String {
        match self {
            Self::None => String::new(),
            Self::Decimal => number.to_string(),
            Self::Roman { upper } => cased(roman(number), upper),
            Self::Letters { upper } => cased(letters(number), upper),
        }
    }
}

fn cased(text: String, upper: bool) -> String {
    if upper { text.to_uppercase() } else { text }
}

fn roman(mut number: u32) -> String {
    const DIGITS: [(u32, &str); 13] = [
        (1000, "m"),
        (900, "cm"),
        (500, "d"),
        (400, "cd"),
        (100, "c"),
        (90, "xc"),
        (50, "l"),
        (40, "xl"),
        (10, "x"),
        (9, "ix"),
        (5, "v"),
        (4, "iv"),
        (1, "i"),
    ];
    if number > 10_000 {
        return number.to_string();
    }
    let mut out = String::new();
    for (value, digit) in DIGITS {
        while number >= value {
            out.push_str(digit);
            number -= value;
        }
    }
    out
}

/// a to z, then aa to zz, and so on.
fn letters(number: u32) -> String {
    let Some(index) = number.checked_sub(1) else { return String::new() };
    let letter = char::from(b'a' + (index % 26) as u8);
    std::iter::repeat_n(letter, (index as usize / 26 + 1).min(64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerals() {
        assert_eq!(roman(1994), "mcmxciv");
        assert_eq!(letters(28), "bb");
        assert_eq!(letters(0), "");
    }
}
