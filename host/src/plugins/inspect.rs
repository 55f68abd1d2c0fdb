use std::path::Path;
use std::time::{Duration, Instant};

use wasmparser::{Chunk, ComponentExternalKind, Encoding, Parser, Payload};

use super::load::read_component_file;
use super::manifest::WIT_VERSION;
use super::wasm::{self, imports};
use crate::types::Role;

/// How everything of WebAssembly begins.
const MAGIC: &[u8] = b"\0asm";

/// What can be said of a component without running it.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// From its exports; `None` if it exports no role of this WIT version.
    pub role: Option<Role>,
    /// Everything that it imports.
    pub imports: Vec<String>,
    /// Imports that the world of its role does not have.
    pub undeclared_imports: Vec<String>,
    /// Bytes.
    pub size_bytes: u64,
    /// Hex.
    pub sha256: String,
    /// What compiling it took here, or why it can't be compiled. A daemon does it once for each build.
    pub compiled: Result<Duration, String>,
}

/// Reads a component file; the error is a sentence.
pub fn inspect(component: &Path) -> Result<Inspection, String> {
    let (bytes, hash) = read_component_file(component)?;
    if !bytes.starts_with(MAGIC) {
        let path = component.display();
        return Err(format!("{path} is no WebAssembly component: `smartrag plugin build` makes one"));
    }
    let (imports, exports) = names(&bytes).map_err(|what| format!("{}: {what}", component.display()))?;
    let role = Role::ALL
        .into_iter()
        .find(|role| exports.iter().any(|name| *name == format!("smartrag:plugin/{role}@{WIT_VERSION}")));
    let undeclared = |name: &&String| role.is_none_or(|role| !imports::in_world(role, name));
    Ok(Inspection {
        role,
        undeclared_imports: imports.iter().filter(undeclared).cloned().collect(),
        imports,
        size_bytes: bytes.len() as u64,
        sha256: hash.to_string(),
        compiled: compile(&bytes),
    })
}

fn compile(bytes: &[u8]) -> Result<Duration, String> {
    let output = tempfile::tempfile().map_err(|error| format!("no temporary file: {error}"))?;
    let begun = Instant::now();
    wasm::compile::compile(bytes, &output, Default::default())?;
    Ok(begun.elapsed())
}

/// Names of the outermost component's imports and exports.
fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let (mut parser, mut rest, mut nesting) = (Parser::new(0), bytes, Vec::new());
    loop {
        let Chunk::Parsed { consumed, payload } =
            parser.parse(rest, true).map_err(|error| format!("not a valid component: {error}"))?
        else {
            return Err("the component is truncated".into());
        };
        rest = rest.get(consumed..).unwrap_or_default();
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if nesting.is_empty() => {
                return Err(
                    "this is a core module, not a component: wrap it with `smartrag plugin build`".into()
                );
            }
            Payload::ModuleSection { parser: inner, .. }
            | Payload::ComponentSection { parser: inner, .. } => {
                nesting.push(std::mem::replace(&mut parser, inner));
            }
            Payload::ComponentImportSection(section) if nesting.is_empty() => {
                for import in section {
                    imports.push(import.map_err(|error| error.to_string())?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if nesting.is_empty() => {
                for export in section {
                    let export = export.map_err(|error| error.to_string())?;
                    if export.kind == ComponentExternalKind::Instance {
                        exports.push(export.name.name.to_owned());
                    }
                }
            }
            Payload::End(_) => match nesting.pop() {
                Some(outer) => parser = outer,
                None => return Ok((imports, exports)),
            },
            _ => {}
        }
    }
}
