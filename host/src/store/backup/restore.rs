//! A data directory from a backup. Files come first, beside those that are there; then one rename puts the database in its
//! place. Before it the directory is the old one, after it the new one; what either does not name has a marker and is
//! removed when the store is opened next. So a kill at any moment leaves one of both, whole.

use std::fs;
use std::path::Path;

use redb::ReadTransaction;

use super::manifest::{DATABASE, FILES, Manifest};
use super::shelf::{make_private, sync_all};
use super::verify::{read_database, verify};
use super::{BackupStep, Progress, copy, file_path, go_on, hash_of};
use crate::store::blobs::{self, Files, private_dir, sync_dir};
use crate::store::engine::Engine;
use crate::store::error::at;
use crate::store::home::{FileHome, Home};
use crate::store::open::lock;
use crate::store::tables::BLOBS;
use crate::store::{Error, Result, Store, scratch};
use crate::types::ContentHash;

/// What a data directory may hold beside a store; anything else belongs to somebody else.
const OURS: [&str; 11] = [
    "database",
    "file_storage",
    "indexes",
    "models",
    "cache",
    "run",
    "backups",
    "config.yaml",
    "prompts",
    "logs",
    "lost+found",
];

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    /// Of the backup.
    pub manifest: Manifest,
    /// Large files that were not there before.
    pub files_copied: u64,
}

/// Brings a backup back to a data directory, which no daemon may use meanwhile. `forget_indexes` removes what was derived
/// from the store that gives way. Models, caches and backups in the directory stay. Blocks.
///
/// # Errors
/// [`Error::Conflict`] where the directory holds something and `replace` is not set, [`Error::Locked`] where a daemon uses
/// it, [`Error::BadBackup`] where the backup is damaged. The directory holds what it held before then.
pub fn restore(
    backup: &Path,
    data_dir: &Path,
    replace: bool,
    forget_indexes: &dyn Fn() -> std::io::Result<()>,
    progress: Progress,
) -> Result<Restored> {
    let restore = Restore { backup, data_dir, replace, forget_indexes };
    let done = restore.begin(progress).and_then(|(manifest, lock)| {
        let done = restore.exchange(manifest, lock, progress);
        if done.is_err() {
            restore.clean_up();
        }
        done
    });
    done.map_err(|error| match error {
        Error::Full => Error::FullAt(data_dir.to_owned()),
        error => error,
    })
}

pub(super) struct Restore<'a> {
    pub backup: &'a Path,
    pub data_dir: &'a Path,
    pub replace: bool,
    pub forget_indexes: &'a dyn Fn() -> std::io::Result<()>,
}

impl Restore<'_> {
    /// Changes nothing but to hold the directory.
    pub(super) fn begin(&self, progress: Progress) -> Result<(Manifest, fs::File)> {
        let may_take = || if self.replace { Ok(()) } else { self.check_empty() };
        may_take()?;
        let dir = self.data_dir.join("database");
        // A daemon in the way is worth knowing before all of the backup is read.
        private_dir(&dir)?;
        let lock = lock(&dir, self.data_dir)?;
        may_take()?;
        Ok((self.verified(progress)?, lock))
    }

    pub(super) fn exchange(
        &self,
        manifest: Manifest,
        lock: fs::File,
        progress: Progress,
    ) -> Result<Restored> {
        let database = self.data_dir.join(DATABASE);
        let files = Files::open(self.data_dir.join(FILES))?;
        let files_copied = read_database(self.backup, |txn| {
            let copied = self.bring_files(txn, &files, progress)?;
            mark_unnamed(txn, &files)?;
            Ok(copied)
        })?;
        go_on(progress, BackupStep::Database(0))?;
        self.bring_database(&manifest, &database)?;
        sync_all(self.data_dir)?;
        go_on(progress, BackupStep::Finish)?;
        // Derived, and saved work of other jobs: they go while the old store could still do without.
        (self.forget_indexes)().map_err(at(self.data_dir))?;
        scratch::forget_all(&self.data_dir.join("cache"))?;
        go_on(progress, BackupStep::Finish)?;
        let home = FileHome::at(&database);
        home.replace()?;
        go_on(progress, BackupStep::Finish)?;
        // Removes what the old one alone had.
        Store::with_engine(self.data_dir, Engine::new(home)?, database, lock)?;
        Ok(Restored { manifest, files_copied })
    }

    fn check_empty(&self) -> Result<()> {
        let conflict = |what: String| {
            let dir = self.data_dir.display();
            Err(Error::Conflict(format!("{dir} {what}")))
        };
        if self.data_dir.join(DATABASE).exists() {
            return conflict("holds documents already".into());
        }
        let entries = match fs::read_dir(self.data_dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(at(self.data_dir))?,
        };
        for entry in entries {
            let name = entry.map_err(at(self.data_dir))?.file_name();
            if !OURS.iter().any(|ours| name == *ours) {
                return conflict(format!("is not empty: it holds {}", name.display()));
            }
        }
        Ok(())
    }

    fn verified(&self, progress: Progress) -> Result<Manifest> {
        let verified = verify(self.backup, progress)?;
        match (verified.manifest, verified.problems.as_slice()) {
            (Some(manifest), []) => Ok(manifest),
            (_, problems) => Err(Error::BadBackup(self.backup.to_owned(), problems.join("; "))),
        }
    }

    /// Copies, not links: what happens to the one must not happen to the other as well.
    fn bring_files(&self, txn: &ReadTransaction, files: &Files, progress: Progress) -> Result<u64> {
        let mut missing = Vec::new();
        for blob in blobs::large(txn)? {
            let (hash, size) = blob?;
            // One that is there may be damaged: perhaps that is why somebody restores.
            if hash_of(&files.path(&hash)).ok() != Some((hash, size)) {
                missing.push((hash, size));
            }
        }
        files.mark(missing.iter().map(|(hash, _)| hash))?;
        for (nth, (hash, size)) in missing.iter().enumerate() {
            go_on(progress, BackupStep::Files(nth as u64, missing.len() as u64))?;
            files.check_room(*size)?;
            self.bring_file(files, hash, *size)?;
        }
        Ok(missing.len() as u64)
    }

    fn bring_file(&self, files: &Files, hash: &ContentHash, size: u64) -> Result<()> {
        let (from, to) = (self.backup.join(file_path(hash)), files.path(hash));
        let half = files.half(hash);
        if copy(&from, &half)? != (*hash, size) {
            return Err(self.changed(&file_path(hash)));
        }
        private_dir(to.parent().unwrap_or(&to))?;
        fs::rename(&half, &to).map_err(at(&to))
    }

    fn bring_database(&self, manifest: &Manifest, database: &Path) -> Result<()> {
        let new = FileHome::at(database).new_path();
        let (hash, bytes) = copy(&self.backup.join(DATABASE), &new)?;
        let same = manifest
            .file(DATABASE)
            .is_some_and(|file| file.bytes == bytes && blobs::parse_hash(&file.sha256) == Some(hash));
        if !same {
            return Err(self.changed(DATABASE));
        }
        make_private(&new)?;
        fs::File::open(&new).and_then(|file| file.sync_all()).map_err(at(&new))?;
        sync_dir(database.parent().unwrap_or(database))
    }

    fn changed(&self, file: &str) -> Error {
        Error::BadBackup(self.backup.to_owned(), format!("the bytes of {file} changed"))
    }

    /// As a start would do it; whatever can't be removed now is removed then.
    fn clean_up(&self) {
        let dir = self.data_dir.join("database");
        // Whoever took the directory meanwhile has done it.
        let Ok(lock) = lock(&dir, self.data_dir) else { return };
        let database = self.data_dir.join(DATABASE);
        if database.exists() {
            drop(lock);
            let _ = Store::open(self.data_dir);
        } else {
            let _ = FileHome::at(&database).discard();
            let _ = Files::open(self.data_dir.join(FILES)).and_then(|files| files.clean(|_| Ok(false)));
        }
    }
}

/// Marks the files that the new database does not name.
fn mark_unnamed(txn: &ReadTransaction, files: &Files) -> Result<()> {
    let blobs = txn.open_table(BLOBS)?;
    let mut unnamed = Vec::new();
    for (hash, _) in files.list()? {
        if blobs.get(&hash.0)?.is_none() {
            unnamed.push(hash);
        }
    }
    files.mark(unnamed.iter())
}
