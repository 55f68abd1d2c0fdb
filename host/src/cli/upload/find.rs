//! Which files are meant by paths, folders and globs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

use crate::cli::failure::Failure;

/// What a glob has and a path should not.
const PATTERN: [char; 4] = ['*', '?', '[', '{'];

/// What was found.
#[derive(Debug, Default, PartialEq)]
pub(in crate::cli) struct Found {
    /// In order of their paths, each once.
    pub files: BTreeSet<PathBuf>,
    /// What was left out and why.
    pub skipped: Vec<(PathBuf, &'static str)>,
    /// What could not be read.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Looks for everything that was named.
pub(in crate::cli) fn find(paths: &[String], hidden: bool) -> Result<Found, Failure> {
    let mut found = Found::default();
    for path in paths {
        find_one(path, hidden, &mut found)?;
    }
    Ok(found)
}

/// A path that exists is taken as it is, whatever characters it has; else it is a glob.
fn find_one(text: &str, hidden: bool, found: &mut Found) -> Result<(), Failure> {
    let path = Path::new(text);
    if path.is_dir() {
        walk(path, hidden, None, found);
        return Ok(());
    }
    if path.is_file() {
        found.files.insert(path.to_owned());
        return Ok(());
    }
    if path.exists() {
        return Err(Failure::new(format!("{text}: neither a file nor a folder")));
    }
    if is_missing(text) {
        return Err(Failure::new(format!("{text}: no such file or directory")));
    }
    let before = found.files.len();
    let matcher = GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .map_err(|error| Failure::new(format!("{text}: {error}")))?
        .compile_matcher();
    walk(&glob_root(path), hidden, Some(&matcher), found);
    if found.files.len() == before && found.unreadable.is_empty() {
        return Err(Failure::new(format!("{text}: no file matches")));
    }
    Ok(())
}

/// What is neither there nor a glob.
pub(in crate::cli) fn is_missing(text: &str) -> bool {
    !text.contains(PATTERN) && !Path::new(text).exists()
}

/// The directory above the first part that has a pattern in it.
fn glob_root(path: &Path) -> PathBuf {
    let is_fixed = |part: &std::path::Component| !part.as_os_str().to_string_lossy().contains(PATTERN);
    path.components().take_while(is_fixed).collect()
}

/// All regular files below a directory that match; `skipped` names what was passed over.
fn walk(root: &Path, hidden: bool, only: Option<&GlobMatcher>, found: &mut Found) {
    let start = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let mut entries = WalkDir::new(start).sort_by_file_name().into_iter();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(root).to_owned();
                let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                found.unreadable.push((path, reason));
                continue;
            }
        };
        let path = entry.path();
        // Without a directory of its own a glob knows its files by their bare names.
        let path = if root.as_os_str().is_empty() { path.strip_prefix(".").unwrap_or(path) } else { path };
        let is_wanted = only.is_none_or(|glob| glob.is_match(path));
        if entry.depth() > 0 && !hidden && entry.file_name().as_encoded_bytes().starts_with(b".") {
            if entry.file_type().is_dir() {
                entries.skip_current_dir();
            }
            if only.is_none() {
                found.skipped.push((path.to_owned(), "hidden"));
            }
        } else if entry.file_type().is_file() && is_wanted {
            found.files.insert(path.to_owned());
        } else if !entry.file_type().is_dir() && is_wanted {
            let reason = if entry.path_is_symlink() { "symbolic link" } else { "not a regular file" };
            found.skipped.push((path.to_owned(), reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in
            ["a.pdf", "b.md", "sub/c.pdf", "sub/deep/d.pdf", ".git/e.pdf", ".hidden.pdf", "we[ird].txt"]
        {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink(root.path().join("a.pdf"), root.path().join("link.pdf")).unwrap();
        root
    }

    fn names(root: &tempfile::TempDir, pattern: &str, hidden: bool) -> Vec<String> {
        let found = find(&[root.path().join(pattern).display().to_string()], hidden).unwrap();
        let relative = |path: &PathBuf| path.strip_prefix(root.path()).unwrap().display().to_string();
        found.files.iter().map(relative).collect()
    }

    #[test]
    fn a_folder_is_walked_without_what_is_hidden() {
        let root = tree();
        assert_eq!(names(&root, "", false), ["a.pdf", "b.md", "sub/c.pdf", "sub/deep/d.pdf", "we[ird].txt"]);
        assert!(names(&root, "", true).contains(&".git/e.pdf".to_owned()));
        let found = find(&[root.path().display().to_string()], false).unwrap();
        let reasons: Vec<_> =
            found.skipped.iter().map(|(path, why)| (path.file_name().unwrap(), *why)).collect();
        assert_eq!(
            reasons,
            [
                (".git".as_ref(), "hidden"),
                (".hidden.pdf".as_ref(), "hidden"),
                ("link.pdf".as_ref(), "symbolic link")
            ]
        );
    }

    #[test]
    fn globs_keep_to_their_level() {
        let root = tree();
        assert_eq!(names(&root, "*.pdf", false), ["a.pdf"]);
        assert_eq!(names(&root, "sub/*.pdf", false), ["sub/c.pdf"]);
        assert_eq!(names(&root, "**/*.pdf", false), ["a.pdf", "sub/c.pdf", "sub/deep/d.pdf"]);
        assert_eq!(names(&root, "*.{md,txt}", false), ["b.md", "we[ird].txt"]);
    }

    #[test]
    fn a_device_is_refused() {
        let error = find(&["/dev/null".to_owned()], false).err().unwrap();
        assert!(error.to_string().contains("neither a file nor a folder"), "{error}");
    }

    #[test]
    fn a_file_that_exists_is_no_glob_and_may_be_hidden() {
        let root = tree();
        assert_eq!(names(&root, "we[ird].txt", false), ["we[ird].txt"]);
        assert_eq!(names(&root, ".hidden.pdf", false), [".hidden.pdf"]);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let root = tree();
        let wrong = |name: &str| find(&[root.path().join(name).display().to_string()], false).unwrap_err();
        assert!(wrong("nope.pdf").to_string().ends_with("nope.pdf: no such file or directory"));
        assert!(wrong("*.xyz").to_string().ends_with("*.xyz: no file matches"));
        assert!(wrong("[.xyz").to_string().contains("[.xyz"));
    }
}
