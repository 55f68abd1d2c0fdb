//! Calls componentize-js.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::BuildError;
use super::project::{Project, above};
use super::tool::{answer, in_path, run, version};
use super::vendor::{Workshop, copy};

const TOOL: &str = "@bytecodealliance/componentize-js";
/// Imports the tool and runs it; its command line takes less than its API.
const SCRIPT: &str = include_str!("componentize.mjs");
const NODE_OLDEST: (u32, u32) = (20, 0);
const OLDEST: (u32, u32) = (0, 23);
/// What a project gets that names no version itself.
const PINNED: &str = "0.23.0";
const MAIN: &str = "src/plugin.js";
/// What a plugin does not import from.
const LEFT_OUT: [&str; 6] = ["node_modules", "target", "golden", "vendor", ".git", "types"];

#[derive(Deserialize, Default)]
struct Package {
    main: Option<String>,
    version: Option<String>,
}

/// Makes the component; it is a file of the workshop.
pub(super) fn build(
    project: &Project,
    workshop: &Workshop,
    log: &mut dyn FnMut(&str),
) -> Result<(), BuildError> {
    let node = node()?;
    let tool = find(&project.dir)?;
    let wrong = |reason: String| BuildError::Project { dir: project.dir.clone(), reason };
    let main = package(&project.dir.join("package.json")).map_err(wrong)?.main.unwrap_or_else(|| MAIN.into());
    // A copy, since the tool sees nothing outside of the directory that it runs in, links neither.
    let stage = workshop.path();
    let wanted = |entry: &walkdir::DirEntry| match entry.file_type().is_dir() {
        true => entry.depth() != 1 || !LEFT_OUT.iter().any(|name| entry.file_name() == *name),
        false => is_module(entry.path()),
    };
    copy(&project.dir, stage, wanted)
        .map_err(|source| BuildError::Io { path: project.dir.clone(), source })?;
    let source = stage.join(&main);
    if !source.is_file() {
        return Err(wrong(format!("package.json: there is no {main:?} as its main")));
    }
    log(&format!("making a component of {main} with {}: ten seconds or more", tool.display()));
    let task = serde_json::json!({
        "tool": tool.join("src/componentize.js"),
        "sourcePath": source,
        "witPath": workshop.wit(),
        "worldName": format!("{}-plugin", project.role),
        "disableFeatures": left_out_features(project),
        "output": workshop.component(),
    });
    let mut command = Command::new(node);
    command.current_dir(stage).env_remove("NODE_OPTIONS");
    command.args(["--input-type=module", "--eval", SCRIPT, "--", &task.to_string()]);
    let places = format!("{}/", stage.display());
    run(command, |said| said.replace(&places, ""), log, BuildError::Tool { tool: TOOL })
}

fn is_module(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "js" || extension == "mjs")
}

/// Of what the runtime can have from WASI.
fn left_out_features(project: &Project) -> Vec<&'static str> {
    let mut left_out = vec!["fetch-event"];
    if !project.wasi {
        left_out.extend(["stdio", "random", "clocks"]);
    }
    if !project.wasi || !project.http {
        left_out.push("http");
    }
    left_out
}

fn node() -> Result<PathBuf, BuildError> {
    let how = || {
        let (major, _) = NODE_OLDEST;
        format!("install Node.js {major} or newer with npm, from your distribution or nodejs.org")
    };
    let Some(node) = in_path("node") else { return Err(BuildError::NoTool { tool: "node", how: how() }) };
    let said = answer(&node, "--version").unwrap_or_default();
    match version(&said) {
        Some(found) if found >= NODE_OLDEST => Ok(node),
        _ => Err(BuildError::OldTool {
            tool: node.display().to_string(),
            said,
            wanted: NODE_OLDEST.0.to_string(),
            how: how(),
        }),
    }
}

/// In `node_modules` of the project or above, or in NODE_PATH.
fn find(dir: &Path) -> Result<PathBuf, BuildError> {
    let paths = std::env::var_os("NODE_PATH").unwrap_or_default();
    let given = || std::env::split_paths(&paths).map(|path| path.join(TOOL)).find(|path| path.is_dir());
    let found = above(dir, &format!("node_modules/{TOOL}")).or_else(given);
    let Some(tool) = found else {
        let npm = if in_path("npm").is_some() {
            ""
        } else {
            "npm is missing, too; it comes with Node.js, on Debian in a package of its own. "
        };
        return Err(BuildError::NoTool { tool: TOOL, how: format!("{npm}{}", how(dir)) });
    };
    let said =
        package(&tool.join("package.json")).ok().and_then(|package| package.version).unwrap_or_default();
    match version(&said) {
        Some(found) if found >= OLDEST => Ok(tool),
        _ => Err(BuildError::OldTool {
            tool: tool.display().to_string(),
            said,
            wanted: format!("{}.{}", OLDEST.0, OLDEST.1),
            how: how(dir),
        }),
    }
}

fn how(dir: &Path) -> String {
    let names_it = std::fs::read_to_string(dir.join("package.json")).is_ok_and(|text| text.contains(TOOL));
    let what = if names_it { String::new() } else { format!(" --save-dev {TOOL}@{PINNED}") };
    format!("`npm install{what}` in {}", dir.display())
}

fn package(path: &Path) -> Result<Package, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_name_the_same_version() {
        let path = "sdk/templates/javascript/common/package.json";
        let (_, text) = crate::plugins::carried::FILES.iter().find(|(name, _)| *name == path).unwrap();
        let package: serde_json::Value = serde_json::from_slice(text).unwrap();
        assert_eq!(package["devDependencies"][TOOL], PINNED);
        assert_eq!(package["main"], MAIN);
    }

    #[test]
    fn a_runtime_gets_what_the_manifest_says() {
        let project =
            |wasi, http| Project { wasi, http, ..super::super::vendor::tests::project(Path::new("/")) };
        assert_eq!(left_out_features(&project(true, true)), ["fetch-event"]);
        assert_eq!(left_out_features(&project(true, false)), ["fetch-event", "http"]);
        assert_eq!(left_out_features(&project(false, true)).len(), 5);
    }
}
