//! One redb database that is opened anew after an I/O error: redb itself refuses all work after one (a full disk,
//! say) until then, and the daemon must go on.
//!
//! Locks are taken in this order: `synced`, `turn`, `database`. Nothing reads or writes inside of a transaction.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard, RwLock};
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::damage::guarded;
use super::home::Home;
use super::{Error, Result};

/// Writers that pause for so long are done for now.
pub(super) const QUIET: Duration = Duration::from_millis(100);
/// Writers that did not pause for so long pay for a quick recovery with each commit.
const BUSY: Duration = Duration::from_secs(10);

pub(super) struct Engine {
    database: RwLock<Option<Database>>,
    home: Box<dyn Home>,
    suspect: AtomicBool,
    damage: OnceLock<String>,
    generation: AtomicU64,
    /// Whose turn it is to write.
    turn: Mutex<()>,
    /// Soft commits that want to be on disk.
    written: AtomicU64,
    synced: Mutex<Synced>,
    /// Commits so far, how many of them the last settled one carried, and when the last of them was.
    commits: AtomicU64,
    settled: AtomicU64,
    touched: Mutex<Instant>,
    settler: OnceLock<Thread>,
}

/// Up to which ticket commits are on disk, in which generation the last of them was made, and since when durable
/// commits have come without a pause.
struct Synced {
    ticket: u64,
    generation: u64,
    busy_since: Instant,
    last: Instant,
}

/// How a commit gets to disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With the next of the others.
    Soft,
    /// By one fsync; after a crash redb reads the whole database to find out which pages are free.
    Durable,
    /// By two, with the map of free pages: after a crash redb reads that.
    Settled,
}

impl Engine {
    /// Opens the database that lives there.
    pub(super) fn new(home: impl Home + 'static) -> Result<Self> {
        let database = RwLock::new(Some(opened(&home)?));
        let now = Instant::now();
        Ok(Self {
            database,
            home: Box::new(home),
            suspect: AtomicBool::new(false),
            damage: OnceLock::new(),
            generation: AtomicU64::new(0),
            turn: Mutex::new(()),
            written: AtomicU64::new(0),
            synced: Mutex::new(Synced { ticket: 0, generation: 0, busy_since: now, last: now }),
            // The open itself, which may have been a recovery.
            commits: AtomicU64::new(1),
            settled: AtomicU64::new(0),
            touched: Mutex::new(now),
            settler: OnceLock::new(),
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

    /// Reads one snapshot for long: an error of `work`, which may be that of another device, says nothing about this
    /// database. `work` asks now and then whether this one is still sound, since everybody waits for it else.
    pub(super) fn snapshot<T>(
        &self,
        work: impl FnOnce(&ReadTransaction, &dyn Fn() -> bool) -> Result<T>,
    ) -> Result<T> {
        // Opens it anew if it has to be.
        self.read(|_| Ok(()))?;
        let slot = self.database.read();
        let database = slot.as_ref().ok_or_else(closed)?;
        let is_sound = || !self.suspect.load(Ordering::Acquire);
        self.heed(guarded(|| work(&database.begin_read()?, &is_sound)))
    }

    /// All of `work` or, if it fails, nothing. On return it is on disk. Writers that come at the same time share an
    /// fsync: each commits softly, then one durable commit carries all that came before it.
    pub(super) fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
        let (value, generation) = self.commit(Kind::Soft, work)?;
        let ticket = self.written.fetch_add(1, Ordering::AcqRel) + 1;
        self.sync(ticket, generation)?;
        Ok(value)
    }

    /// As [`Self::write`], but on disk only with the next durable commit: for what is repeated after a crash.
    pub(super) fn write_soft<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
        let (value, _) = self.commit(Kind::Soft, work)?;
        self.loosen();
        Ok(value)
    }

    /// Returns when the commit with this ticket is on disk.
    fn sync(&self, ticket: u64, generation: u64) -> Result<()> {
        let mut synced = self.synced.lock();
        if synced.ticket < ticket {
            if synced.last.elapsed() > QUIET {
                synced.busy_since = Instant::now();
            }
            let busy = synced.busy_since.elapsed() > BUSY;
            self.flush(&mut synced, if busy { Kind::Settled } else { Kind::Durable })?;
        }
        if synced.generation != generation {
            return Err(Error::Database("an I/O error interrupted the commit: try again".into()));
        }
        Ok(())
    }

    /// Brings all commits so far to disk.
    fn flush(&self, synced: &mut Synced, kind: Kind) -> Result<()> {
        let written = self.written.load(Ordering::Acquire);
        let commits = self.commits.load(Ordering::Acquire);
        let ((), generation) = self.commit(kind, |_| Ok(()))?;
        match kind {
            Kind::Settled => self.settled.store(commits, Ordering::Release),
            _ => self.loosen(),
        }
        (synced.ticket, synced.generation, synced.last) = (written, generation, Instant::now());
        Ok(())
    }

    /// Brings all to disk so that the next start, even after a crash, need not read the whole database.
    pub(super) fn settle(&self) -> Result<()> {
        self.flush(&mut self.synced.lock(), Kind::Settled)
    }

    fn loosen(&self) {
        *self.touched.lock() = Instant::now();
        let before = self.commits.fetch_add(1, Ordering::AcqRel);
        if before == self.settled.load(Ordering::Acquire)
            && let Some(settler) = self.settler.get()
        {
            settler.unpark();
        }
    }

    /// How long writers have paused; `None` if all is settled.
    pub(super) fn loose_for(&self) -> Option<Duration> {
        let loose = self.commits.load(Ordering::Acquire) != self.settled.load(Ordering::Acquire);
        loose.then(|| self.touched.lock().elapsed())
    }

    /// The thread to wake when something is not settled.
    pub(super) fn wakes(&self, thread: Thread) {
        // There is one a store.
        let _ = self.settler.set(thread);
    }

    /// Commits; the value and the generation that it happened in.
    fn commit<T>(&self, kind: Kind, work: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<(T, u64)> {
        let turn = self.turn.lock();
        let committed = self.with(|database| {
            let mut txn = database.begin_write()?;
            txn.set_durability(if kind == Kind::Soft { Durability::None } else { Durability::Immediate })?;
            txn.set_quick_repair(kind == Kind::Settled);
            let value = work(&txn)?;
            txn.commit()?;
            Ok((value, self.generation()))
        });
        // To the one who has waited longest: so the durable commit comes behind the soft ones that wait.
        MutexGuard::unlock_fair(turn);
        committed
    }

    /// Pages that hold something, in bytes. Reads the whole database; writers wait.
    pub(super) fn used_bytes(&self) -> Result<u64> {
        let _turn = self.turn.lock();
        self.with(|database| {
            let txn = database.begin_write()?;
            let stats = txn.stats()?;
            txn.abort()?;
            Ok(stats.allocated_pages() * stats.page_size() as u64)
        })
    }

    /// Copies what lives into a new database, which then takes the place of this one. Readers go on but for the moment
    /// of the exchange, writers wait. After an error or a crash at any point it is the old one or the new one, whole.
    pub(super) fn renew(&self, copy: impl FnOnce(&ReadTransaction, &Database) -> Result<()>) -> Result<()> {
        let _turn = self.turn.lock();
        let copied = self.heed(guarded(|| self.copy(copy)));
        let result = copied.and_then(|()| self.exchange());
        // After the exchange there is nothing left to remove.
        result.and(self.home.discard())
    }

    /// Not within [`Self::with`]: an error of the new database says nothing about this one.
    fn copy(&self, copy: impl FnOnce(&ReadTransaction, &Database) -> Result<()>) -> Result<()> {
        let slot = self.database.read();
        let database = slot.as_ref().ok_or_else(closed)?;
        let new = self.home.beside()?;
        copy(&database.begin_read()?, &new)?;
        Ok(new.close()?)
    }

    fn exchange(&self) -> Result<()> {
        let mut slot = self.database.write();
        // Both must be closed.
        drop(slot.take());
        let replaced = self.home.replace();
        if replaced.is_err() {
            // Whether its last commits are on disk is not known.
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        match opened(&*self.home) {
            Ok(database) => *slot = Some(database),
            Err(error) => {
                self.suspect.store(true, Ordering::Release);
                return replaced.and(Err(error));
            }
        }
        replaced
    }

    /// Reads every page and compares its checksum.
    pub(super) fn verify(&self) -> Result<()> {
        let mut slot = self.database.write();
        let Some(database) = slot.as_mut() else { return Err(closed()) };
        self.heed(match guarded(|| database.check_integrity()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Corrupt("checksums did not match; it was repaired".into())),
            Err(error) => Err(error),
        })
    }

    /// What was found wrong first in the pages that have been read.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Keeps in mind that the database is damaged. It stays open: most of it may still be read.
    fn heed<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(Error::Corrupt(detail)) = &result {
            // The first one tells most.
            let _ = self.damage.set(detail.clone());
        }
        result
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        if self.suspect.load(Ordering::Acquire) {
            self.reopen()?;
        }
        let slot = self.database.read();
        let result = match slot.as_ref() {
            Some(database) => self.heed(guarded(|| work(database))),
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
        *slot = Some(opened(&*self.home)?);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.suspect.store(false, Ordering::Release);
        Ok(())
    }
}

fn closed() -> Error {
    Error::Database("it could not be opened again after an error".into())
}

fn opened(home: &dyn Home) -> Result<Database> {
    guarded(|| home.open())
}
