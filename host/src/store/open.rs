use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use redb::ReadableTable;

use super::blobs::{Files, private_dir};
use super::engine::Engine;
use super::error::at;
use super::home::FileHome;
use super::jobs::Ledger;
use super::scratch::Scratch;
use super::settle::Settler;
use super::tables::{BLOBS, JOB_OF, META, all_exist, create_all, number};
use super::{Error, Result, commit};
use crate::types::*;

/// Version of tables, keys and records.
pub(super) const FORMAT: u64 = 3;
/// This one had a single generation of vectors and no row numbers.
const FORMAT_WITHOUT_ROWS: u64 = 1;
/// This one had no users, keys and grants, which one that knows no more would lose when it optimizes.
const FORMAT_WITHOUT_USERS: u64 = 2;

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    // The database is closed before the lock is given up: fields are dropped in order.
    settler: OnceLock<Settler>,
    engine: Arc<Engine>,
    files: Files,
    /// Taken while files come and go, so that no deletion removes what an upload just placed.
    gate: Mutex<Gate>,
    /// Held while the database is copied.
    upkeep: Mutex<()>,
    ledger: Mutex<Ledger>,
    /// Where the begun jobs stand. A leaf among the locks: it is taken inside of transactions.
    stages: Mutex<HashMap<DocumentId, Stage>>,
    /// When users were deleted: what they began before is not kept. A leaf among the locks as well.
    /// `None` while one is being deleted.
    farewells: Mutex<HashMap<UserId, Option<Instant>>>,
    path: PathBuf,
    _lock: File,
}

/// What files may do.
#[derive(Default)]
struct Gate {
    /// A backup links them: those without a record stay for now.
    kept: bool,
}

/// No file goes until it is dropped.
pub(super) struct KeptFiles<'a>(&'a Store);

impl Drop for KeptFiles<'_> {
    fn drop(&mut self) {
        let mut gate = self.0.0.gate.lock();
        gate.kept = false;
        // What can't be removed now is removed at the next start.
        if let Err(error) = self.0.files().marked().map(|hashes| self.0.remove_unnamed(&hashes)) {
            tracing::warn!(%error, "files of deleted documents stay until the next start");
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.0.path).finish()
    }
}

/// Keeps other processes out until the file is dropped.
pub(super) fn lock(dir: &Path, data_dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let options = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = options.map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(data_dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

/// Creates missing tables; refuses those of another version.
fn prepare(engine: &Engine) -> Result<()> {
    let ready = engine.read(|txn| {
        Ok(all_exist(txn)? && txn.open_table(META)?.get("format")?.is_some_and(|row| row.value() == FORMAT))
    })?;
    if ready {
        return Ok(());
    }
    engine.write(|txn| {
        create_all(txn)?;
        let mut meta = txn.open_table(META)?;
        let format = meta.get("format")?.map(|row| row.value());
        match format {
            Some(FORMAT) => Ok(()),
            Some(FORMAT_WITHOUT_ROWS) => {
                commit::number_rows(txn)?;
                meta.insert("format", FORMAT)?;
                Ok(())
            }
            None | Some(FORMAT_WITHOUT_USERS) => {
                meta.insert("format", FORMAT)?;
                Ok(())
            }
            Some(found) => Err(Error::Format { found, known: FORMAT }),
        }
    })
}

impl Store {
    /// Opens or creates `<data_dir>/database/smartrag.redb` and `<data_dir>/file_storage`; takes the lock of the
    /// directory; removes what an interrupted upload left behind.
    pub fn open(data_dir: &Path) -> Result<Self> {
        let database = data_dir.join("database");
        private_dir(&database)?;
        let lock = lock(&database, data_dir)?;
        let path = database.join("smartrag.redb");
        let store = Self::with_engine(data_dir, Engine::new(FileHome::new(&path)?)?, path, lock)?;
        let _ = store.0.settler.set(Settler::start(&store.0.engine)?);
        Ok(store)
    }

    pub(super) fn with_engine(data_dir: &Path, engine: Engine, path: PathBuf, lock: File) -> Result<Self> {
        prepare(&engine)?;
        let files = Files::open(data_dir.join("file_storage"))?;
        let cache = data_dir.join("cache");
        private_dir(&cache)?;
        let ledger = engine.read(|txn| {
            let blobs = txn.open_table(BLOBS)?;
            files.clean(|hash| Ok(blobs.get(&hash.0)?.is_some()))?;
            let jobs = txn.open_table(JOB_OF)?;
            let open_job = |id| Some(jobs.get(number(id)).ok()??.value().0);
            Ok(Ledger::new(Scratch::open(cache, open_job)?))
        })?;
        let stages = Mutex::new(ledger.stages().collect());
        let (gate, upkeep, ledger) = (Mutex::default(), Mutex::default(), Mutex::new(ledger));
        let (engine, settler) = (Arc::new(engine), OnceLock::new());
        let farewells = Mutex::default();
        let inner =
            Inner { settler, engine, files, gate, upkeep, ledger, stages, farewells, path, _lock: lock };
        Ok(Self(Arc::new(inner)))
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(super) fn files(&self) -> &Files {
        &self.0.files
    }

    /// Not inside of a transaction.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock()
    }

    pub(super) fn database_path(&self) -> &Path {
        &self.0.path
    }

    pub(super) fn begun_stage(&self, id: DocumentId) -> Option<Stage> {
        self.0.stages.lock().get(&id).copied()
    }

    pub(super) fn set_begun_stage(&self, id: DocumentId, stage: Stage) {
        self.0.stages.lock().insert(id, stage);
    }

    pub(super) fn clear_begun_stage(&self, id: DocumentId) {
        self.0.stages.lock().remove(&id);
    }

    /// From now on nothing is kept for this user.
    pub(super) fn begin_farewell(&self, user: &UserId) {
        self.0.farewells.lock().insert(user.clone(), None);
    }

    /// What was let in up to now is not kept any more.
    pub(super) fn end_farewell(&self, user: &UserId) {
        self.0.farewells.lock().insert(user.clone(), Some(Instant::now()));
    }

    /// Whether a user was deleted since then. Within the transaction that keeps something for him.
    pub(super) fn is_gone_since(&self, user: &UserId, since: Instant) -> bool {
        self.0.farewells.lock().get(user).is_some_and(|gone| gone.is_none_or(|gone| since <= gone))
    }

    /// The same as `NotFound`.
    pub(super) fn check_not_gone(&self, user: &UserId, since: Instant) -> Result<()> {
        if self.is_gone_since(user, since) { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Waits until nobody copies the database.
    pub(super) fn upkeep(&self) -> MutexGuard<'_, ()> {
        self.0.upkeep.lock()
    }

    /// The same at once or not at all.
    pub(super) fn try_upkeep(&self) -> Result<MutexGuard<'_, ()>> {
        let busy = || Error::Conflict("a backup is being made: try again when it has ended".into());
        self.0.upkeep.try_lock().ok_or_else(busy)
    }

    /// From now on files of documents that go stay where they are, until the guard is dropped.
    pub(super) fn keep_files(&self) -> KeptFiles<'_> {
        self.0.gate.lock().kept = true;
        KeptFiles(self)
    }

    /// Removes files, and then their markers, of those hashes that no record names.
    fn remove_unnamed(&self, hashes: &[ContentHash]) {
        for hash in hashes {
            // An error here leaves the marker, and the file, to the next start.
            if let Ok(known) = self.engine().read(|txn| Ok(txn.open_table(BLOBS)?.get(&hash.0)?.is_some()))
                && (known || self.files().remove(hash).is_ok())
            {
                self.files().unmark(hash);
            }
        }
    }

    /// Runs a transaction that makes files of these hashes come or go, and afterwards removes those without a
    /// record, whether it succeeded or not. What a crash leaves undone is done when the store is opened.
    pub(super) fn with_files<T>(
        &self,
        hashes: &[ContentHash],
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let gate = self.0.gate.lock();
        self.files().mark(hashes.iter())?;
        let result = work();
        // Their markers tell the end of the backup, or the next start, what to look at.
        if !gate.kept {
            self.remove_unnamed(hashes);
        }
        result
    }
}
