//! What a page says of itself.

use scraper::{ElementRef, Html};
use smartrag_sdk::parser::Parsed;

/// Names of `meta` elements and the keys that they become.
const META: [(&str, &str); 7] = [
    ("author", "author"),
    ("description", "description"),
    ("keywords", "keywords"),
    ("date", "date"),
    ("generator", "generator"),
    ("dc.creator", "author"),
    ("article:published_time", "date"),
];

/// Adds title, language and metadata.
pub(crate) fn apply(page: &Html, parsed: Parsed) -> Parsed {
    let mut title = None;
    let mut parsed = parsed.language(page.root_element().attr("lang").map(str::to_owned));
    let mut seen: Vec<&str> = Vec::new();
    for element in page.root_element().descendants().filter_map(ElementRef::wrap) {
        match element.value().name() {
            "title" if title.is_none() => title = Some(text_of(element)),
            "meta" => {
                if let Some((key, value)) = meta(element).filter(|(key, _)| !seen.contains(key)) {
                    seen.push(key);
                    parsed = parsed.meta(key, value);
                }
            }
            "body" => break,
            _ => {}
        }
    }
    parsed.title(title)
}

fn meta(element: ElementRef<'_>) -> Option<(&'static str, &str)> {
    let name = element.attr("name").or(element.attr("property"))?.to_ascii_lowercase();
    let (_, key) = META.iter().find(|(known, _)| *known == name)?;
    Some((*key, element.attr("content")?.trim())).filter(|(_, value)| !value.is_empty())
}

fn text_of(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}
