//! Whether a backup is what it was: every hash, every row that leads to another, every count.

use std::io::{BufWriter, Sink, Write, sink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable};
use sha2::{Digest, Sha256};

use super::manifest::{CONFIG, DATABASE, FileSum, Manifest, SUMS, regular};
use super::shelf::note_verified;
use super::{BackupStep, CACHE_BYTES, Counts, LargeBlobs, Progress, Sums, counts, file_path, go_on, hash_of};
use crate::store::blobs;
use crate::store::damage::guarded;
use crate::store::tables::*;
use crate::store::{Error, Result};
use crate::types::ContentHash;

/// Problems that are told one by one.
const PROBLEMS_MAX: usize = 50;

/// What a verification found.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// `None` where it can't be read.
    pub manifest: Option<Manifest>,
    /// What is wrong, for people; empty if all is well.
    pub problems: Vec<String>,
}

/// Reads all of a backup and compares it with its hashes. Blocks.
///
/// # Errors
/// Only [`Error::Stopped`]: whatever is wrong with the backup stands in the result.
pub fn verify(backup: &Path, progress: Progress) -> Result<Verified> {
    let mut found = Problems::default();
    let manifest = match Manifest::read(backup) {
        Ok(manifest) => Some(manifest),
        Err(problem) => {
            found.add(problem);
            None
        }
    };
    if let Some(manifest) = &manifest {
        Check { backup, manifest, found: &mut found, progress }.run()?;
    }
    let problems = found.told();
    // A directory without a manifest is somebody else's.
    if manifest.is_some() {
        note_verified(backup, Timestamp::now(), problems.is_empty());
    }
    Ok(Verified { manifest, problems })
}

#[derive(Default)]
struct Problems {
    first: Vec<String>,
    more: u64,
}

impl Problems {
    fn add(&mut self, problem: impl Into<String>) {
        if self.first.len() < PROBLEMS_MAX { self.first.push(problem.into()) } else { self.more += 1 }
    }

    fn told(mut self) -> Vec<String> {
        if self.more > 0 {
            self.first.push(format!("and {} more", self.more));
        }
        self.first
    }
}

struct Check<'a, 'p> {
    backup: &'a Path,
    manifest: &'a Manifest,
    found: &'a mut Problems,
    progress: Progress<'p>,
}

impl Check<'_, '_> {
    fn run(&mut self) -> Result<()> {
        go_on(self.progress, BackupStep::Database(0))?;
        let manifest = self.manifest;
        let is_good: Vec<bool> = manifest.files.iter().map(|file| self.file(file)).collect();
        let database = manifest.files.iter().zip(is_good).find(|(file, _)| file.path == DATABASE);
        // What does not have its hash is not worth opening.
        if !database.is_some_and(|(_, is_good)| is_good) {
            return Ok(());
        }
        let read = read_database(self.backup, |txn| {
            // An error of ours ends it; one of the database is a finding.
            self.files(txn)?;
            self.rows(txn)
        });
        match read {
            Err(Error::Stopped) => Err(Error::Stopped),
            Err(error) => {
                self.found.add(format!("{DATABASE}: {error}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn file(&mut self, file: &FileSum) -> bool {
        let problem = match regular(&self.backup.join(&file.path)).and_then(|path| hash_of(&path)) {
            Err(error) => format!("{}: {error}", file.path),
            Ok((_, bytes)) if bytes != file.bytes => {
                format!("{} has {bytes} bytes, it had {}", file.path, file.bytes)
            }
            Ok((hash, _)) if hash.to_string() != file.sha256.to_ascii_lowercase() => {
                format!("the bytes of {} changed", file.path)
            }
            Ok(_) => return true,
        };
        self.found.add(problem);
        false
    }

    /// Every large blob that a row names, and that the list of hashes is the list of these.
    fn files(&mut self, txn: &ReadTransaction) -> Result<()> {
        let mut sums = Sums { to: BufWriter::new(Hashed(Sha256::new(), sink())), path: PathBuf::from(SUMS) };
        let mut seen = LargeBlobs::default();
        for blob in blobs::large(txn)? {
            let (hash, size) = blob?;
            let path = file_path(&hash);
            match regular(&self.backup.join(&path)).and_then(|path| hash_of(&path)) {
                Ok(found) if found == (hash, size) => {}
                Ok(_) => self.found.add(format!("the bytes of {path} changed")),
                Err(error) => self.found.add(format!("{path}: {error}")),
            }
            sums.line(&hash, &path)?;
            seen.count += 1;
            seen.bytes = seen.bytes.saturating_add(size);
            go_on(self.progress, BackupStep::Files(seen.count, self.manifest.blobs.count))?;
        }
        if seen != self.manifest.blobs {
            self.found.add(format!(
                "the database names {} large files, the manifest {}",
                seen.count, self.manifest.blobs.count
            ));
        }
        for path in [DATABASE, CONFIG] {
            if let Some(file) = self.manifest.file(path) {
                let hash = blobs::parse_hash(&file.sha256).unwrap_or(ContentHash([0; 32]));
                sums.line(&hash, path)?;
            }
        }
        let hashed = sums.to.into_inner().map_err(|error| Error::Database(error.to_string()))?;
        let listed = self.manifest.file(SUMS).map(|file| file.sha256.to_ascii_lowercase());
        if listed != Some(ContentHash(hashed.0.finalize().into()).to_string()) {
            self.found.add(format!("{SUMS} does not list what the database names"));
        }
        Ok(())
    }

    /// Every document has its bytes and its place, and there are as many of each as there were.
    fn rows(&mut self, txn: &ReadTransaction) -> Result<()> {
        let (all, bytes) = (txn.open_table(BLOBS)?, txn.open_table(BLOB_BYTES)?);
        for row in all.iter()? {
            let (hash, value) = row?;
            let (name, size) = (ContentHash(*hash.value()), value.value().0);
            if blobs::is_file(size) {
                continue;
            }
            match bytes.get(&name.0)? {
                Some(row) if <[u8; 32]>::from(Sha256::digest(row.value())) == name.0 => {}
                Some(_) => self.found.add(format!("the bytes of blob {name} changed")),
                None => self.found.add(format!("blob {name} has no bytes")),
            }
        }
        let documents = txn.open_table(DOCUMENTS)?;
        for row in txn.open_table(BY_HASH)?.iter()? {
            let (key, document) = row?;
            let ((collection, hash), number) = (key.value(), document.value());
            let id = document_id(number);
            if documents.get((collection, number))?.is_none() {
                self.found.add(format!("document {id} has no record"));
            }
            if all.get(hash)?.is_none() {
                self.found.add(format!("document {id} has no bytes"));
            }
        }
        let counted = counts(txn)?;
        if counted != self.manifest.counts {
            self.found.add(format!(
                "the database holds {}, the manifest says {}",
                told(&counted),
                told(&self.manifest.counts)
            ));
        }
        Ok(())
    }
}

fn told(counts: &Counts) -> String {
    let Counts { documents, chunks, sessions, conversations } = counts;
    format!("{documents} documents, {chunks} chunks, {sessions} sessions, {conversations} conversations")
}

/// Reads the database of a backup without a change to it.
pub(super) fn read_database<T>(backup: &Path, work: impl FnOnce(&ReadTransaction) -> Result<T>) -> Result<T> {
    guarded(|| {
        let database =
            redb::Builder::new().set_cache_size(CACHE_BYTES).open_read_only(backup.join(DATABASE))?;
        work(&database.begin_read()?)
    })
}

/// Hashes what is written to it.
struct Hashed(Sha256, Sink);

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        self.1.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
