//! What the file says of itself.

use smartrag_sdk::parser::Parsed;
use smartrag_sdk::xml::Element;

/// Elements of the core properties and the keys that they become.
const KEYS: [(&str, &str); 8] = [
    ("dc:creator", "author"),
    ("dc:subject", "subject"),
    ("dc:description", "description"),
    ("cp:keywords", "keywords"),
    ("cp:category", "category"),
    ("cp:lastModifiedBy", "last_modified_by"),
    ("dcterms:created", "created"),
    ("dcterms:modified", "modified"),
];

/// Adds title, language and metadata; `title` stands in for a missing one.
pub(crate) fn apply(core: Option<&Element>, title: Option<String>, parsed: Parsed) -> Parsed {
    let value = |name: &str| {
        let text = core?.child(name)?.text().trim().to_owned();
        Some(text).filter(|text| !text.is_empty())
    };
    let mut parsed = parsed.title(value("dc:title").or(title)).language(value("dc:language"));
    for (name, key) in KEYS {
        if let Some(text) = value(name) {
            parsed = parsed.meta(key, text);
        }
    }
    parsed
}
