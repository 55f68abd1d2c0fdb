use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::{Outcome, Result};
use crate::plugins::build::{self, Built};

const MANIFEST_FILE: &str = "plugin.toml";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Plugin projects, or folders of them [default: the current directory]
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Write each plugin to OUT/NAME [default: target/plugins of the project]
    #[arg(long, value_name = "OUT")]
    out: Option<PathBuf>,
    /// Only errors, nothing of what the tools say
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(args: Args) -> Result {
    let dirs = if args.dirs.is_empty() { vec![PathBuf::from(".")] } else { args.dirs };
    let mut projects = Vec::new();
    for dir in &dirs {
        projects.extend(projects_in(dir)?);
    }
    let mut kept = Vec::new();
    let mut log = |line: &str| {
        if args.quiet {
            kept.push(line.to_owned());
        } else {
            eprintln!("{line}");
        }
    };
    let built = build::build(&projects, args.out.as_deref(), &mut log);
    if built.is_err() {
        // What the tool said is the reason.
        kept.iter().for_each(|line| eprintln!("{line}"));
    }
    built?.iter().try_for_each(|plugin| output::line(&told(plugin)))?;
    Ok(Outcome::Done)
}

/// A project itself, or the projects directly below.
fn projects_in(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if dir.join(MANIFEST_FILE).is_file() {
        return Ok(vec![dir.to_owned()]);
    }
    let entries = dir.read_dir().map_err(|error| Failure::new(format!("{}: {error}", dir.display())))?;
    let mut projects = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.join(MANIFEST_FILE).is_file() {
            projects.push(path);
        }
    }
    if projects.is_empty() {
        return Err(Failure::new(format!("no {MANIFEST_FILE} in {} nor right below it", dir.display()))
            .hint("name the directory of a plugin project")
            .into());
    }
    projects.sort();
    Ok(projects)
}

fn told(plugin: &Built) -> String {
    format!("built {} ({}) in {}", plugin.name, output::size(plugin.size_bytes), plugin.dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_projects_stands_for_them() {
        let root = tempfile::tempdir().unwrap();
        for file in ["b/plugin.toml", "a/plugin.toml", "c/other", "d/e/plugin.toml"] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let a = root.path().join("a");
        assert_eq!(projects_in(root.path()).unwrap(), [a.clone(), root.path().join("b")]);
        assert_eq!(projects_in(&a).unwrap(), [a]);
        assert!(projects_in(&root.path().join("c")).is_err());
        assert!(projects_in(&root.path().join("nowhere")).is_err());
    }
}
