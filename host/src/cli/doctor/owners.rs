//! Files of another user in the data directory: what `sudo smartrag …` leaves there, and the daemon can't use.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use walkdir::{DirEntry, WalkDir};

use super::check::Check;
use super::permissions::PRIVATE;
use crate::cli::output;

/// Whoever owns the directory is the daemon's user.
pub(super) fn check(data_dir: &Path) -> Option<Check> {
    let metadata = data_dir.metadata().ok()?;
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    judge(data_dir, (metadata.uid(), metadata.gid()), &passwd)
}

fn judge(data_dir: &Path, (owner, group): (u32, u32), passwd: &str) -> Option<Check> {
    // What else lies there (`lost+found`, models) need not be the daemon's.
    let entries = PRIVATE.iter().flat_map(|part| WalkDir::new(data_dir.join(part))).flatten();
    let uid = |entry: &DirEntry| entry.metadata().ok().map(|metadata| metadata.uid());
    let mut foreign = entries.filter(|entry| uid(entry).is_some_and(|uid| uid != owner));
    let first = foreign.next()?;
    let whose = name(passwd, uid(&first)?);
    let count = 1 + foreign.count();
    let (files, first) = (output::count(count, "file"), first.path().display());
    let said = format!("{files} in {} of another user, such as {first} of {whose}", data_dir.display());
    let hint = format!("sudo chown -R {}:{group} {}", name(passwd, owner), data_dir.display());
    Some(Check::fail("permissions", said, hint))
}

/// The name of a user, else his number.
fn name(passwd: &str, uid: u32) -> String {
    let uid = uid.to_string();
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    };
    passwd.lines().find_map(of).unwrap_or(uid)
}

#[cfg(test)]
mod tests {
    use super::super::check::Level;
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nsmartrag:x:998:998::/var/lib/smartrag:/bin/false\n";

    #[test]
    fn users_have_names_or_numbers() {
        assert_eq!([name(PASSWD, 0), name(PASSWD, 998), name(PASSWD, 7)], ["root", "smartrag", "7"]);
    }

    #[test]
    fn files_of_another_user_are_named_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("database")).unwrap();
        std::fs::write(dir.path().join("database/lock"), "").unwrap();
        let ours = dir.path().metadata().unwrap().uid();
        assert_eq!(judge(dir.path(), (ours, 0), PASSWD), None);
        let told = judge(dir.path(), (ours + 998, 998), PASSWD).unwrap();
        assert_eq!(told.level, Level::Fail);
        assert!(!told.stops_serve);
        assert!(told.detail.starts_with("2 files"), "{}", told.detail);
        assert!(told.hint.unwrap().starts_with("sudo chown -R "));
    }
}
