//! Builds plugin projects into components that the host loads: Rust with cargo, Python with componentize-py, JavaScript
//! with componentize-js.
//!
//! Invariant: a directory `<out>/<name>` holds a component that was checked, or what it held before.

mod cargo;
mod component;
mod javascript;
mod project;
mod python;
mod text;
mod tool;
mod toolchain;
mod vendor;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo::Package;
use project::Project;
pub(super) use text::from_text;
use vendor::Workshop;

use super::language::Language;

/// A finished plugin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Built {
    /// From its manifest.
    pub name: String,
    /// `<out>/<name>`.
    pub dir: PathBuf,
    /// Bytes of the component.
    pub size_bytes: u64,
    /// Interfaces that the component imports.
    pub imports: Vec<String>,
}

/// Why plugins could not be built.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BuildError {
    #[error(
        "nothing here compiles to wasm32-unknown-unknown: run `rustup target add wasm32-unknown-unknown`, or on \
         Debian `apt-get install rustc-web cargo-web rust-web-src lld-22`"
    )]
    NoToolchain,
    #[error(
        "{rustc} needs a linker for WebAssembly: `apt-get install lld-22` (or the newest there is) brings wasm-ld"
    )]
    NoLinker { rustc: PathBuf },
    #[error("{dir} is no plugin project: {reason}")]
    Project { dir: PathBuf, reason: String },
    #[error("{program}: {source}; is it installed?")]
    Run { program: PathBuf, source: std::io::Error },
    #[error("cargo failed; its messages say why")]
    Cargo,
    #[error(
        "{dir} is no plugin project: it has neither Cargo.toml (Rust), src/plugin.py (Python) nor package.json (JavaScript)"
    )]
    NoLanguage { dir: PathBuf },
    #[error("{tool} is missing: {how}")]
    NoTool { tool: &'static str, how: String },
    #[error("{tool} says it is {said:?}, and {wanted} or newer is needed: {how}")]
    OldTool { tool: String, said: String, wanted: String, how: String },
    #[error("{tool} failed; its messages say why")]
    Tool { tool: &'static str },
    #[error(
        "{package} made no component: its Cargo.toml needs `[lib] crate-type = [\"cdylib\"]`, its code \
         `smartrag_sdk::export!`"
    )]
    NoComponent { package: String },
    #[error("{name} can't become a component: {reason}")]
    Component { name: String, reason: String },
    #[error("{name} imports {import}, which no plugin may: {hint}")]
    ForeignImport { name: String, import: String, hint: &'static str },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

/// Where plugins of a workspace go unless told otherwise: a daemon of the same build tree looks there first.
pub const DEFAULT_OUT: &str = "target/plugins";

/// Builds the plugins of `projects` into `<out>/<name>/{plugin.toml, plugin.wasm}`, where `out` is [`DEFAULT_OUT`] of
/// their workspace (in other languages than Rust, of themselves) unless given; `log` gets the lines of the tools.
pub fn build(
    projects: &[PathBuf],
    out: Option<&Path>,
    log: &mut dyn FnMut(&str),
) -> Result<Vec<Built>, BuildError> {
    let mut crates = Vec::new();
    let mut others = Vec::new();
    for dir in projects {
        match Language::of_project(dir) {
            Some(Language::Rust) => crates.push(dir),
            Some(language) => others.push(Project::read(dir, language)?),
            None => return Err(BuildError::NoLanguage { dir: dir.clone() }),
        }
    }
    let mut built = build_crates(&crates, out, log)?;
    for project in &others {
        built.push(build_other(project, out, log)?);
    }
    Ok(built)
}

/// Crates of one workspace are built together, so that they share the standard library and the SDK.
fn build_crates(
    projects: &[&PathBuf],
    out: Option<&Path>,
    log: &mut dyn FnMut(&str),
) -> Result<Vec<Built>, BuildError> {
    if projects.is_empty() {
        return Ok(Vec::new());
    }
    let toolchain = toolchain::find(log)?;
    let mut workspaces: BTreeMap<PathBuf, Vec<Package>> = BTreeMap::new();
    for project in projects {
        let package = cargo::package(&toolchain, project)?;
        workspaces.entry(package.workspace.clone()).or_default().push(package);
    }
    let mut built = Vec::new();
    for (workspace, packages) in &workspaces {
        let out = out.map_or_else(|| workspace.join(DEFAULT_OUT), Path::to_owned);
        let modules = cargo::build(&toolchain, packages, log)?;
        for (package, module) in packages.iter().zip(modules) {
            built.push(component::of_module(package, &module, &out)?);
        }
    }
    Ok(built)
}

fn build_other(
    project: &Project,
    out: Option<&Path>,
    log: &mut dyn FnMut(&str),
) -> Result<Built, BuildError> {
    let workshop = Workshop::new(project)?;
    match project.language {
        Language::JavaScript => javascript::build(project, &workshop, log)?,
        _ => python::build(project, &workshop, log)?,
    }
    let out = out.map_or_else(|| project.default_out(), Path::to_owned);
    component::of_tool(project, &workshop.component(), &out)
}
