//! What stands beside a document's bytes, checked: its name, tags, metadata and collection.

use crate::api::error::{ApiError, Result};
use crate::ingest::Refused;
use crate::types::JsonMap;

const FILENAME_CHARS_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 4096;
const TAGS_MAX: usize = 100;
const TAG_CHARS_MAX: usize = 128;

/// The name without directories; refused where nothing is left or where it would garble a terminal or a path.
pub(super) fn filename(given: &str) -> std::result::Result<String, Refused> {
    let refuse = |detail: &str| Err(Refused { code: "invalid_value", detail: detail.into() });
    if given.chars().any(char::is_control) {
        return refuse("the filename holds control characters: rename the file");
    }
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    match name {
        "" | "." | ".." => refuse("the file has no name: give it one"),
        _ if name.chars().count() > FILENAME_CHARS_MAX => {
            refuse(&format!("the filename has more than {FILENAME_CHARS_MAX} characters: shorten it"))
        }
        _ => Ok(name.into()),
    }
}

/// A refused name as it may be shown.
pub(super) fn shown(given: &str) -> String {
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    name.chars().take(FILENAME_CHARS_MAX).map(safe).collect()
}

/// Where a document comes from.
pub(super) fn path(given: String) -> Result<String> {
    if given.is_empty() || given.len() > PATH_BYTES_MAX || given.chars().any(char::is_control) {
        let detail = format!("a path has 1 to {PATH_BYTES_MAX} bytes and no control characters");
        return Err(ApiError::invalid("/path", detail));
    }
    Ok(given)
}

/// Tags in the order given, without repetitions.
pub(super) fn tags(given: Vec<String>) -> Result<Vec<String>> {
    let mut tags: Vec<String> = Vec::new();
    for tag in given {
        let tag = tag.trim();
        if tag.chars().count() > TAG_CHARS_MAX || tag.chars().any(char::is_control) {
            let detail = format!("a tag has at most {TAG_CHARS_MAX} characters and no control characters");
            return Err(ApiError::invalid("/tags", detail));
        }
        if !tag.is_empty() && !tags.iter().any(|known| known == tag) {
            tags.push(tag.into());
        }
    }
    match tags.len() {
        0..=TAGS_MAX => Ok(tags),
        n => Err(ApiError::invalid("/tags", format!("a document has at most {TAGS_MAX} tags, not {n}"))),
    }
}

/// A form part `tags`: a JSON array of strings, or names separated by commas.
pub(super) fn tags_part(text: &str) -> Result<Vec<String>> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|error| {
            ApiError::invalid("/tags", format!("must be a JSON array of strings: {error}"))
        });
    }
    Ok(text.split(',').map(Into::into).collect())
}

/// A form part `metadata`: a JSON object.
pub(super) fn metadata_part(text: &str) -> Result<JsonMap> {
    if text.trim().is_empty() {
        return Ok(JsonMap::new());
    }
    serde_json::from_str(text)
        .map_err(|error| ApiError::invalid("/metadata", format!("must be a JSON object: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn directories_are_cut_off() {
        for given in ["../../etc/passwd", "/etc/passwd", "C:\\x\\passwd", "passwd", " passwd "] {
            assert_eq!(filename(given).unwrap(), "passwd", "{given}");
        }
        for given in ["", "..", "a/..", "dir/", "a\0.txt", "a\n.txt", &"x".repeat(300)] {
            assert_eq!(filename(given).unwrap_err().code, "invalid_value", "{given:?}");
        }
    }

    #[test]
    fn tags_come_as_array_or_with_commas() {
        let read = |text: &str| tags_part(text).and_then(tags);
        assert_eq!(read("a, b,,a").unwrap(), ["a", "b"]);
        assert_eq!(read("[\"a, b\", \"c\"]").unwrap(), ["a, b", "c"]);
        assert!(read("[1]").is_err());
        assert!(read("a\tb").is_err());
        assert!(tags((0..=TAGS_MAX).map(|n| n.to_string()).collect()).is_err());
    }

    proptest! {
        #[test]
        fn no_name_keeps_a_separator_or_control(given in "\\PC*[\\x00-\\x1f/.\\\\]?\\PC*") {
            if let Ok(name) = filename(&given) {
                prop_assert!(!name.contains(['/', '\\']) && !name.chars().any(char::is_control));
                prop_assert!(!name.is_empty() && name != "..");
            }
            prop_assert!(!shown(&given).contains(['/', '\\', '\0']));
        }
    }
}
