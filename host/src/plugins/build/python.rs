//! Calls componentize-py.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::BuildError;
use super::project::{Project, above};
use super::tool::{answer, in_path, run, version};
use super::vendor::Workshop;

const TOOL: &str = "componentize-py";
/// What the templates ask for; the bindings of older ones have other names.
const OLDEST: (u32, u32) = (0, 25);
/// What a project gets that names no version itself.
const PINNED: &str = "componentize-py==0.25.1";
/// The module below `src` that implements the role.
const MODULE: &str = "plugin";

/// Makes the component; it is a file of the workshop.
pub(super) fn build(
    project: &Project,
    workshop: &Workshop,
    log: &mut dyn FnMut(&str),
) -> Result<(), BuildError> {
    let tool = find(&project.dir)?;
    log(&format!("making a component of src/{MODULE}.py with {}: ten seconds or more", tool.display()));
    let mut command = Command::new(&tool);
    command.current_dir(&project.dir).env("RUST_BACKTRACE", "0").env_remove("PYTHONPATH");
    match environment(&tool).as_deref() {
        // Packages come from there, and not from whatever else is installed on this machine.
        Some(environment) => command.env("VIRTUAL_ENV", environment),
        None => command.env_remove("VIRTUAL_ENV"),
    };
    command.arg("-q").arg("-d").arg(workshop.wit()).args(["-w", &format!("{}-plugin", project.role)]);
    command.arg("componentize").args(["-p", "src"]).arg("-p").arg(workshop.vendor().join("sdk/python"));
    if !project.wasi {
        command.arg("--stub-wasi");
    }
    command.arg("-o").arg(workshop.component()).arg(MODULE);
    run(command, readable, log, BuildError::Tool { tool: TOOL })
}

/// In `.venv` of the project or above, in the active environment, in PATH.
fn find(dir: &Path) -> Result<PathBuf, BuildError> {
    let active =
        || std::env::var_os("VIRTUAL_ENV").map(|environment| Path::new(&environment).join("bin").join(TOOL));
    let found = above(dir, &format!(".venv/bin/{TOOL}"))
        .or_else(|| active().filter(|path| path.is_file()))
        .or_else(|| in_path(TOOL));
    let Some(tool) = found else {
        let python = if in_path("python3").is_some() {
            ""
        } else {
            "python3 is missing, too; on Debian, first `apt-get install python3-venv`. "
        };
        return Err(BuildError::NoTool { tool: TOOL, how: format!("{python}{}", how(dir)) });
    };
    let said = answer(&tool, "--version").unwrap_or_default();
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
    let what = if dir.join("requirements.txt").is_file() { "-r requirements.txt" } else { PINNED };
    format!("`python3 -m venv .venv && .venv/bin/pip install {what}` in {}", dir.display())
}

/// The virtual environment that a tool belongs to, maybe by way of a link.
fn environment(tool: &Path) -> Option<PathBuf> {
    let tool = tool.canonicalize().ok()?;
    tool.parent()?.parent().filter(|dir| dir.join("pyvenv.cfg").is_file()).map(Path::to_owned)
}

/// The Python error out of what the tool says around it.
fn readable(said: &str) -> String {
    const ERROR: &str = "AssertionError: ";
    let Some((_, error)) = said.split_once(ERROR) else { return said.to_owned() };
    let error = error.split("\nCaused by:").next().unwrap_or(error);
    error.trim().replace("\"/0/", "\"src/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_name_the_same_version() {
        let path = "sdk/templates/python/common/requirements.txt";
        let (_, text) = crate::plugins::carried::FILES.iter().find(|(name, _)| *name == path).unwrap();
        assert!(String::from_utf8_lossy(text).lines().any(|line| line == PINNED));
    }

    #[test]
    fn a_python_error_is_told_alone() {
        let said = "Traceback (most recent call last):\n  File \"…/componentize-py\", line 8, in <module>\n\
                    AssertionError:   File \"/0/plugin.py\", line 1\n    def x(:\nSyntaxError: invalid syntax\n\n\n\
                    Caused by:\n    SyntaxError: invalid syntax (plugin.py, line 1)\n";
        assert_eq!(
            readable(said),
            "File \"src/plugin.py\", line 1\n    def x(:\nSyntaxError: invalid syntax"
        );
        assert_eq!(readable("something else"), "something else");
    }
}
