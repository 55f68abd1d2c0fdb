//! Writes new plugin projects. The files are those of `sdk/templates`, carried inside the binary with the SDK and the
//! interface, so that a project needs nothing but crates.io.

use std::fs;
use std::path::{Path, PathBuf};

use crate::types::Role;

/// Paths of the repository with their content; see `host/build.rs`.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/scaffold.rs"));

const TEMPLATES: &str = "sdk/templates/";
/// Ends every project's Cargo.toml.
const WORKSPACE: &str = "sdk/templates/common/workspace.toml";
const GITIGNORE: &str = "sdk/templates/common/gitignore";
/// Where the SDK is, seen from a template and from a project.
const SDK_PATHS: (&str, &str) = ("path = \"../..\"", "path = \"vendor/sdk\"");

/// Stands for the extension that a new parser reads, which is at most so long.
const EXTENSION: &str = "templext";
const EXTENSION_MAX: usize = 10;

/// Why there is no new project.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ScaffoldError {
    #[error(
        "{0:?} is no name of a plugin: 1 to 64 lower-case letters, digits and hyphens, with a letter or digit at \
         both ends"
    )]
    Name(String),
    #[error("{0} exists: name another directory with --dir, or remove it first")]
    Exists(PathBuf),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

/// Writes a project of a role into `dir`, which must not exist; an empty one counts as absent.
pub fn scaffold(role: Role, name: &str, dir: &Path) -> Result<(), ScaffoldError> {
    if !super::manifest::is_name(name) || name.starts_with('-') || name.ends_with('-') {
        return Err(ScaffoldError::Name(name.into()));
    }
    if fs::symlink_metadata(dir).is_ok() && !is_empty_dir(dir) {
        return Err(ScaffoldError::Exists(dir.into()));
    }
    project(role, name).into_iter().try_for_each(|(path, content)| {
        let path = dir.join(path);
        put(&path, &content).map_err(|source| ScaffoldError::Io { path, source })
    })
}

fn is_empty_dir(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

fn put(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)
}

/// Names and texts of the files that define the plugin interface.
pub fn interface() -> impl Iterator<Item = (&'static str, &'static str)> {
    let text =
        |(path, bytes): &(&'static str, &'static [u8])| Some((*path, std::str::from_utf8(bytes).ok()?));
    FILES.iter().filter(|(path, _)| path.starts_with("wit/")).filter_map(text)
}

/// Paths below the project with their content.
fn project(role: Role, name: &str) -> Vec<(String, Vec<u8>)> {
    let template = format!("{TEMPLATES}{role}/");
    let names = Names { placeholder: format!("template-{role}"), name, extension: extension(name) };
    let file = |(path, content): &(&str, &[u8])| match path.strip_prefix(&template) {
        Some("Cargo.toml") => Some(("Cargo.toml".to_owned(), manifest(content, &names))),
        Some(path) => Some((names.put(path), names.put_bytes(content))),
        None if *path == GITIGNORE => Some((".gitignore".to_owned(), content.to_vec())),
        None if path.starts_with(TEMPLATES) => None,
        None => Some((format!("vendor/{path}"), content.to_vec())),
    };
    FILES.iter().filter_map(file).collect()
}

/// `my-notes` is `mynotes`.
fn extension(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).take(EXTENSION_MAX).collect()
}

fn manifest(content: &[u8], names: &Names<'_>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&names.put_bytes(content)).replace(SDK_PATHS.0, SDK_PATHS.1);
    let workspace = FILES.iter().find(|(path, _)| *path == WORKSPACE);
    let workspace = String::from_utf8_lossy(workspace.map_or(&[], |(_, content)| content));
    format!("{text}\n{workspace}").into_bytes()
}

/// What takes the place of a template's names.
struct Names<'a> {
    placeholder: String,
    name: &'a str,
    extension: String,
}

impl Names<'_> {
    fn put(&self, text: &str) -> String {
        text.replace(&self.placeholder, self.name).replace(EXTENSION, &self.extension)
    }

    /// Sample inputs need not be UTF-8, and hold no names then.
    fn put_bytes(&self, content: &[u8]) -> Vec<u8> {
        std::str::from_utf8(content).map_or_else(|_| content.to_vec(), |text| self.put(text).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_whole_project() {
        for role in Role::ALL {
            let dir = tempfile::tempdir().unwrap();
            let dir = dir.path().join("my-plugin");
            scaffold(role, "my-plugin", &dir).unwrap();
            let read = |path: &str| fs::read_to_string(dir.join(path)).unwrap();
            let manifest = super::super::Manifest::parse(&read("plugin.toml")).unwrap();
            assert_eq!((manifest.name.as_str(), manifest.role), ("my-plugin", role));
            assert!(role != Role::Parser || manifest.file_types == ["myplugin"]);
            assert!(read("src/lib.rs").contains("describe!(\"my-plugin\")"));
            let cargo: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
            assert_eq!(cargo["package"]["name"].as_str(), Some("smartrag-plugin-my-plugin"));
            assert_eq!(cargo["dependencies"]["smartrag-sdk"]["path"].as_str(), Some("vendor/sdk"));
            assert!(cargo.contains_key("workspace"));
            for path in ["README.md", ".gitignore", "vendor/sdk/src/lib.rs", "vendor/wit/0.1.0/types.wit"] {
                assert!(!read(path).contains("template-") && !read(path).contains(EXTENSION), "{path}");
            }
            assert!(dir.join("golden").read_dir().unwrap().next().is_some());
        }
    }

    #[test]
    fn names_and_directories_are_checked_first() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", "..", &"a".repeat(65)] {
            let error = scaffold(Role::Parser, bad, &dir.path().join("x")).unwrap_err();
            assert!(matches!(error, ScaffoldError::Name(_)), "{bad:?}: {error}");
        }
        fs::write(dir.path().join("kept"), "").unwrap();
        let error = scaffold(Role::Parser, "a", dir.path()).unwrap_err();
        assert!(matches!(error, ScaffoldError::Exists(_)), "{error}");
        assert!(!dir.path().join("Cargo.toml").exists());
    }

    #[test]
    fn the_sdk_inherits_nothing() {
        let sdk = FILES.iter().find(|(path, _)| *path == "sdk/Cargo.toml").unwrap().1;
        assert!(!String::from_utf8_lossy(sdk).contains("workspace ="));
    }
}
