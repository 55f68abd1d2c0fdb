//! What is told of a project by its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::BuildError;
use crate::plugins::language::Language;
use crate::plugins::manifest::WIT_VERSION;
use crate::types::Role;

/// A project whose component a tool of its language makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Project {
    pub(super) language: Language,
    /// Of the plugin.
    pub(super) name: String,
    pub(super) role: Role,
    /// Whole, without links.
    pub(super) dir: PathBuf,
    /// Whether it wants WASI's empty machine.
    pub(super) wasi: bool,
    /// Whether it asks for HTTP.
    pub(super) http: bool,
}

/// As much of plugin.toml as a build has to know; the host checks the whole at load.
#[derive(Deserialize)]
struct Declared {
    name: String,
    role: String,
    wit: String,
    #[serde(default)]
    wasi: bool,
    #[serde(default)]
    capabilities: BTreeMap<String, toml::Value>,
}

impl Project {
    /// Reads plugin.toml of a project in this language.
    pub(super) fn read(dir: &Path, language: Language) -> Result<Self, BuildError> {
        let wrong = |reason: String| BuildError::Project { dir: dir.into(), reason };
        let text = std::fs::read_to_string(dir.join("plugin.toml"));
        let text = text.map_err(|e| wrong(format!("plugin.toml: {e}")))?;
        let declared: Declared = toml::from_str(&text).map_err(|e| wrong(format!("plugin.toml: {e}")))?;
        check_name(&declared.name).map_err(wrong)?;
        let role = Role::parse(&declared.role)
            .ok_or_else(|| wrong(format!("plugin.toml: there is no role {:?}", declared.role)))?;
        if declared.wit != WIT_VERSION {
            let (wit, name) = (&declared.wit, &declared.name);
            return Err(wrong(format!(
                "plugin.toml: wit = {wit:?} of {name}, but this program builds for {WIT_VERSION}"
            )));
        }
        Ok(Self {
            language,
            name: declared.name,
            role,
            dir: dir.canonicalize().map_err(|e| wrong(e.to_string()))?,
            wasi: declared.wasi,
            http: declared.capabilities.contains_key("http"),
        })
    }

    /// Where finished plugins go unless told otherwise.
    pub(super) fn default_out(&self) -> PathBuf {
        self.dir.join(super::DEFAULT_OUT)
    }

    pub(super) fn plugin_toml(&self) -> PathBuf {
        self.dir.join("plugin.toml")
    }
}

/// It becomes a directory.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    match crate::plugins::manifest::is_name(name) {
        true => Ok(()),
        false => {
            Err(format!("plugin.toml: the name {name:?} has more than a-z, 0-9 and hyphens, or is no name"))
        }
    }
}

/// Installed for a project: in a folder of this name in its directory or one above.
pub(super) fn above(dir: &Path, path: &str) -> Option<PathBuf> {
    dir.ancestors().map(|dir| dir.join(path)).find(|path| path.exists())
}
