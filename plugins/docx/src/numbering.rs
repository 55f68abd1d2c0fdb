//! Numbers and letters of lists and headings, which the file leaves to the reader to count.

use std::collections::HashMap;

use smartrag_sdk::xml::Element;

/// Levels of a list.
const LEVELS: usize = 9;

#[derive(Clone, Default, Debug)]
struct Level {
    start: u32,
    format: String,
    /// Such as `%1.%2)`.
    text: String,
}

#[derive(Default, Debug)]
struct List {
    /// Lists of one definition count on.
    definition: String,
    /// Levels that this list begins anew.
    restarts: Vec<(usize, u32)>,
    begun: bool,
}

/// The lists of a document, with how far they have been counted.
#[derive(Default, Debug)]
pub(crate) struct Numbers {
    definitions: HashMap<String, Vec<Level>>,
    lists: HashMap<String, List>,
    counters: HashMap<String, [Option<u32>; LEVELS]>,
}

impl Numbers {
    pub(crate) fn read(part: &Element) -> Self {
        let mut numbers = Self::default();
        for element in part.elements() {
            match element.name.as_str() {
                "w:abstractNum" => {
                    let id = element.attribute("w:abstractNumId").unwrap_or_default();
                    numbers.definitions.insert(id.to_owned(), levels(element));
                }
                "w:num" => {
                    let id = element.attribute("w:numId").unwrap_or_default();
                    numbers.lists.insert(id.to_owned(), list(element));
                }
                _ => {}
            }
        }
        numbers
    }

    /// Counts an item: its label, empty for bullets. `None` where there is no such list.
    pub(crate) fn next(&mut self, list: &str, level: u32) -> Option<String> {
        let level = (level as usize).min(LEVELS - 1);
        let list = self.lists.get_mut(list)?;
        let levels = self.definitions.get(&list.definition)?;
        let counters = self.counters.entry(list.definition.clone()).or_default();
        if !std::mem::replace(&mut list.begun, true) {
            list.restarts.iter().for_each(|(level, start)| counters[*level] = start.checked_sub(1));
        }
        let start = |level: usize| levels.get(level).map_or(1, |level| level.start);
        let number = counters[level].map_or_else(|| start(level), |number| number.saturating_add(1));
        counters[level] = Some(number);
        counters[level + 1..].fill(None);
        let shown = |level: usize| counters[level].unwrap_or_else(|| start(level));
        Some(label(levels, level, &shown))
    }
}

fn levels(definition: &Element) -> Vec<Level> {
    let mut levels = vec![Level { start: 1, ..Level::default() }; LEVELS];
    for element in definition.elements().filter(|element| element.name == "w:lvl") {
        let index = element.attribute("w:ilvl").and_then(|level| level.parse::<usize>().ok());
        let value = |name| element.child(name).and_then(|found| found.attribute("w:val"));
        if let Some(level) = index.and_then(|index| levels.get_mut(index)) {
            level.start = value("w:start").and_then(|start| start.parse().ok()).unwrap_or(1);
            level.format = value("w:numFmt").unwrap_or("decimal").to_owned();
            level.text = value("w:lvlText").unwrap_or_default().to_owned();
        }
    }
    levels
}

fn list(element: &Element) -> List {
    let value = |element: &Element| element.attribute("w:val").map(str::to_owned);
    let definition = element.child("w:abstractNumId").and_then(value).unwrap_or_default();
    let overrides = element.elements().filter(|element| element.name == "w:lvlOverride");
    let restarts = overrides.filter_map(|element| {
        let level = element.attribute("w:ilvl")?.parse().ok().filter(|level| *level < LEVELS)?;
        Some((level, element.child("w:startOverride").and_then(value)?.parse().ok()?))
    });
    List { definition, restarts: restarts.collect(), begun: false }
}

fn label(levels: &[Level], level: usize, shown: &dyn Fn(usize) -> u32) -> String {
    let Some(own) = levels.get(level).filter(|own| !matches!(own.format.as_str(), "bullet" | "none" | ""))
    else {
        return String::new();
    };
    let mut text = own.text.clone();
    for (index, level) in levels.iter().enumerate() {
        let place = format!("%{}", index + 1);
        if text.contains(&place) {
            text = text.replace(&place, &number(shown(index), &level.format));
        }
    }
    text.trim().to_owned()
}

fn number(value: u32, format: &str) -> String {
    match format {
        "lowerLetter" => letters(value),
        "upperLetter" => letters(value).to_uppercase(),
        "lowerRoman" => roman(value),
        "upperRoman" => roman(value).to_uppercase(),
        "decimalZero" => format!("{value:02}"),
        _ => value.to_string(),
    }
}

/// `a` to `z`, then `aa` to `zz` and so on.
fn letters(value: u32) -> String {
    let Some(index) = value.checked_sub(1) else { return value.to_string() };
    let letter = char::from(b'a' + (index % 26) as u8);
    std::iter::repeat_n(letter, (index / 26 + 1).min(20) as usize).collect()
}

fn roman(value: u32) -> String {
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
    if value > 3999 {
        return value.to_string();
    }
    let (mut rest, mut text) = (value, String::new());
    for (worth, digit) in DIGITS {
        while rest >= worth {
            text.push_str(digit);
            rest -= worth;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use smartrag_sdk::xml;

    use super::*;
    use crate::package::PREFIXES;

    #[test]
    fn counts_levels_and_restarts() {
        let part = r#"<w:numbering xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">
            <w:abstractNum w:abstractNumId="7">
              <w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
              <w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerRoman"/><w:lvlText w:val="%1.%2)"/></w:lvl>
              <w:lvl w:ilvl="2"><w:numFmt w:val="bullet"/><w:lvlText w:val="o"/></w:lvl>
            </w:abstractNum>
            <w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>
            <w:num w:numId="2"><w:abstractNumId w:val="7"/>
              <w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride></w:num>
          </w:numbering>"#;
        let mut numbers = Numbers::read(&xml::parse(part.as_bytes(), PREFIXES).unwrap());
        let mut next = |list: &str, level| numbers.next(list, level);
        let labels: Vec<_> =
            [("1", 0), ("1", 1), ("1", 1), ("1", 2), ("1", 0), ("1", 1), ("2", 0), ("2", 0), ("3", 0)]
                .into_iter()
                .map(|(list, level)| next(list, level))
                .collect();
        let expected =
            ["1.", "1.i)", "1.ii)", "", "2.", "2.i)", "5.", "6."].map(|label| Some(label.to_owned()));
        assert_eq!(labels, [&expected[..], &[None]].concat());
    }

    #[test]
    fn letters_and_romans() {
        assert_eq!(
            (letters(27), roman(1994), number(7, "decimalZero")),
            ("aa".into(), "mcmxciv".into(), "07".into())
        );
    }
}
