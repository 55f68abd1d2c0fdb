//! Lists the files that plugin projects are made of, for `plugins/carried.rs` to carry them inside the binary.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What belongs to a plugin project: the SDKs, their templates, the interface.
const CARRIED: &[&str] = &[
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "sdk/Cargo.toml",
    "sdk/src",
    "sdk/python",
    "sdk/javascript",
    "sdk/templates",
    "wit/0.1.0",
];

fn main() -> std::io::Result<()> {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = Vec::new();
    for carried in CARRIED {
        println!("cargo::rerun-if-changed={carried}");
        collect(&root.join(carried), &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&root).unwrap_or(file);
        let _ = writeln!(table, "    ({:?}, include_bytes!({file:?})),", name);
    }
    table.push_str("]\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    std::fs::write(out.join("carried.rs"), table)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in path.read_dir()? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name != "target" && name != "__pycache__") {
            collect(&path, files)?;
        }
    }
    Ok(())
}
