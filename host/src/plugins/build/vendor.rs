//! The interface and the SDK that a project is built with: those below its `vendor`, else those of this program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::BuildError;
use super::project::Project;
use crate::plugins::carried::{put, vendored};
use crate::plugins::manifest::WIT_VERSION;

/// A directory for one build, which goes with it.
pub(super) struct Workshop {
    dir: TempDir,
}

impl Workshop {
    /// Lays out `vendor`.
    pub(super) fn new(project: &Project) -> Result<Self, BuildError> {
        let dir = tempfile::Builder::new().prefix("smartrag-build-").tempdir();
        let dir = dir.map_err(|source| BuildError::Io { path: std::env::temp_dir(), source })?;
        let workshop = Self { dir };
        let vendor = workshop.vendor();
        lay_out(project, &vendor).map_err(|source| BuildError::Io { path: vendor, source })?;
        Ok(workshop)
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn vendor(&self) -> PathBuf {
        self.dir.path().join("vendor")
    }

    /// The interface of the project's version.
    pub(super) fn wit(&self) -> PathBuf {
        self.vendor().join("wit").join(WIT_VERSION)
    }

    /// Where the tool puts the component.
    pub(super) fn component(&self) -> PathBuf {
        self.dir.path().join("plugin.wasm")
    }
}

fn lay_out(project: &Project, vendor: &Path) -> io::Result<()> {
    let own = project.dir.join("vendor");
    if own.is_dir() {
        copy(&own, vendor, |_| true)?;
    } else {
        vendored(project.language).try_for_each(|(path, content)| put(&vendor.join(path), content))?;
    }
    if project.http {
        return Ok(());
    }
    // These tools import all that the world has, used or not: what is not asked for must not stand in it.
    let worlds = vendor.join("wit").join(WIT_VERSION).join("worlds.wit");
    let text = fs::read_to_string(&worlds)?;
    fs::write(&worlds, text.replace("    import http;\n", ""))
}

/// Copies files by what their names say, links as what they lead to.
pub(super) fn copy(from: &Path, to: &Path, wanted: impl Fn(&walkdir::DirEntry) -> bool) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(from).follow_links(true).into_iter().filter_entry(wanted) {
        let entry = entry?;
        let path = entry.path().strip_prefix(from).unwrap_or(entry.path());
        if entry.file_type().is_file() {
            put(&to.join(path), &fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::plugins::language::Language;
    use crate::types::Role;

    pub fn project(dir: &Path) -> Project {
        let (name, role) = ("a".to_owned(), Role::Generator);
        Project { language: Language::JavaScript, name, role, dir: dir.into(), wasi: true, http: false }
    }

    fn worlds(project: &Project) -> String {
        fs::read_to_string(Workshop::new(project).unwrap().wit().join("worlds.wit")).unwrap()
    }

    #[test]
    fn worlds_have_http_where_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!worlds(&project(dir.path())).contains("http"));
        assert!(worlds(&Project { http: true, ..project(dir.path()) }).contains("import http;"));
    }

    #[test]
    fn the_projects_own_vendor_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("kept/0.1.0/worlds.wit"), b"mine").unwrap();
        fs::create_dir(dir.path().join("vendor")).unwrap();
        std::os::unix::fs::symlink("../kept", dir.path().join("vendor/wit")).unwrap();
        assert_eq!(worlds(&project(dir.path())), "mine");
    }
}
