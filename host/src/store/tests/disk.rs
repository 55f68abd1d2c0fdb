//! A disk in memory that can lose power or run full. It holds the database and one beside it.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::{Database, DatabaseError, StorageBackend};

use super::super::engine::Engine;
use super::super::home::Home;

enum Change {
    Len(usize),
    Bytes(usize, Vec<u8>),
}

#[derive(Default)]
struct Image {
    live: Vec<u8>,
    /// As of the last sync, and what was written since.
    durable: Vec<u8>,
    since: Vec<Change>,
}

impl Image {
    fn of(bytes: Vec<u8>) -> Self {
        Self { live: bytes.clone(), durable: bytes, since: Vec::new() }
    }

    /// The synced state and, of the writes since, those that `seed` picks.
    fn after_loss(&self, seed: u64) -> Vec<u8> {
        let mut image = self.durable.clone();
        let mut random = seed;
        for change in &self.since {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            match change {
                _ if seed == 0 || (random >> 60).is_multiple_of(2) => {}
                Change::Len(len) => image.resize(*len, 0),
                Change::Bytes(offset, bytes) => {
                    image.resize(image.len().max(offset + bytes.len()), 0);
                    image[*offset..offset + bytes.len()].copy_from_slice(bytes);
                }
            }
        }
        image
    }
}

#[derive(Default)]
struct State {
    here: Image,
    beside: Image,
    syncs: usize,
    /// Loses power at this sync; an exchange counts as one.
    dies_at: Option<usize>,
    dead: bool,
    /// It died while the one beside took the other's place.
    exchanging: bool,
    full: bool,
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("no power")) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.alive()?;
        self.dead = self.dies_at == Some(self.syncs);
        self.syncs += 1;
        self.alive()
    }
}

#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

/// One of the two databases.
#[derive(Clone)]
struct File {
    disk: Disk,
    beside: bool,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("File")
    }
}

impl Disk {
    /// Holds an empty database and loses power after so many more syncs.
    pub(super) fn dying_at(sync: usize) -> Self {
        let disk = Self::default();
        drop(disk.engine().unwrap());
        disk.die_after(sync);
        disk
    }

    /// Loses power after so many more syncs.
    pub(super) fn die_after(&self, syncs: usize) {
        let mut state = self.0.lock();
        state.dies_at = Some(state.syncs + syncs);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.0.lock().dead
    }

    pub(super) fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// What is found after the loss.
    pub(super) fn after_loss(&self, seed: u64) -> Self {
        let state = self.0.lock();
        let new = state.exchanging && seed % 2 == 1;
        let found = if new { &state.beside } else { &state.here };
        let disk = Self::default();
        disk.0.lock().here = Image::of(found.after_loss(seed));
        disk
    }

    pub(super) fn engine(&self) -> super::Result<Engine> {
        Engine::new(self.clone())
    }

    fn file(&self, beside: bool) -> Result<Database, DatabaseError> {
        let file = File { disk: self.clone(), beside };
        redb::Builder::new().set_cache_size(1 << 20).create_with_backend(file)
    }
}

impl Home for Disk {
    fn open(&self) -> super::Result<Database> {
        Ok(self.file(false)?)
    }

    fn beside(&self) -> super::Result<Database> {
        self.discard()?;
        Ok(self.file(true)?)
    }

    fn replace(&self) -> super::Result<()> {
        let mut state = self.0.lock();
        assert!(state.beside.since.is_empty(), "a database takes the place of another before it is on disk");
        if let Err(error) = state.sync() {
            state.exchanging = true;
            return Err(super::Error::Database(error.to_string()));
        }
        state.here = std::mem::take(&mut state.beside);
        Ok(())
    }

    fn discard(&self) -> super::Result<()> {
        let mut state = self.0.lock();
        if !state.dead {
            state.beside = Image::default();
        }
        Ok(())
    }
}

impl File {
    fn with<T>(&self, work: impl FnOnce(&mut Image, bool) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        state.alive()?;
        let full = state.full;
        work(if self.beside { &mut state.beside } else { &mut state.here }, full)
    }
}

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        self.with(|image, _| Ok(image.live.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|image, _| {
            let from = offset as usize;
            out.copy_from_slice(&image.live[from..from + out.len()]);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|image, full| {
            if full && len as usize > image.live.len() {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            image.live.resize(len as usize, 0);
            image.since.push(Change::Len(len as usize));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.0.lock().sync()?;
        self.with(|image, _| {
            image.durable = image.live.clone();
            image.since.clear();
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|image, full| {
            if full {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            let from = offset as usize;
            image.live[from..from + data.len()].copy_from_slice(data);
            image.since.push(Change::Bytes(from, data.to_vec()));
            Ok(())
        })
    }
}
