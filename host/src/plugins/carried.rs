//! The files of the repository that stand inside the binary: what plugin projects are made of and built with.

use std::fs;
use std::io;
use std::path::Path;

use super::language::Language;

/// Paths of the repository with their content; see `host/build.rs`.
pub(super) const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/carried.rs"));

/// Names and texts of the files that define the plugin interface.
pub(super) fn interface() -> impl Iterator<Item = (&'static str, &'static str)> {
    let text =
        |(path, bytes): &(&'static str, &'static [u8])| Some((*path, std::str::from_utf8(bytes).ok()?));
    FILES.iter().filter(|(path, _)| path.starts_with("wit/")).filter_map(text)
}

/// What stands below `vendor` of a project: licences, the interface, the SDK of its language.
pub(super) fn vendored(language: Language) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().copied().filter(move |(path, _)| is_vendored(language, path))
}

fn is_vendored(language: Language, path: &str) -> bool {
    let sdk: &[&str] = match language {
        Language::Rust => &["sdk/Cargo.toml", "sdk/src/"],
        Language::Python => &["sdk/python/"],
        Language::JavaScript => &["sdk/javascript/"],
    };
    ["LICENSE-", "wit/"].iter().chain(sdk).any(|prefix| path.starts_with(prefix))
}

/// Writes a file and the directories above it.
pub(super) fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)
}
