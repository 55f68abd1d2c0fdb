//! A disk in memory that can lose power or run full.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use super::super::engine::Engine;

enum Change {
    Len(usize),
    Bytes(usize, Vec<u8>),
}

#[derive(Default)]
struct State {
    live: Vec<u8>,
    /// As of the last sync, and what was written since.
    durable: Vec<u8>,
    since: Vec<Change>,
    syncs: usize,
    /// Loses power at this sync.
    dies_at: Option<usize>,
    dead: bool,
    full: bool,
}

#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
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

    /// What is found after the loss: the synced state and, of the writes since, those that `seed` picks.
    pub(super) fn after_loss(&self, seed: u64) -> Self {
        let state = self.0.lock();
        let mut image = state.durable.clone();
        let mut random = seed;
        for change in &state.since {
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
        let disk = Self::default();
        disk.0.lock().live = image.clone();
        disk.0.lock().durable = image;
        disk
    }

    pub(super) fn engine(&self) -> super::Result<Engine> {
        let disk = self.clone();
        let open = move || redb::Builder::new().set_cache_size(1 << 20).create_with_backend(disk.clone());
        Engine::new(Box::new(open))
    }
}

fn alive(state: &State) -> io::Result<()> {
    if state.dead { Err(io::Error::other("no power")) } else { Ok(()) }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let state = self.0.lock();
        alive(&state)?;
        Ok(state.live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock();
        alive(&state)?;
        let from = offset as usize;
        out.copy_from_slice(&state.live[from..from + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        alive(&state)?;
        if state.full && len as usize > state.live.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        state.live.resize(len as usize, 0);
        state.since.push(Change::Len(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        alive(&state)?;
        if state.dies_at == Some(state.syncs) {
            state.dead = true;
            return Err(io::Error::other("no power"));
        }
        state.syncs += 1;
        state.durable = state.live.clone();
        state.since.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        alive(&state)?;
        if state.full {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let from = offset as usize;
        state.live[from..from + data.len()].copy_from_slice(data);
        state.since.push(Change::Bytes(from, data.to_vec()));
        Ok(())
    }
}
