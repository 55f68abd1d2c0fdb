use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use redb::Database;

use super::Result;
use super::blobs::sync_dir;
use super::error::at;

/// Bytes of redb's page cache. Pages are also in the cache of the operating system.
const CACHE_BYTES: usize = 32 << 20;

/// Where a database lives, and how another one takes its place. Tests have a disk that loses power.
pub(super) trait Home: Send + Sync {
    /// The database.
    fn open(&self) -> Result<Database>;
    /// An empty one beside it.
    fn beside(&self) -> Result<Database>;
    /// The one beside takes the place of the other, at once or not at all. Both are closed.
    fn replace(&self) -> Result<()>;
    /// Removes the one beside; it need not be there.
    fn discard(&self) -> Result<()>;
}

/// A file, and `<file>.new` beside it.
pub(super) struct FileHome(PathBuf);

impl FileHome {
    /// Creates the database if there is none, and removes what an interrupted replacement left. redb's own creation,
    /// when it is interrupted, leaves a file that is no database; so it is made beside and moved to its place.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let home = Self(path.to_owned());
        home.discard()?;
        if !path.exists() {
            home.beside()?.close()?;
            home.replace()?;
        }
        Ok(home)
    }

    /// One that is not opened yet.
    pub(super) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn new_path(&self) -> PathBuf {
        self.0.with_extension("new")
    }
}

impl Home for FileHome {
    fn open(&self) -> Result<Database> {
        // redb says that a file can't be opened, but not which.
        let file = OpenOptions::new().read(true).write(true).open(&self.0).map_err(at(&self.0))?;
        drop(file);
        Ok(redb::Builder::new().set_cache_size(CACHE_BYTES).open(&self.0)?)
    }

    fn beside(&self) -> Result<Database> {
        self.discard()?;
        Ok(redb::Builder::new().set_cache_size(CACHE_BYTES).create(self.new_path())?)
    }

    fn replace(&self) -> Result<()> {
        std::fs::rename(self.new_path(), &self.0).map_err(at(&self.0))?;
        sync_dir(self.0.parent().unwrap_or(&self.0))
    }

    fn discard(&self) -> Result<()> {
        let path = self.new_path();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }
}
