//! Finds a compiler for `wasm32-unknown-unknown`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::BuildError;

/// The target of all plugins: no operating system, hence nothing to import but what the WIT offers.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// How to call cargo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Toolchain {
    pub(super) cargo: PathBuf,
    pub(super) rustc: PathBuf,
    /// Set where the standard library has to be built too, since no target is installed.
    pub(super) std_from_source: Option<Linker>,
}

/// A linker that knows WebAssembly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Linker(pub(super) PathBuf);

/// What is installed comes first: an installed target, then library sources (Debian's `rust-web-src`). Only then
/// is rustup asked to fetch the target.
pub(super) fn find(log: &mut dyn FnMut(&str)) -> Result<Toolchain, BuildError> {
    let compilers = compilers();
    if let Some(compiler) = compilers.iter().find(|compiler| compiler.has_target()) {
        return Ok(compiler.toolchain(None));
    }
    let from_source = compilers.iter().find(|compiler| compiler.has_sources());
    match from_source.map(|compiler| (compiler, linker(&compilers))) {
        Some((compiler, Some(linker))) => {
            log(&format!("building the standard library for {TARGET} with {}", compiler.rustc.display()));
            Ok(compiler.toolchain(Some(linker)))
        }
        Some((compiler, None)) => {
            fetch_target(log).ok_or_else(|| BuildError::NoLinker { rustc: compiler.rustc.clone() })
        }
        None => fetch_target(log).ok_or(BuildError::NoToolchain),
    }
}

#[derive(Debug)]
struct Compiler {
    cargo: PathBuf,
    rustc: PathBuf,
    sysroot: PathBuf,
}

impl Compiler {
    fn has_target(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    fn has_sources(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
    }

    fn toolchain(&self, std_from_source: Option<Linker>) -> Toolchain {
        Toolchain { cargo: self.cargo.clone(), rustc: self.rustc.clone(), std_from_source }
    }
}

/// The compiler of the path, and Debian's, which rustup's may hide.
fn compilers() -> Vec<Compiler> {
    let found = [("cargo", "rustc"), ("/usr/bin/cargo", "/usr/bin/rustc")].map(|(cargo, rustc)| {
        let sysroot = answer(Path::new(rustc), &["--print", "sysroot"])?;
        Some(Compiler { cargo: cargo.into(), rustc: rustc.into(), sysroot: sysroot.into() })
    });
    found.into_iter().flatten().collect()
}

/// Rust's own linker, which understands whatever its compiler emits, or else the newest `wasm-ld` of LLVM.
fn linker(compilers: &[Compiler]) -> Option<Linker> {
    let own = compilers.iter().find_map(|compiler| {
        let host = answer(&compiler.rustc, &["--print", "host-tuple"])?;
        let path = compiler.sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
        path.is_file().then_some(path)
    });
    own.or_else(wasm_ld).map(Linker)
}

fn wasm_ld() -> Option<PathBuf> {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let files = std::env::split_paths(&directories).filter_map(|dir| std::fs::read_dir(dir).ok()).flatten();
    let versions =
        files.flatten().filter_map(|file| Some((wasm_ld_version(file.file_name().to_str()?)?, file)));
    versions.max_by_key(|(version, _)| *version).map(|(_, file)| file.path())
}

/// `wasm-ld-22` is 22; a `wasm-ld` without a number gives way to one that has it.
fn wasm_ld_version(file_name: &str) -> Option<u32> {
    match file_name.strip_prefix("wasm-ld")? {
        "" => Some(0),
        version => version.strip_prefix('-')?.parse().ok(),
    }
}

fn fetch_target(log: &mut dyn FnMut(&str)) -> Option<Toolchain> {
    answer(Path::new("rustup"), &["--version"])?;
    log(&format!("rustup target add {TARGET}"));
    answer(Path::new("rustup"), &["target", "add", TARGET])?;
    compilers().iter().find(|compiler| compiler.has_target()).map(|compiler| compiler.toolchain(None))
}

fn answer(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wasm_ld_is_told_by_its_name() {
        let versions =
            ["wasm-ld", "wasm-ld-14", "wasm-ld-22", "wasm-ld.exe", "ld.lld-22"].map(wasm_ld_version);
        assert_eq!(versions, [Some(0), Some(14), Some(22), None, None]);
    }
}
