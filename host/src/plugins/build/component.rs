//! Makes a component of a core module, checks what it imports, and puts it into place.

use std::path::Path;

use tempfile::TempPath;
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use super::cargo::Package;
use super::project::Project;
use super::{BuildError, Built};

/// The package that all imports of a plugin without WASI belong to.
const OWN: &str = "smartrag:plugin/";

/// A component around the core module that cargo made.
pub(super) fn of_module(package: &Package, module: &Path, out: &Path) -> Result<Built, BuildError> {
    let name = &package.name;
    let core = std::fs::read(module).map_err(|source| io(module, source))?;
    if let Some(import) = core_imports(&core).into_iter().find(|import| !import.starts_with(OWN)) {
        return Err(BuildError::ForeignImport { hint: hint(&import), name: name.clone(), import });
    }
    let component = encode(&core);
    let component = component.map_err(|reason| BuildError::Component { name: name.clone(), reason })?;
    place(name, &package.plugin_toml, &component, &|import| import.starts_with(OWN), out)
}

/// The component that a tool of another language made.
pub(super) fn of_tool(project: &Project, component: &Path, out: &Path) -> Result<Built, BuildError> {
    let component = std::fs::read(component).map_err(|source| io(component, source))?;
    let allowed = |import: &str| import.starts_with(OWN) || (project.wasi && import.starts_with("wasi:"));
    place(&project.name, &project.plugin_toml(), &component, &allowed, out)
}

fn place(
    name: &str,
    plugin_toml: &Path,
    component: &[u8],
    allowed: &dyn Fn(&str) -> bool,
    out: &Path,
) -> Result<Built, BuildError> {
    let imports = component_imports(component)
        .map_err(|e| BuildError::Component { name: name.into(), reason: e.to_string() })?;
    if let Some(import) = imports.iter().find(|import| !allowed(import)) {
        return Err(BuildError::ForeignImport {
            hint: hint(import),
            name: name.into(),
            import: import.clone(),
        });
    }
    let dir = out.join(name);
    std::fs::create_dir_all(&dir).map_err(|source| io(&dir, source))?;
    let manifest = std::fs::read(plugin_toml).map_err(|source| io(plugin_toml, source))?;
    put(&dir.join("plugin.wasm"), component)?;
    put(&dir.join("plugin.toml"), &manifest)?;
    Ok(Built { name: name.into(), dir, size_bytes: component.len() as u64, imports })
}

/// The component of a core module that carries its world.
pub(super) fn encode(core: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(core).and_then(|encoder| encoder.encode()).map_err(|e| format!("{e:#}"))
}

/// Where a core module's imports come from. `[export]` marks what the component itself provides.
fn core_imports(core: &[u8]) -> Vec<String> {
    let sections = Parser::new(0).parse_all(core).filter_map(|payload| match payload {
        Ok(Payload::ImportSection(section)) => Some(section),
        _ => None,
    });
    let imports = sections.flat_map(|section| section.into_imports()).filter_map(Result::ok);
    let modules = imports.map(|import| import.module);
    modules.map(|module| module.strip_prefix("[export]").unwrap_or(module).to_owned()).collect()
}

/// Names of what the outermost component imports.
fn component_imports(component: &[u8]) -> Result<Vec<String>, wasmparser::BinaryReaderError> {
    let mut names = Vec::new();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    names.push(import?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

fn hint(import: &str) -> &'static str {
    match import {
        "__wbindgen_placeholder__" | "__wbindgen_externref_xform__" | "wbg" => {
            "some crate expects a browser; look with `cargo tree -e features -i js-sys` and switch off features such \
             as `wasm_js` of getrandom, `wasmbind` of chrono, `js` of uuid"
        }
        "env" => "some crate links a C library; choose its pure Rust feature",
        _ if import.starts_with("wasi") => {
            "build Rust for wasm32-unknown-unknown, which has no WASI; Python and JavaScript ask for it with \
             `wasi = true` in plugin.toml"
        }
        _ => {
            "plugins see the interfaces of their role's world only; `cargo tree` shows where the crate comes from"
        }
    }
}

/// Readers see the old file or the new one.
fn put(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let written = temporary(path, bytes).map_err(|source| io(path, source))?;
    written.persist(path).map_err(|e| io(path, e.error))
}

fn temporary(path: &Path, bytes: &[u8]) -> std::io::Result<TempPath> {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    std::fs::write(file.path(), bytes)?;
    file.as_file().sync_all()?;
    Ok(file.into_temp_path())
}

fn io(path: &Path, source: std::io::Error) -> BuildError {
    BuildError::Io { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(module (import "env" "f" (func)))`
    const CORE: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x09\x01\x03env\x01f\0\0";

    #[test]
    fn imports_of_a_module_are_seen() {
        assert_eq!(core_imports(CORE), ["env"]);
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plugin.wasm");
        put(&path, b"old and long").unwrap();
        put(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
