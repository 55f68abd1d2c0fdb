//! tantivy's directory without its fsyncs: the index is derived, so a power cut may cost it but no data. What a crash
//! leaves behind is found by the checksums when the index is opened.
//!
//! On ext4 a rename over an existing file begins to write out the new one, which takes milliseconds, and tantivy
//! replaces its list of files for each file it makes. Here that list waits for the commit, and files are exchanged
//! rather than replaced.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{CWD, RenameFlags};
use tantivy::Directory;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, DirectoryLock, FileHandle, Lock, MmapDirectory, TerminatingWrite, WatchCallback,
    WatchHandle, WritePtr,
};

/// tantivy's list of the files that it made.
const FILES: &str = ".managed.json";

/// Memory-mapped files that are written without waiting for the disk.
#[derive(Clone, Debug)]
pub struct UnsyncedDirectory {
    inner: MmapDirectory,
    root: PathBuf,
    /// The list of files, where it is newer than on disk.
    files: Arc<Mutex<Option<Vec<u8>>>>,
}

impl UnsyncedDirectory {
    /// Opens a directory that exists.
    pub fn open(root: &Path) -> tantivy::Result<Self> {
        Ok(Self { inner: MmapDirectory::open(root)?, root: root.to_path_buf(), files: Arc::default() })
    }

    /// Replaces a file in one step.
    fn replace(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        let mut new = tempfile::NamedTempFile::new_in(&self.root)?;
        new.write_all(data)?;
        let target = self.root.join(path);
        let exchanged = rustix::fs::renameat_with(CWD, new.path(), CWD, &target, RenameFlags::EXCHANGE);
        // Where the file is new, or the file system knows no exchange.
        if exchanged.is_err() {
            new.persist(&target)?;
        }
        Ok(())
    }
}

/// Removes files that are no part of the last commit: a killed process made them, and tantivy would take offence at their
/// names when it comes to use them again.
pub fn remove_unused(root: &Path, used: &HashSet<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let name = PathBuf::from(entry?.file_name());
        let text = name.to_string_lossy();
        let is_own = text == "meta.json" || text.starts_with('.') && !text.starts_with(".tmp");
        if !is_own && !used.contains(&name) {
            std::fs::remove_file(root.join(&name))?;
        }
    }
    Ok(())
}

struct Unsynced(File);

impl Write for Unsynced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TerminatingWrite for Unsynced {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        Ok(())
    }
}

impl Directory for UnsyncedDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let file = OpenOptions::new().write(true).create_new(true).open(self.root.join(path));
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => OpenWriteError::FileAlreadyExists(path.to_path_buf()),
            _ => OpenWriteError::wrap_io_error(error, path.to_path_buf()),
        })?;
        Ok(BufWriter::new(Box::new(Unsynced(file))))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        if path == Path::new(FILES)
            && let Some(files) = self.files.lock().clone()
        {
            return Ok(files);
        }
        self.inner.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        if path == Path::new(FILES) {
            *self.files.lock() = Some(data.to_vec());
            return Ok(());
        }
        if let Some(files) = self.files.lock().take() {
            self.replace(Path::new(FILES), &files)?;
        }
        self.replace(path, data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.inner.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}
