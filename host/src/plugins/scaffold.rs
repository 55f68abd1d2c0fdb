//! Writes new plugin projects. The files are those of `sdk/templates`, carried inside the binary with the SDKs and the
//! interface, so that a project needs nothing but the packages of its language.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::carried::{FILES, put, vendored};
use super::language::Language;
use crate::types::Role;

/// `ROLE/` holds the Rust project of a role, `LANGUAGE/ROLE/` what differs in another language.
const TEMPLATES: &str = "sdk/templates/";
/// What every project of a language has.
const COMMON: &str = "common/";
/// Carried under a name that git does not obey here.
const GITIGNORE: &str = "gitignore";
/// Ends every project's Cargo.toml.
const WORKSPACE: &str = "workspace.toml";
/// Where the SDK is, seen from a template and from a project.
const SDK_PATHS: (&str, &str) = ("path = \"../..\"", "path = \"vendor/sdk\"");

/// The line of a Rust project's README that stands for getting ready.
const RUST_TESTS: &str = "cargo test                       # unit tests, natively\n";
const PYTHON_TOOLS: &str = "python3 -m venv .venv            # once: the tools
.venv/bin/pip install -r requirements.txt\n";
const JAVASCRIPT_TOOLS: &str = "npm install                      # once: the tools\n";

/// The line of plugin.toml after which that of WASI stands.
const WIT_LINE: &str = "wit = \"0.1.0\" # the version of the interface it is built for\n";
const WASI_LINE: &str = "wasi = true # the runtime of the language wants a system: it gets an empty one\n";

/// Stands for the extension that a new parser reads, which is at most so long.
const EXTENSION: &str = "templext";
const EXTENSION_MAX: usize = 10;
/// Stands for the plugin's name where the role is not known.
const NAME: &str = "templname";

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
pub fn scaffold(role: Role, language: Language, name: &str, dir: &Path) -> Result<(), ScaffoldError> {
    if !super::manifest::is_name(name) || name.starts_with('-') || name.ends_with('-') {
        return Err(ScaffoldError::Name(name.into()));
    }
    if fs::symlink_metadata(dir).is_ok() && !is_empty_dir(dir) {
        return Err(ScaffoldError::Exists(dir.into()));
    }
    project(role, language, name).into_iter().try_for_each(|(path, content)| {
        let path = dir.join(path);
        put(&path, &content).map_err(|source| ScaffoldError::Io { path, source })
    })
}

fn is_empty_dir(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// Paths below the project with their content.
fn project(role: Role, language: Language, name: &str) -> BTreeMap<String, Vec<u8>> {
    let names = Names { placeholder: format!("template-{role}"), name, extension: extension(name) };
    let named = |(path, content)| (names.put(path), names.put_bytes(content));
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    match language {
        Language::Rust => {
            files.extend(below(&format!("{role}/")).map(named));
            files.extend(below(COMMON).map(named));
            let workspace = files.remove(WORKSPACE).unwrap_or_default();
            change(&mut files, "Cargo.toml", |text| {
                text.replace(SDK_PATHS.0, SDK_PATHS.1) + "\n" + &String::from_utf8_lossy(&workspace)
            });
        }
        Language::Python | Language::JavaScript => {
            let is_shared =
                |path: &str| matches!(path, "plugin.toml" | "README.md") || path.starts_with("golden/");
            let folder = language.as_str();
            files.extend(below(&format!("{role}/")).filter(|(path, _)| is_shared(path)).map(named));
            files.extend(below(&format!("{folder}/{COMMON}")).map(named));
            files.extend(below(&format!("{folder}/{role}/")).map(named));
            let tools = if language == Language::Python { PYTHON_TOOLS } else { JAVASCRIPT_TOOLS };
            change(&mut files, "README.md", |text| text.replace(RUST_TESTS, tools));
            change(&mut files, "plugin.toml", |text| {
                text.replace(WIT_LINE, &(WIT_LINE.to_owned() + WASI_LINE))
            });
        }
    }
    if let Some(content) = files.remove(GITIGNORE) {
        files.insert(format!(".{GITIGNORE}"), content);
    }
    files.extend(vendored(language).map(|(path, content)| (format!("vendor/{path}"), content.to_vec())));
    files
}

/// Templates below a folder, by their paths there.
fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().filter_map(move |(path, content)| {
        Some((path.strip_prefix(TEMPLATES)?.strip_prefix(folder)?, *content))
    })
}

fn change(files: &mut BTreeMap<String, Vec<u8>>, path: &str, change: impl FnOnce(&str) -> String) {
    if let Some(content) = files.get_mut(path) {
        *content = change(&String::from_utf8_lossy(content)).into_bytes();
    }
}

/// `my-notes` is `mynotes`.
fn extension(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).take(EXTENSION_MAX).collect()
}

/// What takes the place of a template's names.
struct Names<'a> {
    placeholder: String,
    name: &'a str,
    extension: String,
}

impl Names<'_> {
    fn put(&self, text: &str) -> String {
        text.replace(&self.placeholder, self.name)
            .replace(NAME, self.name)
            .replace(EXTENSION, &self.extension)
    }

    /// Sample inputs need not be UTF-8, and hold no names then.
    fn put_bytes(&self, content: &[u8]) -> Vec<u8> {
        std::str::from_utf8(content).map_or_else(|_| content.to_vec(), |text| self.put(text).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_project() -> impl Iterator<Item = (Role, Language)> {
        Role::ALL.into_iter().flat_map(|role| Language::ALL.map(|language| (role, language)))
    }

    #[test]
    fn every_role_has_a_whole_project_in_every_language() {
        for (role, language) in every_project() {
            let dir = tempfile::tempdir().unwrap();
            let dir = dir.path().join("my-plugin");
            scaffold(role, language, "my-plugin", &dir).unwrap();
            assert_eq!(Language::of_project(&dir), Some(language), "{role}");
            let read =
                |path: &str| fs::read_to_string(dir.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
            let manifest = super::super::Manifest::parse(&read("plugin.toml")).unwrap();
            assert_eq!((manifest.name.as_str(), manifest.role), ("my-plugin", role));
            assert_eq!(manifest.wasi, language != Language::Rust);
            assert!(role != Role::Parser || manifest.file_types == ["myplugin"]);
            let (source, tools) = match language {
                Language::Rust => ("src/lib.rs", "cargo test"),
                Language::Python => ("src/plugin.py", "pip install -r requirements.txt"),
                Language::JavaScript => ("src/plugin.js", "npm install"),
            };
            assert!(read(source).contains("(\"my-plugin\""), "{language} {role}");
            assert!(read("README.md").contains(tools), "{language} {role}");
            assert!(read(".gitignore").contains("/target"));
            assert!(dir.join("golden").read_dir().unwrap().next().is_some());
            assert!(dir.join("vendor/wit/0.1.0/types.wit").is_file());
            for (path, content) in project(role, language, "my-plugin") {
                let text = String::from_utf8_lossy(&content).into_owned() + &path;
                assert!(["template-", EXTENSION, NAME].iter().all(|name| !text.contains(name)), "{path}");
            }
        }
    }

    #[test]
    fn a_project_has_the_sdk_of_its_language_only() {
        let cargo =
            String::from_utf8(project(Role::Parser, Language::Rust, "a").remove("Cargo.toml").unwrap());
        let cargo: toml::Table = toml::from_str(&cargo.unwrap()).unwrap();
        assert_eq!(cargo["package"]["name"].as_str(), Some("smartrag-plugin-a"));
        assert_eq!(cargo["dependencies"]["smartrag-sdk"]["path"].as_str(), Some("vendor/sdk"));
        assert!(cargo.contains_key("workspace"));
        for (_, language) in every_project() {
            let files = project(Role::Parser, language, "a");
            let has = |path: &str| files.contains_key(path);
            assert_eq!(has("vendor/sdk/src/lib.rs"), language == Language::Rust);
            assert_eq!(has("vendor/sdk/python/smartrag/parser.py"), language == Language::Python);
            assert_eq!(has("vendor/sdk/javascript/parser.js"), language == Language::JavaScript);
        }
    }

    #[test]
    fn names_and_directories_are_checked_first() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", "..", &"a".repeat(65)] {
            let error = scaffold(Role::Parser, Language::Rust, bad, &dir.path().join("x")).unwrap_err();
            assert!(matches!(error, ScaffoldError::Name(_)), "{bad:?}: {error}");
        }
        fs::write(dir.path().join("kept"), "").unwrap();
        let error = scaffold(Role::Parser, Language::Rust, "a", dir.path()).unwrap_err();
        assert!(matches!(error, ScaffoldError::Exists(_)), "{error}");
        assert!(!dir.path().join("Cargo.toml").exists());
    }

    #[test]
    fn the_sdk_inherits_nothing() {
        let sdk = FILES.iter().find(|(path, _)| *path == "sdk/Cargo.toml").unwrap().1;
        assert!(!String::from_utf8_lossy(sdk).contains("workspace ="));
    }
}
