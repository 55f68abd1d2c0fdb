//! What was seen of the files, and which of them are gone for good.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Tells one state of a file from another.
pub(super) type Stamp = (Option<SystemTime>, u64, u64);

/// A file as it was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    stamp: Stamp,
    /// The path that its document names: once folders are gone it can't be found any more.
    pub origin: Option<String>,
    /// Of its folder.
    device: Option<u64>,
}

impl Sent {
    pub fn of(path: &Path, stamp: Stamp) -> Self {
        let origin = fs::canonicalize(path).ok().and_then(|path| path.into_os_string().into_string().ok());
        Self { stamp, origin, device: path.parent().and_then(device) }
    }
}

/// What was seen of each file, and what the daemon has of it.
#[derive(Default)]
pub(super) struct Seen {
    /// At the last look.
    stamps: BTreeMap<PathBuf, Stamp>,
    pub sent: BTreeMap<PathBuf, Sent>,
}

impl Seen {
    /// Files that have changed since they were sent, and stand still since the last look; at the first look all.
    pub fn due(&mut self, now: BTreeMap<PathBuf, Stamp>, first: bool) -> Vec<(PathBuf, Sent)> {
        let is_due = |(path, stamp): &(&PathBuf, &Stamp)| {
            let is_still = first || self.stamps.get(*path) == Some(*stamp);
            is_still && self.sent.get(*path).map(|sent| &sent.stamp) != Some(*stamp)
        };
        let sent = |(path, stamp): (&PathBuf, &Stamp)| (path.clone(), Sent::of(path, *stamp));
        let due = now.iter().filter(is_due).map(sent).collect();
        self.stamps = now;
        due
    }

    /// Files that were sent and are gone.
    pub fn gone(&self) -> Vec<(PathBuf, Sent)> {
        let sent = self.sent.iter().filter(|(path, _)| !self.stamps.contains_key(*path) && is_gone(path));
        sent.map(|(path, sent)| (path.clone(), sent.clone())).collect()
    }
}

/// Whether there is no such file, which is more than that it can't be read.
pub(super) fn is_gone(path: &Path) -> bool {
    let is_nothing = |kind| matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory);
    fs::symlink_metadata(path).is_err_and(|error| is_nothing(error.kind()))
}

/// The folder that is away as a whole, or with another file system in it than a file came from: an unmounted drive comes back.
pub(super) fn away(path: &Path, sent: &Sent, roots: &[PathBuf]) -> Option<PathBuf> {
    if let Some(root) = roots.iter().find(|root| path.starts_with(root) && !root.is_dir()) {
        return Some(root.clone());
    }
    let folder = path.ancestors().skip(1).map(named).find(|folder| folder.is_dir())?;
    (device(folder) != sent.device).then(|| folder.to_owned())
}

pub(super) fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

fn device(folder: &Path) -> Option<u64> {
    named(folder).metadata().ok().map(|metadata| metadata.dev())
}

/// What stands before a bare name.
fn named(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(files: &[(&str, u64)]) -> BTreeMap<PathBuf, Stamp> {
        files.iter().map(|(path, size)| (PathBuf::from(path), (None, *size, 0))).collect()
    }

    fn names(files: Vec<(PathBuf, Sent)>) -> Vec<PathBuf> {
        files.into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn a_file_is_sent_once_it_stands_still() {
        let mut seen = Seen::default();
        let first = seen.due(look(&[("a", 1)]), true);
        seen.sent.extend(first.clone());
        assert_eq!(names(first), [PathBuf::from("a")]);
        assert!(seen.due(look(&[("a", 1)]), false).is_empty());
        assert!(seen.due(look(&[("a", 2), ("b", 1)]), false).is_empty(), "still written");
        assert_eq!(names(seen.due(look(&[("a", 3), ("b", 1)]), false)), [PathBuf::from("b")]);
        assert_eq!(names(seen.due(look(&[("a", 3)]), false)), [PathBuf::from("a")]);
        assert!(seen.gone().is_empty());
        seen.due(look(&[]), false);
        assert_eq!(names(seen.gone()), [PathBuf::from("a")]);
    }

    #[test]
    fn what_is_there_is_not_gone_although_it_was_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "").unwrap();
        let mut seen = Seen::default();
        seen.sent.insert(path.clone(), Sent::of(&path, (None, 0, 0)));
        assert!(seen.gone().is_empty());
        fs::remove_file(&path).unwrap();
        assert_eq!(names(seen.gone()), std::slice::from_ref(&path));
        assert!(is_gone(&path.join("below")));
    }

    #[test]
    fn a_folder_that_went_is_told_from_one_that_is_away() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let path = root.join("sub/a");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(&path, "").unwrap();
        let sent = Sent::of(&path, (None, 0, 0));
        let roots = [root.clone()];
        fs::remove_dir_all(root.join("sub")).unwrap();
        assert_eq!(away(&path, &sent, &roots), None);
        let other = Sent { device: sent.device.map(|device| device + 1), ..sent.clone() };
        assert_eq!(away(&path, &other, &roots), Some(root.clone()), "another file system");
        fs::remove_dir(&root).unwrap();
        assert_eq!(away(&path, &sent, &roots), Some(root));
    }
}
