//! Randomness that is the same in every instance: what guests need it for is the order of hash maps, not secrets.

use wasmtime::{Result, format_err};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::plugins::wasm::host::HostState;

/// Bytes that one call brings at most.
const BYTES_MAX: u64 = 1 << 20;

/// An endless stream of bytes.
pub fn reader() -> blake3::OutputReader {
    blake3::Hasher::new().update(b"smartrag wasi random 1").finalize_xof()
}

impl HostState {
    fn random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        if len > BYTES_MAX {
            return Err(format_err!("{len} random bytes at once are too many, the most are {BYTES_MAX}"));
        }
        let mut bytes = vec![0; len as usize];
        self.machine().random.fill(&mut bytes);
        Ok(bytes)
    }

    fn random_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.machine().random.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl random::Host for HostState {
    fn get_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        Ok(self.random_u64())
    }
}

impl insecure::Host for HostState {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        Ok(self.random_u64())
    }
}

impl insecure_seed::Host for HostState {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok((self.random_u64(), self.random_u64()))
    }
}
