//! One redb database that is opened anew after an I/O error: redb itself refuses all work after one (a full disk,
//! say) until then, and the daemon must go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock};
use redb::{Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::blobs::sync_dir;
use super::error::at;
use super::{Error, Result};

/// Bytes of redb's page cache. Pages are also in the cache of the operating system.
const CACHE_BYTES: usize = 32 << 20;

type Open = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

pub(super) struct Engine {
    database: RwLock<Option<Database>>,
    open: Open,
    suspect: AtomicBool,
    generation: AtomicU64,
    /// Whose turn it is to write.
    turn: Mutex<()>,
    /// Soft commits that want to be on disk.
    written: AtomicU64,
    synced: Mutex<Synced>,
}

/// Up to which ticket commits are on disk, and in which generation the last of them was made.
#[derive(Default)]
struct Synced {
    ticket: u64,
    generation: u64,
}

impl Engine {
    /// Opens or creates the database at a path.
    pub(super) fn at(path: &Path) -> Result<Self> {
        if !path.exists() {
            create(path)?;
        }
        let path = path.to_owned();
        Self::new(Box::new(move || redb::Builder::new().set_cache_size(CACHE_BYTES).open(&path)))
    }

    /// Opens the database that `open` yields.
    pub(super) fn new(open: Open) -> Result<Self> {
        let database = RwLock::new(Some(opened(&open)?));
        Ok(Self {
            database,
            open,
            suspect: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            turn: Mutex::new(()),
            written: AtomicU64::new(0),
            synced: Mutex::default(),
        })
    }

    /// How often the database was opened anew: commits that were not durable may be gone since.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Reads one snapshot.
    pub(super) fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T>) -> Result<T> {
        self.with(|database| work(&database.begin_read()?))
    }

    /// All of `work` or, if it fails, nothing. On return it is on disk. Writers that come at the same time share an
    /// fsync: each commits softly, then one durable commit carries all that came before it.
    pub(super) fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
        let (value, generation) = self.commit(Durability::None, work)?;
        let ticket = self.written.fetch_add(1, Ordering::AcqRel) + 1;
        self.sync(ticket, generation)?;
        Ok(value)
    }

    /// As [`Self::write`], but on disk only with the next durable commit: for what is repeated after a crash.
    pub(super) fn write_soft<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
        Ok(self.commit(Durability::None, work)?.0)
    }

    /// Returns when the commit with this ticket is on disk.
    fn sync(&self, ticket: u64, generation: u64) -> Result<()> {
        let mut synced = self.synced.lock();
        if synced.ticket < ticket {
            let written = self.written.load(Ordering::Acquire);
            let ((), now) = self.commit(Durability::Immediate, |_| Ok(()))?;
            *synced = Synced { ticket: written, generation: now };
        }
        if synced.generation != generation {
            return Err(Error::Database("an I/O error interrupted the commit: try again".into()));
        }
        Ok(())
    }

    /// Commits; the value and the generation that it happened in.
    fn commit<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&WriteTransaction) -> Result<T>,
    ) -> Result<(T, u64)> {
        self.with(|database| {
            let turn = self.turn.lock();
            let mut txn = database.begin_write()?;
            txn.set_durability(durability)?;
            let value = work(&txn)?;
            txn.commit()?;
            // To the one who has waited longest: so the durable commit comes behind the soft ones that wait.
            MutexGuard::unlock_fair(turn);
            Ok((value, self.generation()))
        })
    }

    /// Reads every page and compares its checksum.
    pub(super) fn verify(&self) -> Result<()> {
        let mut slot = self.database.write();
        let Some(database) = slot.as_mut() else { return Err(closed()) };
        match guarded(|| database.check_integrity())? {
            true => Ok(()),
            false => Err(Error::Corrupt("checksums did not match; it was repaired".into())),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        if self.suspect.load(Ordering::Acquire) {
            self.reopen()?;
        }
        let slot = self.database.read();
        let result = match slot.as_ref() {
            Some(database) => work(database),
            None => Err(closed()),
        };
        if matches!(result, Err(Error::Full | Error::Database(_))) {
            self.suspect.store(true, Ordering::Release);
        }
        result
    }

    fn reopen(&self) -> Result<()> {
        let mut slot = self.database.write();
        if !self.suspect.load(Ordering::Acquire) {
            return Ok(());
        }
        // The old one holds the lock of the file.
        drop(slot.take());
        *slot = Some(opened(&self.open)?);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.suspect.store(false, Ordering::Release);
        Ok(())
    }
}

/// Makes an empty database beside and moves it to its place: redb's own creation, when it is interrupted, leaves a file
/// that is no database.
fn create(path: &Path) -> Result<()> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(at(&new)(error)),
        _ => redb::Database::create(&new)?.close()?,
    }
    std::fs::rename(&new, path).map_err(at(path))?;
    sync_dir(path.parent().unwrap_or(path))
}

fn closed() -> Error {
    Error::Database("it could not be opened again after an error".into())
}

fn opened(open: &Open) -> Result<Database> {
    guarded(open)
}

/// redb may panic over a file that was damaged behind its back.
fn guarded<T>(work: impl FnOnce() -> Result<T, DatabaseError>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => Ok(result?),
        Err(_) => Err(Error::Corrupt("its pages contradict each other".into())),
    }
}
