//! Calls cargo.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::BuildError;
use super::project::check_name;
use super::toolchain::{TARGET, Toolchain};

/// A plugin project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    /// Of the plugin.
    pub(super) name: String,
    /// Of the crate.
    package: String,
    manifest: PathBuf,
    pub(super) plugin_toml: PathBuf,
    pub(super) workspace: PathBuf,
    /// Apart from the workspace's own, lest plugin builds and others wait for each other.
    target_dir: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct PluginName {
    name: String,
}

/// Reads a project without building anything.
pub(super) fn package(toolchain: &Toolchain, project: &Path) -> Result<Package, BuildError> {
    let wrong = |reason: String| BuildError::Project { dir: project.into(), reason };
    let plugin_toml = project.join("plugin.toml");
    let text = std::fs::read_to_string(&plugin_toml).map_err(|e| wrong(format!("plugin.toml: {e}")))?;
    let PluginName { name } = toml::from_str(&text).map_err(|e| wrong(format!("plugin.toml: {e}")))?;
    check_name(&name).map_err(wrong)?;
    let manifest =
        project.join("Cargo.toml").canonicalize().map_err(|e| wrong(format!("Cargo.toml: {e}")))?;
    let metadata = metadata(toolchain, &manifest)?;
    let found = metadata.packages.into_iter().find(|package| package.manifest_path == manifest);
    let package = found.ok_or_else(|| wrong("Cargo.toml has no [package]".into()))?.name;
    let target_dir = metadata.target_directory.join("guests");
    Ok(Package { name, package, manifest, plugin_toml, workspace: metadata.workspace_root, target_dir })
}

fn metadata(toolchain: &Toolchain, manifest: &Path) -> Result<Metadata, BuildError> {
    let mut command = command(toolchain);
    command.args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"]).arg(manifest);
    let output = command.output().map_err(|source| run_error(toolchain, source))?;
    let reason = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.status.success() {
        true => serde_json::from_slice(&output.stdout)
            .map_err(|e| BuildError::Project { dir: manifest.into(), reason: e.to_string() }),
        false => Err(BuildError::Project { dir: manifest.into(), reason: reason() }),
    }
}

/// Builds packages of one workspace in one go; answers the core module of each, in order.
pub(super) fn build(
    toolchain: &Toolchain,
    packages: &[Package],
    log: &mut dyn FnMut(&str),
) -> Result<Vec<PathBuf>, BuildError> {
    let Some(first) = packages.first() else { return Ok(Vec::new()) };
    let mut command = command(toolchain);
    command.args(["build", "--release", "--lib", "--target", TARGET]);
    command.args(["--message-format=json-render-diagnostics", "--manifest-path"]).arg(&first.manifest);
    command.arg("--target-dir").arg(&first.target_dir);
    if let Some(linker) = &toolchain.std_from_source {
        command.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &linker.0);
    }
    command.args(packages.iter().flat_map(|package| ["-p", &package.package]));
    let messages = run(toolchain, command, log)?;
    let module = |package: &Package| {
        let made = messages.iter().rev().find(|made| made.manifest_path == package.manifest);
        let made = made
            .and_then(|made| made.filenames.iter().find(|file| file.extension() == Some("wasm".as_ref())));
        made.cloned().ok_or_else(|| BuildError::NoComponent { package: package.package.clone() })
    };
    packages.iter().map(module).collect()
}

/// Flags meant for the host's own build must not reach the guest's.
fn command(toolchain: &Toolchain) -> Command {
    let mut command = Command::new(&toolchain.cargo);
    command.env("RUSTC", &toolchain.rustc).stdin(Stdio::null());
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}

#[derive(Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    filenames: Vec<PathBuf>,
}

fn run(
    toolchain: &Toolchain,
    mut command: Command,
    log: &mut dyn FnMut(&str),
) -> Result<Vec<Artifact>, BuildError> {
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|source| run_error(toolchain, source))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let artifacts = std::thread::scope(|scope| {
        let artifacts = scope.spawn(|| stdout.map(artifacts).unwrap_or_default());
        stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines()).map_while(Result::ok).for_each(
            |line| {
                log(&line);
            },
        );
        artifacts.join().unwrap_or_default()
    });
    let status = child.wait().map_err(|source| run_error(toolchain, source))?;
    if status.success() { Ok(artifacts) } else { Err(BuildError::Cargo) }
}

fn artifacts(stdout: impl Read) -> Vec<Artifact> {
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
}

fn run_error(toolchain: &Toolchain, source: std::io::Error) -> BuildError {
    BuildError::Run { program: toolchain.cargo.clone(), source }
}
