//! The directory of backups: `<UTC time>` each, `latest` a relative link to the newest one, `.partial-…` what is not whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::manifest::{Manifest, regular};
use crate::store::blobs::{private_dir, sync_dir};
use crate::store::error::at;
use crate::store::{Error, Result};

const LATEST: &str = "latest";
const LOCK: &str = ".lock";
/// Names of what is being made or removed begin so.
const PARTIAL: &str = ".partial-";
/// Beside the manifest once the backup was found in order, or not.
const VERIFIED: &str = "verified";
const DAMAGED: &str = "damaged";
const NOTE_BYTES_MAX: u64 = 64;
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// Backups of one second.
const CLASHES_MAX: u32 = 1000;

/// A backup on the shelf.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    /// Its directory's name.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// From the name.
    pub created_at: Timestamp,
    /// When it was last found in order.
    pub verified_at: Option<Timestamp>,
    /// What it holds, or why that can't be told.
    pub manifest: Result<Manifest, String>,
}

/// When a backup of this name was made; `None` if it is not such a name.
fn parse_name(name: &str) -> Option<Timestamp> {
    let (time, clash) = name.split_once('-').unwrap_or((name, "2"));
    let is_number = !clash.is_empty() && clash.len() <= 4 && clash.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || time.len() != 16 {
        return None;
    }
    let time = DateTime::strptime(TIME, time).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Those on the shelf, newest first. A directory that is not there has none.
pub fn backups(dir: &Path) -> Result<Vec<Backup>> {
    let mut found: Vec<_> = names(dir)?.into_iter().filter_map(|name| look(&dir.join(name))).collect();
    found.sort_by(|a, b| order(b).cmp(&order(a)));
    Ok(found)
}

/// `…Z-10` comes after `…Z-9`.
fn order(backup: &Backup) -> (Timestamp, usize, &str) {
    (backup.created_at, backup.name.len(), &backup.name)
}

/// The backup of a directory, if it is named like one.
fn look(path: &Path) -> Option<Backup> {
    let name = path.file_name()?.to_str()?.to_owned();
    let created_at = parse_name(&name)?;
    let verified_at = read_note(&path.join(VERIFIED)).and_then(|text| text.trim().parse().ok());
    let manifest = match fs::symlink_metadata(path.join(DAMAGED)) {
        Ok(_) => Err("it was found damaged: `smartrag backup verify` says where".to_owned()),
        Err(_) => Manifest::read(path),
    };
    Some(Backup { name, path: path.to_owned(), created_at, verified_at, manifest })
}

fn read_note(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(regular(path).ok()?).ok()?.take(NOTE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(at(dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(at(dir))?.file_name().to_str().map(str::to_owned));
    }
    Ok(names)
}

/// Notes in a backup what a verification found. On a medium that can't be written nothing is noted, and nothing where a
/// link leads: the backup may be anybody's.
pub(super) fn note_verified(backup: &Path, now: Timestamp, in_order: bool) {
    for note in [VERIFIED, DAMAGED] {
        let _ = fs::remove_file(backup.join(note));
    }
    let note = backup.join(if in_order { VERIFIED } else { DAMAGED });
    let new = OpenOptions::new().write(true).create_new(true).open(note);
    let _ = new.and_then(|mut file| writeln!(file, "{now}"));
}

/// The directory of backups, held by this one alone.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    _lock: File,
}

impl Shelf {
    /// Creates it if need be, and removes what a process left that was killed.
    pub fn open(dir: &Path) -> Result<Self> {
        private_dir(dir)?;
        let path = dir.join(LOCK);
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(at(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Conflict("a backup is being made: wait for it to end".into()));
            }
            Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
        }
        for name in names(dir)?.iter().filter(|name| name.starts_with(PARTIAL)) {
            let path = dir.join(name);
            match fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            }
            .map_err(at(&path))?;
        }
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// Begins a backup of this moment.
    pub fn begin(&self, now: Timestamp) -> Result<Partial<'_>> {
        let time = now.strftime(TIME).to_string();
        let clashing = (2..CLASHES_MAX).map(|nth| format!("{time}-{nth}"));
        let free = std::iter::once(time.clone()).chain(clashing).find(|name| !self.dir.join(name).exists());
        let name = free.ok_or_else(|| Error::Conflict(format!("too many backups of {time}")))?;
        let path = self.dir.join(format!("{PARTIAL}{name}"));
        private_dir(&path)?;
        Ok(Partial { shelf: self, path, name, whole: false })
    }

    /// The newest whole one.
    pub fn newest(&self) -> Result<Option<PathBuf>> {
        let found = backups(&self.dir)?.into_iter().find(|backup| backup.manifest.is_ok());
        Ok(found.map(|backup| backup.path))
    }

    /// Removes backups older than `before`; their names. The newest whole one stays, and so does the newest one that was
    /// found in order.
    pub fn prune(&self, before: Timestamp) -> Result<Vec<String>> {
        let all = backups(&self.dir)?;
        let newest = all.iter().find(|backup| backup.manifest.is_ok());
        let verified = all.iter().find(|backup| backup.manifest.is_ok() && backup.verified_at.is_some());
        let stays =
            |backup: &Backup| [newest, verified].into_iter().flatten().any(|stays| stays.name == backup.name);
        let mut gone = Vec::new();
        for backup in all.iter().filter(|backup| backup.created_at < before && !stays(backup)) {
            // Hidden first: half a backup must not look like one.
            let hidden = self.dir.join(format!("{PARTIAL}{}", backup.name));
            fs::rename(&backup.path, &hidden).map_err(at(&backup.path))?;
            fs::remove_dir_all(&hidden).map_err(at(&hidden))?;
            gone.push(backup.name.clone());
        }
        Ok(gone)
    }

    fn point_latest(&self, name: &str) -> Result<()> {
        let (new, link) = (self.dir.join(format!("{PARTIAL}{LATEST}")), self.dir.join(LATEST));
        symlink(name, &new).map_err(at(&new))?;
        fs::rename(&new, &link).map_err(at(&link))
    }
}

/// A backup that is not whole yet. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Partial<'a> {
    shelf: &'a Shelf,
    path: PathBuf,
    name: String,
    whole: bool,
}

impl Partial<'_> {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name once all of it is on disk; then `latest` leads to it.
    pub fn finish(mut self) -> Result<Backup> {
        sync_all(&self.path)?;
        let path = self.shelf.dir.join(&self.name);
        fs::rename(&self.path, &path).map_err(at(&path))?;
        self.whole = true;
        self.shelf.point_latest(&self.name)?;
        sync_dir(&self.shelf.dir)?;
        look(&path).ok_or_else(|| Error::Database(format!("{} went away", path.display())))
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        if !self.whole {
            // What stays is removed by the next backup.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Everything below a directory to disk. One call for the file system: an fsync for each of many directories takes minutes.
pub(super) fn sync_all(dir: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    return File::open(dir).and_then(|dir| Ok(rustix::fs::syncfs(&dir)?)).map_err(at(dir));
    #[cfg(not(target_os = "linux"))]
    {
        rustix::fs::sync();
        sync_dir(dir)
    }
}

/// For the daemon's user only.
pub(super) fn make_private(file: &Path) -> Result<()> {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).map_err(at(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_times_and_nothing_else_is() {
        let noon = time("2026-11-26T12:00:00Z");
        assert_eq!(parse_name("20261126T120000Z"), Some(noon));
        assert_eq!(parse_name("20261126T120000Z-17"), Some(noon));
        for other in
            ["latest", "", "..", "20261326T120000Z", "20261126T120000Z-", "20261126T120000Z-x", "2026"]
        {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn backups_of_one_second_have_names_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let (shelf, now) = (Shelf::open(dir.path()).unwrap(), time("2026-11-26T12:00:00.5Z"));
        for name in ["20261126T120000Z", "20261126T120000Z-2", "20261126T120000Z-3"] {
            let backup = shelf.begin(now).unwrap().finish().unwrap();
            assert_eq!(backup.name, name);
            assert_eq!(fs::read_link(dir.path().join("latest")).unwrap(), Path::new(name));
        }
        assert_eq!(backups(dir.path()).unwrap()[0].name, "20261126T120000Z-3");
    }

    #[test]
    fn there_is_one_at_a_time_and_leftovers_go() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(".partial-20261126T120000Z/database");
        fs::create_dir_all(&left).unwrap();
        symlink("nowhere", dir.path().join(".partial-latest")).unwrap();
        let shelf = Shelf::open(dir.path()).unwrap();
        assert!(names(dir.path()).unwrap().iter().all(|name| name == LOCK));
        assert!(matches!(Shelf::open(dir.path()), Err(Error::Conflict(_))));
        let partial = shelf.begin(Timestamp::UNIX_EPOCH).unwrap();
        assert!(backups(dir.path()).unwrap().is_empty());
        drop(partial);
        assert!(names(dir.path()).unwrap().iter().all(|name| name == LOCK));
        drop(shelf);
        Shelf::open(dir.path()).unwrap();
    }

    #[test]
    fn notes_stay_in_the_backup() {
        let dir = tempfile::tempdir().unwrap();
        let backup =
            Shelf::open(dir.path()).unwrap().begin(Timestamp::UNIX_EPOCH).unwrap().finish().unwrap().path;
        let outside = dir.path().join("outside");
        fs::write(&outside, "mine").unwrap();
        for in_order in [true, false] {
            for note in [VERIFIED, DAMAGED] {
                let _ = fs::remove_file(backup.join(note));
                symlink(&outside, backup.join(note)).unwrap();
            }
            note_verified(&backup, time("2026-11-26T12:00:00Z"), in_order);
            assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
            assert_eq!(look(&backup).unwrap().verified_at.is_some(), in_order);
        }
    }

    #[test]
    fn old_ones_go_but_for_the_newest_whole_and_the_newest_verified() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(dir.path()).unwrap();
        let day = |day: u32| time(&format!("2026-11-{day:02}T00:00:00Z"));
        for number in 1..6 {
            shelf.begin(day(number)).unwrap().finish().unwrap();
        }
        let named = |day: u32| dir.path().join(format!("202611{day:02}T000000Z"));
        // None of these is whole, so none is protected.
        note_verified(&named(1), day(9), true);
        assert_eq!(shelf.prune(day(3)).unwrap().len(), 2);
        for number in 3..5 {
            fs::write(named(number).join("manifest.json"), crate::store::backup::tests::any_manifest())
                .unwrap();
        }
        note_verified(&named(3), day(9), true);
        assert_eq!(backups(dir.path()).unwrap()[2].verified_at, Some(day(9)));
        assert_eq!(shelf.prune(day(20)).unwrap(), ["20261105T000000Z"]);
        note_verified(&named(3), day(9), false);
        assert!(look(&named(3)).unwrap().manifest.unwrap_err().contains("found damaged"));
        assert_eq!(shelf.prune(day(20)).unwrap(), ["20261103T000000Z"]);
        assert_eq!(shelf.newest().unwrap().unwrap(), named(4));
        assert_eq!(names(dir.path()).unwrap().len(), 3, "the lock, latest and the newest whole one");
    }
}
