//! Bytes by their hash. Small blobs are rows of the database, so that a batch of them costs one fsync; large ones
//! are files, on disk before the record that names them is.

use std::fs::{self, File};
use std::io::Write;
use std::mem;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::error::at;
use super::tables::{BLOB_BYTES, BLOBS, BY_HASH, COLLECTION_KEYS, document_id};
use super::{Error, Result, Store};
use crate::types::{ContentHash, DocumentId};

/// Blobs up to this size live in the database; no writer keeps more in memory.
const INLINE_BYTES_MAX: usize = 64 << 10;
const HEAD_BYTES_MAX: usize = 8 << 10;
/// Left free on the device so that deletions, which also write, keep working.
const RESERVE_BYTES: u64 = 4 << 20;

/// Bytes that were taken in but belong to no document yet. Dropping it forgets them.
#[derive(Debug)]
pub struct StagedBlob {
    hash: ContentHash,
    size: u64,
    head: Bytes,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Small(Bytes),
    Large(NamedTempFile),
}

impl StagedBlob {
    /// Of the bytes.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The first bytes, at most 8 KiB: enough to tell the type.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The bytes, to be read at any offset.
    pub fn open(&self) -> Result<BlobHandle> {
        match &self.body {
            Body::Small(bytes) => Ok(BlobHandle::Bytes(bytes.clone())),
            Body::Large(file) => {
                let again = file.reopen().map_err(at(file.path()))?;
                Ok(BlobHandle::File(Arc::new(again), self.size))
            }
        }
    }

    /// How much the database grows by it.
    pub(super) fn inline_bytes(&self) -> u64 {
        if self.is_large() { 0 } else { self.size }
    }

    pub(super) fn is_large(&self) -> bool {
        matches!(self.body, Body::Large(_))
    }
}

/// Takes bytes in as they arrive: hashes them; small blobs stay in memory, large ones go to a temporary file.
#[derive(Debug)]
pub struct BlobWriter {
    files: Files,
    hasher: Sha256,
    size: u64,
    head: Vec<u8>,
    buffer: Vec<u8>,
    file: Option<NamedTempFile>,
}

impl BlobWriter {
    /// Appends.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        let room = HEAD_BYTES_MAX - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if self.buffer.len() + bytes.len() <= INLINE_BYTES_MAX {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.spill(bytes)
    }

    /// Writes what is buffered and `bytes` to the file.
    fn spill(&mut self, bytes: &[u8]) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(self.files.temporary()?);
        }
        if let Some(file) = &mut self.file {
            for part in [&self.buffer, bytes] {
                file.write_all(part).map_err(at(&self.files.tmp))?;
            }
        }
        self.buffer.clear();
        Ok(())
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.size
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends it. The bytes of a large blob are on disk then.
    pub fn finish(mut self) -> Result<StagedBlob> {
        if self.file.is_some() && !self.buffer.is_empty() {
            self.spill(&[])?;
        }
        let body = match self.file.take() {
            None => Body::Small(mem::take(&mut self.buffer).into()),
            Some(file) => {
                file.as_file().sync_data().map_err(at(&self.files.tmp))?;
                Body::Large(file)
            }
        };
        let hash = ContentHash(self.hasher.finalize().into());
        Ok(StagedBlob { hash, size: self.size, head: self.head.into(), body })
    }
}

/// The bytes of a stored file.
#[derive(Clone, Debug)]
pub enum BlobHandle {
    /// A small one.
    Bytes(Bytes),
    /// A large one and its size.
    File(Arc<File>, u64),
}

/// The directory of large blobs, `ab/cd/<sha256>`. A file in `tmp` named by a hash marks that the blob of this hash
/// may be without a record after a crash: it is written before the blob comes or goes, and removed thereafter.
#[derive(Clone, Debug)]
pub(super) struct Files {
    dir: PathBuf,
    tmp: PathBuf,
}

impl Files {
    pub(super) fn open(dir: PathBuf) -> Result<Self> {
        let tmp = dir.join("tmp");
        private_dir(&tmp)?;
        Ok(Self { dir, tmp })
    }

    /// Of a directory that is only read.
    pub(super) fn existing(dir: PathBuf) -> Self {
        Self { tmp: dir.join("tmp"), dir }
    }

    /// Whether so many bytes can be written with a reserve left. redb does not survive a full disk without being
    /// opened anew, so better ask first.
    pub(super) fn check_room(&self, bytes: u64) -> Result<()> {
        check_room(&self.dir, bytes.saturating_add(RESERVE_BYTES))
    }

    fn temporary(&self) -> Result<NamedTempFile> {
        tempfile::Builder::new().prefix("upload-").tempfile_in(&self.tmp).map_err(at(&self.tmp))
    }

    pub(super) fn path(&self, hash: &ContentHash) -> PathBuf {
        let name = hash.to_string();
        self.dir.join(&name[..2]).join(&name[2..4]).join(&name)
    }

    fn marker(&self, hash: &ContentHash) -> PathBuf {
        self.tmp.join(hash.to_string())
    }

    /// Before blobs of these hashes come or go.
    pub(super) fn mark<'a>(&self, hashes: impl Iterator<Item = &'a ContentHash>) -> Result<()> {
        for hash in hashes {
            let marker = self.marker(hash);
            File::create(&marker).map_err(at(&marker))?;
        }
        sync_dir(&self.tmp)
    }

    /// Where a file grows that will be moved to its place; one that stays is removed at the next start.
    pub(super) fn half(&self, hash: &ContentHash) -> PathBuf {
        self.tmp.join(format!("upload-{hash}"))
    }

    /// After it has come or gone. A marker that stays costs a look at the next start, no more.
    pub(super) fn unmark(&self, hash: &ContentHash) {
        let _ = fs::remove_file(self.marker(hash));
    }

    /// As [`Self::place`], where the file of these bytes went missing or was cut off.
    pub(super) fn put_back(&self, blob: StagedBlob) -> Result<()> {
        match blob.body {
            Body::Large(file) if !self.is_there(&blob.hash, blob.size) => self.place(file, &blob.hash),
            _ => Ok(()),
        }
    }

    pub(super) fn is_there(&self, hash: &ContentHash, size: u64) -> bool {
        fs::metadata(self.path(hash)).is_ok_and(|file| file.is_file() && file.len() == size)
    }

    /// Moves a staged file, whose bytes are on disk, to its place.
    fn place(&self, file: NamedTempFile, hash: &ContentHash) -> Result<()> {
        let path = self.path(hash);
        let dir = path.parent().unwrap_or(&self.dir);
        if !dir.exists() {
            private_dir(dir)?;
            dir.ancestors().skip(1).take(2).try_for_each(sync_dir)?;
        }
        file.persist(&path).map_err(|error| at(&path)(error.error))?;
        sync_dir(dir)
    }

    /// Removes a file that no record names any more.
    pub(super) fn remove(&self, hash: &ContentHash) -> Result<()> {
        let path = self.path(hash);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }

    /// All files of blobs, with their sizes. What comes or goes meanwhile may be missing.
    pub(super) fn list(&self) -> Result<Vec<(ContentHash, u64)>> {
        let mut found = Vec::new();
        for outer in directories(&self.dir)? {
            for inner in directories(&outer)? {
                for entry in fs::read_dir(&inner).map_err(at(&inner))? {
                    let entry = entry.map_err(at(&inner))?;
                    let hash = entry.file_name().to_str().and_then(parse_hash);
                    if let (Some(hash), Ok(metadata)) = (hash, entry.metadata()) {
                        found.push((hash, metadata.len()));
                    }
                }
            }
        }
        Ok(found)
    }

    /// The hashes with a marker.
    pub(super) fn marked(&self) -> Result<Vec<ContentHash>> {
        let mut hashes = Vec::new();
        for entry in fs::read_dir(&self.tmp).map_err(at(&self.tmp))? {
            let name = entry.map_err(at(&self.tmp))?.file_name();
            hashes.extend(name.to_str().and_then(parse_hash));
        }
        Ok(hashes)
    }

    /// `None` where the file is missing or cut off.
    fn read(&self, hash: &ContentHash, size: u64) -> Result<Option<BlobHandle>> {
        let path = self.path(hash);
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(at(&path))?,
        };
        let is_whole = file.metadata().map_err(at(&path))?.len() == size;
        Ok(is_whole.then(|| BlobHandle::File(Arc::new(file), size)))
    }

    /// Removes what an interrupted upload or deletion left: `known` tells whether a record names the hash.
    pub(super) fn clean(&self, known: impl Fn(&ContentHash) -> Result<bool>) -> Result<()> {
        for entry in fs::read_dir(&self.tmp).map_err(at(&self.tmp))? {
            let path = entry.map_err(at(&self.tmp))?.path();
            let hash = path.file_name().and_then(|name| parse_hash(name.to_str()?));
            if let Some(hash) = hash
                && !known(&hash)?
            {
                self.remove(&hash)?;
            }
            fs::remove_file(&path).map_err(at(&path))?;
        }
        Ok(())
    }

    /// Compares a file's bytes with its name.
    pub(super) fn verify(&self, hash: &ContentHash) -> Result<()> {
        let path = self.path(hash);
        let mut hasher = HashingWriter(Sha256::new());
        let mut file = File::open(&path).map_err(at(&path))?;
        std::io::copy(&mut file, &mut hasher).map_err(at(&path))?;
        if hasher.0.finalize().as_slice() != hash.0 {
            return Err(Error::Changed(path));
        }
        Ok(())
    }
}

struct HashingWriter(Sha256);

impl Write for HashingWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads 64 hex digits.
pub(super) fn parse_hash(name: &str) -> Option<ContentHash> {
    if name.len() != 64 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&name[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(ContentHash(hash))
}

/// The directories of a directory that are named by two digits of a hash.
fn directories(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        if entry.file_name().len() == 2 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// `Full` where the device of a directory has less room for this user.
pub(super) fn check_room(dir: &Path, bytes: u64) -> Result<()> {
    let stat = rustix::fs::statvfs(dir).map_err(|error| at(dir)(error.into()))?;
    if stat.f_bavail.saturating_mul(stat.f_frsize) < bytes { Err(Error::Full) } else { Ok(()) }
}

/// Creates a directory that only the daemon's user may enter.
pub(super) fn private_dir(dir: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))
}

/// Makes names that came or went in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

/// Counts one more document with these bytes, and stores them if it is the first.
pub(super) fn add(txn: &WriteTransaction, files: &Files, blob: StagedBlob) -> Result<()> {
    let mut blobs = txn.open_table(BLOBS)?;
    let known = blobs.get(&blob.hash.0)?.map(|row| row.value().1);
    blobs.insert(&blob.hash.0, (blob.size, known.unwrap_or(0) + 1))?;
    match blob.body {
        _ if known.is_some() => files.put_back(blob),
        Body::Small(bytes) => {
            txn.open_table(BLOB_BYTES)?.insert(&blob.hash.0, &*bytes)?;
            Ok(())
        }
        Body::Large(file) => files.place(file, &blob.hash),
    }
}

/// Counts one document less; whether it was the last. The file of a large blob is left to the caller, who removes it
/// after the commit.
pub(super) fn release(txn: &WriteTransaction, hash: &ContentHash) -> Result<bool> {
    let mut blobs = txn.open_table(BLOBS)?;
    let row = blobs.get(&hash.0)?.map(|row| row.value());
    let Some((size, documents)) = row else { return Ok(false) };
    if documents > 1 {
        blobs.insert(&hash.0, (size, documents - 1))?;
        return Ok(false);
    }
    blobs.remove(&hash.0)?;
    txn.open_table(BLOB_BYTES)?.remove(&hash.0)?;
    Ok(true)
}

/// Removes a blob that no document of any collection has; whether there was one. The file of a large one is left.
pub(super) fn remove_unnamed(txn: &WriteTransaction, hash: &[u8; 32]) -> Result<bool> {
    let by_hash = txn.open_table(BY_HASH)?;
    for row in txn.open_table(COLLECTION_KEYS)?.iter()? {
        if by_hash.get((row?.0.value(), hash))?.is_some() {
            return Ok(false);
        }
    }
    let record = txn.open_table(BLOBS)?.remove(hash)?.is_some();
    let bytes = txn.open_table(BLOB_BYTES)?.remove(hash)?.is_some();
    Ok(record || bytes)
}

/// Whether a blob of this size is a file.
pub(super) fn is_file(size: u64) -> bool {
    size > INLINE_BYTES_MAX as u64
}

/// The bytes of a document.
pub(super) fn read(
    txn: &ReadTransaction,
    files: &Files,
    document: DocumentId,
    hash: &ContentHash,
) -> Result<BlobHandle> {
    let size = match txn.open_table(BLOBS)?.get(&hash.0)? {
        Some(row) => row.value().0,
        None => return Err(Error::Corrupt(format!("blob {hash} has no record"))),
    };
    if is_file(size) {
        return files.read(hash, size)?.ok_or_else(|| Error::MissingOriginals(vec![document]));
    }
    match txn.open_table(BLOB_BYTES)?.get(&hash.0)? {
        Some(row) => Ok(BlobHandle::Bytes(Bytes::copy_from_slice(row.value()))),
        None => Err(Error::Corrupt(format!("blob {hash} has no bytes"))),
    }
}

/// Hash and size of blobs that are files, in order of the hashes.
pub(super) fn large(txn: &ReadTransaction) -> Result<impl Iterator<Item = Result<(ContentHash, u64)>>> {
    let rows = txn.open_table(BLOBS)?.range::<&[u8; 32]>(..)?;
    Ok(rows.filter_map(|row| match row {
        Ok((hash, value)) => {
            let size = value.value().0;
            is_file(size).then(|| Ok((ContentHash(*hash.value()), size)))
        }
        Err(error) => Some(Err(error.into())),
    }))
}

/// All documents of some blobs.
pub(super) fn documents_of(txn: &ReadTransaction, hashes: &[ContentHash]) -> Result<Vec<DocumentId>> {
    let by_hash = txn.open_table(BY_HASH)?;
    let mut found = Vec::new();
    for row in txn.open_table(COLLECTION_KEYS)?.iter()? {
        let collection = row?.0.value();
        for hash in hashes {
            found.extend(by_hash.get((collection, &hash.0))?.map(|row| document_id(row.value())));
        }
    }
    Ok(found)
}

impl Store {
    /// Documents whose original bytes are not where they were put, or not all of them. Looks at each large file.
    pub fn missing_originals(&self) -> Result<Vec<DocumentId>> {
        self.engine().read(|txn| {
            let mut missing = Vec::new();
            for blob in large(txn)? {
                let (hash, size) = blob?;
                if !self.files().is_there(&hash, size) {
                    missing.push(hash);
                }
            }
            documents_of(txn, &missing)
        })
    }

    /// Begins to take in a file.
    pub fn blob_writer(&self) -> Result<BlobWriter> {
        Ok(BlobWriter {
            files: self.files().clone(),
            hasher: Sha256::new(),
            size: 0,
            head: Vec::new(),
            buffer: Vec::new(),
            file: None,
        })
    }
}
