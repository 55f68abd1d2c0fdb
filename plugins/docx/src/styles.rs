//! What paragraph styles mean.

use std::collections::HashMap;

use smartrag_sdk::xml::Element;

/// Styles are based on styles; chains that are longer are taken for loops.
const CHAIN_MAX: usize = 20;

/// What a paragraph is, by its style.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Meaning {
    Title,
    Quote,
    Caption,
    Code,
}

/// Of a numbering: the list and the level in it.
pub(crate) type Numbering = (String, u32);

#[derive(Default, Debug)]
struct Style {
    name: String,
    based_on: Option<String>,
    /// Zero-based; 9 is body text.
    outline: Option<u32>,
    list: Option<String>,
    list_level: Option<u32>,
}

/// The paragraph styles of a document.
#[derive(Default, Debug)]
pub(crate) struct Styles {
    by_id: HashMap<String, Style>,
    default: Option<String>,
}

impl Styles {
    pub(crate) fn read(part: &Element) -> Self {
        let mut styles = Self::default();
        for element in part.elements().filter(|element| element.name == "w:style") {
            let Some(id) = element.attribute("w:styleId") else { continue };
            if element.attribute("w:type") == Some("paragraph") && flag(element.attribute("w:default")) {
                styles.default = Some(id.to_owned());
            }
            styles.by_id.insert(id.to_owned(), style(element));
        }
        styles
    }

    /// 1 to 9 for headings. Names are English in every edition of Word, ids are not.
    pub(crate) fn heading(&self, id: Option<&str>) -> Option<u32> {
        let outline = self.first(id, |style| match style.name.strip_prefix("heading ") {
            Some(level) => level.trim().parse::<u32>().ok().filter(|level| *level > 0).map(|level| level - 1),
            None => style.outline,
        });
        outline.filter(|level| *level < 9).map(|level| level + 1)
    }

    /// The numbering that comes with a style.
    pub(crate) fn numbering(&self, id: Option<&str>) -> Option<Numbering> {
        let list = self.first(id, |style| style.list.clone())?;
        Some((list, self.first(id, |style| style.list_level).unwrap_or(0)))
    }

    pub(crate) fn meaning(&self, id: Option<&str>) -> Option<Meaning> {
        self.first(id, |style| match style.name.as_str() {
            "title" => Some(Meaning::Title),
            "caption" => Some(Meaning::Caption),
            "quote" | "intense quote" | "block text" => Some(Meaning::Quote),
            "html preformatted" | "plain text" | "macro text" => Some(Meaning::Code),
            name if name
                .split([' ', '-', '_'])
                .any(|word| matches!(word, "code" | "listing" | "sourcecode")) =>
            {
                Some(Meaning::Code)
            }
            _ => None,
        })
    }

    /// What the nearest style of the chain says.
    fn first<T>(&self, id: Option<&str>, of: impl Fn(&Style) -> Option<T>) -> Option<T> {
        let mut id = id.or(self.default.as_deref())?;
        for _ in 0..CHAIN_MAX {
            let style = self.by_id.get(id)?;
            if let Some(found) = of(style) {
                return Some(found);
            }
            id = style.based_on.as_deref()?;
        }
        None
    }
}

fn style(element: &Element) -> Style {
    let value =
        |path: &[&str]| element.find(path).and_then(|found| found.attribute("w:val")).map(str::to_owned);
    let number = |path: &[&str]| value(path).and_then(|value| value.parse().ok());
    Style {
        name: value(&["w:name"]).unwrap_or_default().to_lowercase(),
        based_on: value(&["w:basedOn"]),
        outline: number(&["w:pPr", "w:outlineLvl"]),
        list: value(&["w:pPr", "w:numPr", "w:numId"]),
        list_level: number(&["w:pPr", "w:numPr", "w:ilvl"]),
    }
}

/// How the format writes yes and no; an element that only stands there means yes.
pub(crate) fn flag(value: Option<&str>) -> bool {
    matches!(value, Some("1" | "true" | "on"))
}

/// Whether a property such as `<w:vanish/>` is there and not switched off.
pub(crate) fn is_on(properties: Option<&Element>, name: &str) -> bool {
    let property = properties.and_then(|properties| properties.child(name));
    property
        .is_some_and(|property| property.attribute("w:val").is_none() || flag(property.attribute("w:val")))
}
