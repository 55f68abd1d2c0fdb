//! Builds plugin projects (`Cargo.toml` + `plugin.toml`) into components that the host loads.
//!
//! Invariant: a directory `<out>/<name>` holds a component that was checked, or what it held before.

mod cargo;
mod component;
mod text;
mod toolchain;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo::Package;
pub(super) use text::from_text;

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
/// their workspace unless given; `log` gets cargo's lines.
/// Projects of one workspace are built together, so that they share the standard library and the SDK.
pub fn build(
    projects: &[PathBuf],
    out: Option<&Path>,
    log: &mut dyn FnMut(&str),
) -> Result<Vec<Built>, BuildError> {
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
            built.push(component::make(package, &module, &out)?);
        }
    }
    Ok(built)
}
