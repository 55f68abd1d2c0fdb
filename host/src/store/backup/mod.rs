//! Backups: a snapshot of the store, taken while it is written to, and the way back.
//!
//! Invariants: a directory with a backup's name is whole and on disk; no file of a snapshot goes between the snapshot and
//! its link; nothing in a backup is trusted when it is read.

mod manifest;
mod restore;
mod shelf;
mod verify;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTableMetadata};
use sha2::{Digest, Sha256};

pub use manifest::{Counts, EmbedderNote, FileSum, LargeBlobs, Manifest, PluginNote};
pub use restore::{Restored, restore};
pub use shelf::{Backup, backups};
pub use verify::{Verified, verify};

use super::blobs::{self, Files, check_room, private_dir};
use super::error::at;
use super::open::FORMAT;
use super::records::{EmbedderRecord, unpack};
use super::tables::*;
use super::{Error, Result, Store};
use crate::types::ContentHash;
use manifest::{CONFIG, DATABASE, FILES, MANIFEST, SUMS};
use shelf::{Partial, Shelf, make_private};

/// How far a backup, its verification or a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupStep {
    /// So many bytes of the database.
    Database(u64),
    /// So many of its large files, of all.
    Files(u64, u64),
    /// The last moments; for a restore: what was there gives way.
    Finish,
}

/// Told how far it is; `false` ends it with [`Error::Stopped`].
pub type Progress<'a> = &'a mut dyn FnMut(BackupStep) -> bool;

/// What a backup records beside the store.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// What is installed.
    pub plugins: Vec<PluginNote>,
    /// The config file in use.
    pub config: Option<Vec<u8>>,
}

fn go_on(progress: Progress, step: BackupStep) -> Result<()> {
    if progress(step) { Ok(()) } else { Err(Error::Stopped) }
}

/// Left free where backups are made: the daemon's own files may be on the same device.
const RESERVE_BYTES: u64 = 64 << 20;
/// Links between two looks at the room and at whether to go on.
const LINKS: u64 = 256;

impl Store {
    /// Makes a backup of this moment in a directory of backups, while everything goes on. Blocks.
    ///
    /// # Errors
    /// [`Error::Conflict`] where another one is being made, [`Error::FullAt`] without room; nothing is left behind then.
    pub fn backup(&self, dir: &Path, around: &Surroundings, progress: Progress) -> Result<Backup> {
        let shelf = Shelf::open(dir)?;
        let made = self.make(&shelf, around, progress);
        made.map_err(|error| match error {
            Error::Full => Error::FullAt(dir.to_owned()),
            error => error,
        })
    }

    fn make(&self, shelf: &Shelf, around: &Surroundings, progress: Progress) -> Result<Backup> {
        let (begun, now) = (Instant::now(), Timestamp::now());
        let before = shelf.newest()?;
        let partial = shelf.begin(now)?;
        let mut sums = Sums::create(partial.path())?;
        let snapshot = {
            // `optimize` would make everybody wait for the end of the copy.
            let _alone = self.upkeep();
            let _kept = self.keep_files();
            let mut database = self.copy_into(&partial, progress)?;
            if !database.check_integrity()? {
                return Err(Error::Corrupt("its copy does not check".into()));
            }
            let links = Links::new(self.files().clone(), before.as_deref(), partial.path());
            let snapshot = Snapshot::read(&database.begin_read()?, &links, &mut sums, progress)?;
            database.close()?;
            snapshot
        };
        go_on(progress, BackupStep::Finish)?;
        let files = finish_files(partial.path(), around, sums)?;
        let manifest = Manifest {
            format: Manifest::LAYOUT,
            smartrag: env!("CARGO_PKG_VERSION").into(),
            created_at: now,
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            store_format: FORMAT,
            counts: snapshot.counts,
            blobs: snapshot.blobs,
            files,
            embedders: snapshot.embedders,
            plugins: around.plugins.clone(),
        };
        write_private(&partial.path().join(MANIFEST), &manifest.to_bytes())?;
        partial.finish()
    }

    /// One read transaction into a database of its own, without its free pages.
    fn copy_into(&self, partial: &Partial, progress: Progress) -> Result<Database> {
        let path = partial.path().join(DATABASE);
        private_dir(path.parent().unwrap_or(&path))?;
        let copy = redb::Builder::new().set_cache_size(CACHE_BYTES).create(&path)?;
        make_private(&path)?;
        self.engine().snapshot(|txn, is_sound| {
            copy_all(txn, &copy, &mut |bytes| {
                check_room(partial.path(), RESERVE_BYTES)?;
                if !is_sound() {
                    return Err(Error::Database("an I/O error interrupted the backup: try again".into()));
                }
                go_on(progress, BackupStep::Database(bytes))
            })
        })?;
        Ok(copy)
    }

    /// Removes backups of a directory older than this, but the newest ones; their names.
    ///
    /// # Errors
    /// [`Error::Conflict`] while one is being made.
    pub fn prune_backups(dir: &Path, before: Timestamp) -> Result<Vec<String>> {
        Shelf::open(dir)?.prune(before)
    }
}

/// Bytes of the page cache of databases that are read or written once.
const CACHE_BYTES: usize = 16 << 20;

/// What the copy holds.
struct Snapshot {
    counts: Counts,
    blobs: LargeBlobs,
    embedders: Vec<EmbedderNote>,
}

impl Snapshot {
    /// Links the large files that it names on the way.
    fn read(txn: &ReadTransaction, links: &Links, sums: &mut Sums, progress: Progress) -> Result<Self> {
        let all = blobs::large(txn)?.count() as u64;
        let (mut blobs, mut missing) = (LargeBlobs::default(), Vec::new());
        for blob in blobs::large(txn)? {
            let (hash, size) = blob?;
            if !links.make(&hash, size)? {
                missing.push(hash);
                continue;
            }
            sums.line(&hash, &file_path(&hash))?;
            blobs.count += 1;
            blobs.bytes += size;
            if blobs.count % LINKS == 0 {
                check_room(&links.to, RESERVE_BYTES)?;
                go_on(progress, BackupStep::Files(blobs.count, all))?;
            }
        }
        if !missing.is_empty() {
            let documents = blobs::documents_of(txn, &missing)?;
            return Err(match documents.is_empty() {
                true => Error::Corrupt("it names files that no document has".into()),
                false => Error::MissingOriginals(documents),
            });
        }
        Ok(Self { counts: counts(txn)?, blobs, embedders: embedders(txn)? })
    }
}

fn counts(txn: &ReadTransaction) -> Result<Counts> {
    Ok(Counts {
        documents: txn.open_table(DOCUMENTS)?.len()?,
        chunks: txn.open_table(CHUNKS)?.len()?,
        sessions: txn.open_table(SESSIONS)?.len()?,
        conversations: txn.open_table(CONVERSATIONS)?.len()?,
    })
}

/// Of those that a collection uses: the others are history.
fn embedders(txn: &ReadTransaction) -> Result<Vec<EmbedderNote>> {
    let mut used = HashMap::new();
    for record in super::collections::records(txn)? {
        used.extend(record.embedder.clone().map(|fingerprint| (fingerprint, record.dimension)));
    }
    let known = txn.open_table(EMBEDDERS)?;
    let note = |(fingerprint, dimension): (String, Option<usize>)| {
        let record = known.get(fingerprint.as_str())?;
        let record: Option<EmbedderRecord> = record.map(|row| unpack(row.value())).transpose()?;
        let plugin = record.map(|record| record.plugin).unwrap_or_default();
        Ok(EmbedderNote { plugin, fingerprint, dimension: dimension.unwrap_or(0) })
    };
    let mut notes = used.into_iter().map(note).collect::<Result<Vec<_>>>()?;
    notes.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
    Ok(notes)
}

/// Below a backup, as below a data directory.
fn file_path(hash: &ContentHash) -> String {
    let name = hash.to_string();
    format!("{FILES}/{}/{}/{name}", &name[..2], &name[2..4])
}

/// Brings large files into a backup: by hard links where that can be, since they never change.
struct Links {
    from: Files,
    /// The backup before, for where the data directory is on another device: copies are linked among backups then.
    before: Option<Files>,
    to: PathBuf,
}

impl Links {
    fn new(from: Files, before: Option<&Path>, to: &Path) -> Self {
        let before = before.map(|before| Files::existing(before.join(FILES)));
        Self { from, before, to: to.to_owned() }
    }

    /// `false` if there is no such file, or not all of it.
    fn make(&self, hash: &ContentHash, size: u64) -> Result<bool> {
        let (from, to) = (self.from.path(hash), self.to.join(file_path(hash)));
        private_dir(to.parent().unwrap_or(&self.to))?;
        let is_gone = !self.from.is_there(hash, size);
        if !is_gone && fs::hard_link(&from, &to).is_ok() {
            return Ok(true);
        }
        if self.link_to_former(hash, size, &to) {
            if is_gone {
                let file = from.display();
                tracing::warn!(%file, "a file is missing or cut off, and is taken from the backup before: see `smartrag doctor`");
            }
            return Ok(true);
        }
        if is_gone {
            return Ok(false);
        }
        let copied = copy(&from, &to)?;
        match copied == (*hash, size) {
            true => Ok(true),
            false => Err(Error::Changed(from)),
        }
    }

    fn link_to_former(&self, hash: &ContentHash, size: u64, to: &Path) -> bool {
        let Some(former) = self.before.as_ref().map(|files| files.path(hash)) else { return false };
        fs::symlink_metadata(&former).is_ok_and(|found| found.is_file() && found.len() == size)
            && fs::hard_link(former, to).is_ok()
    }
}

/// Bytes read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Hash and size of what `from` has, which goes to `to` as well.
fn pour(from: &mut impl io::Read, to: &mut impl Write) -> io::Result<(ContentHash, u64)> {
    let (mut hasher, mut size, mut buffer) = (Sha256::new(), 0, vec![0; BUFFER_BYTES]);
    loop {
        let len = match from.read(&mut buffer) {
            Ok(0) => return Ok((ContentHash(hasher.finalize().into()), size)),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..len]);
        to.write_all(&buffer[..len])?;
        size += len as u64;
    }
}

/// Copies a file to a new one, for this user only; hash and size.
fn copy(from: &Path, to: &Path) -> Result<(ContentHash, u64)> {
    let mut source = File::open(from).map_err(at(from))?;
    let mut target = File::create(to).map_err(at(to))?;
    make_private(to)?;
    pour(&mut source, &mut target).map_err(at(to))
}

fn hash_of(path: &Path) -> io::Result<(ContentHash, u64)> {
    pour(&mut File::open(path)?, &mut io::sink())
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(at(path))?;
    make_private(path)
}

/// The lines of `SHA256SUMS`.
struct Sums<W = BufWriter<File>> {
    to: W,
    path: PathBuf,
}

impl Sums {
    fn create(backup: &Path) -> Result<Self> {
        let path = backup.join(SUMS);
        let file = File::create(&path).map_err(at(&path))?;
        make_private(&path)?;
        Ok(Self { to: BufWriter::new(file), path })
    }
}

impl<W: Write> Sums<W> {
    fn line(&mut self, hash: &ContentHash, path: &str) -> Result<()> {
        writeln!(self.to, "{hash}  {path}").map_err(at(&self.path))
    }
}

/// Writes what is missing beside database and large files; sizes and hashes of all but the latter.
fn finish_files(backup: &Path, around: &Surroundings, mut sums: Sums) -> Result<Vec<FileSum>> {
    let mut files = Vec::new();
    if let Some(config) = &around.config {
        write_private(&backup.join(CONFIG), config)?;
    }
    for path in [DATABASE, CONFIG].iter().filter(|path| backup.join(path).exists()) {
        let file = backup.join(path);
        let (hash, bytes) = hash_of(&file).map_err(at(&file))?;
        sums.line(&hash, path)?;
        files.push(FileSum { path: (*path).into(), bytes, sha256: hash.to_string() });
    }
    sums.to.flush().map_err(at(&sums.path))?;
    let (hash, bytes) = hash_of(&sums.path).map_err(at(&sums.path))?;
    files.push(FileSum { path: SUMS.into(), bytes, sha256: hash.to_string() });
    Ok(files)
}

#[cfg(test)]
mod tests;
