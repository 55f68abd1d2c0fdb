//! Components compiled ahead of time. A file that this host did not write itself is never loaded.

use std::fs::File;
use std::hash::Hash;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

use super::compile::{CompileLimits, compile};
use super::load;
use crate::plugins::vault::Vault;

const MAC_LEN: u64 = 32;
const SUFFIX: &str = "cwasm";

/// Where a component came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Mapped from the cache.
    Cached,
    /// Compiled now.
    Compiled,
}

/// The cache.
pub struct AotCache {
    vault: Vault,
    limits: CompileLimits,
}

impl AotCache {
    /// A cache in the vault's directory; `limits` are for what is not in it yet.
    pub fn new(vault: Vault, limits: CompileLimits) -> Self {
        Self { vault, limits }
    }

    /// The component, from the cache if an authentic entry is there. `sha256` is that of `bytes`.
    pub fn load(
        &self,
        engine: &Engine,
        name: &str,
        sha256: &[u8; 32],
        bytes: &[u8],
    ) -> Result<(Component, Origin), String> {
        let key = cache_key(engine, sha256);
        let path = self.vault.dir().join(file_name(name, &key));
        if let Some(component) = mapped(engine, &self.vault, &path, &key) {
            return Ok((component, Origin::Cached));
        }
        let unwritable =
            |error: io::Error| format!("its machine code can't be kept in {}: {error}", path.display());
        let file = tempfile::NamedTempFile::new_in(self.vault.dir()).map_err(unwritable)?;
        tracing::info!(plugin = name, kib = bytes.len() >> 10, "compiling for this machine; it is kept");
        compile(bytes, file.as_file(), self.limits)?;
        sign(&self.vault, &key, file.as_file()).map_err(unwritable)?;
        file.persist(&path).map_err(|error| unwritable(error.error))?;
        prune(self.vault.dir(), name, &path);
        let component = mapped(engine, &self.vault, &path, &key);
        let component = component.ok_or("its machine code can't be loaded: see the log")?;
        Ok((component, Origin::Compiled))
    }
}

/// Everything that the machine code depends on: component, exact wasmtime version, target, CPU features, configuration.
fn cache_key(engine: &Engine, sha256: &[u8; 32]) -> blake3::Hash {
    let mut hasher = Blake(blake3::Hasher::new());
    hasher.0.update(b"smartrag aot 1");
    hasher.0.update(sha256);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize()
}

/// Feeds `Hash` implementations into a wide hash.
struct Blake(blake3::Hasher);

impl std::hash::Hasher for Blake {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finalize().as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

fn file_name(name: &str, key: &blake3::Hash) -> String {
    format!("{name}-{}.{SUFFIX}", key.to_hex())
}

fn mapped(engine: &Engine, vault: &Vault, path: &Path, key: &blake3::Hash) -> Option<Component> {
    match authentic(vault, path, key) {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!(path = %path.display(), "cache entry is not authentic; compiling anew");
            return None;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cache entry can't be read; compiling anew");
            return None;
        }
    }
    load::map(engine, path)
        .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "cache entry does not fit"))
        .ok()
}

/// A file is machine code followed by the keyed hash of cache key and machine code.
fn authentic(vault: &Vault, path: &Path, key: &blake3::Hash) -> io::Result<bool> {
    let file = File::open(path)?;
    let Some(code_len) = file.metadata()?.len().checked_sub(MAC_LEN) else { return Ok(false) };
    let mut hasher = vault.hasher();
    hasher.update(key.as_bytes());
    hasher.update_reader((&file).take(code_len))?;
    let mut mac = [0; MAC_LEN as usize];
    (&file).read_exact(&mut mac)?;
    // Comparison of `blake3::Hash` takes constant time.
    Ok(hasher.finalize() == blake3::Hash::from_bytes(mac))
}

/// Appends the keyed hash.
fn sign(vault: &Vault, key: &blake3::Hash, mut file: &File) -> io::Result<()> {
    let mut hasher = vault.hasher();
    hasher.update(key.as_bytes());
    file.rewind()?;
    hasher.update_reader(file)?;
    file.write_all(hasher.finalize().as_bytes())
}

/// Removes what earlier builds of the same plugin left.
fn prune(dir: &Path, name: &str, keep: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let stale = |path: &PathBuf| path != keep && belongs_to(path, name);
    entries.flatten().map(|entry| entry.path()).filter(stale).for_each(|path| {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(path = %path.display(), %error, "stale cache entry stays");
        }
    });
}

fn belongs_to(path: &Path, name: &str) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    path.extension().is_some_and(|extension| extension == SUFFIX)
        && stem.and_then(|stem| stem.rsplit_once('-')).is_some_and(|(owner, _)| owner == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::wasm::engine;

    fn cache(dir: &Path) -> AotCache {
        AotCache::new(Vault::open(dir).unwrap(), CompileLimits::default())
    }

    fn entry(dir: &Path) -> PathBuf {
        let is_entry = |path: &PathBuf| path.extension().is_some_and(|e| e == SUFFIX);
        let mut found = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(is_entry);
        let path = found.next().unwrap();
        assert_eq!(found.next(), None, "one entry for each plugin");
        path
    }

    #[test]
    fn only_own_untouched_entries_are_mapped() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine::Engine::start().unwrap();
        let bytes = wat::parse_str("(component (core module (func (export \"f\"))))").unwrap();
        let load = |cache: &AotCache| cache.load(engine.wasm(), "p", &[7; 32], &bytes).unwrap().1;

        assert_eq!(load(&cache(dir.path())), Origin::Compiled);
        assert_eq!(load(&cache(dir.path())), Origin::Cached);

        let path = entry(dir.path());
        let whole = std::fs::read(&path).unwrap();
        let mut tampered = whole.clone();
        tampered[whole.len() / 2] ^= 1;
        for bad in [tampered.as_slice(), &whole[..whole.len() - 1], &whole[..7], b""] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(load(&cache(dir.path())), Origin::Compiled);
            assert_eq!(load(&cache(dir.path())), Origin::Cached);
        }

        std::fs::remove_file(dir.path().join("host.key")).unwrap();
        assert_eq!(load(&cache(dir.path())), Origin::Compiled, "another host's entry");
    }

    #[test]
    fn another_component_is_another_entry() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine::Engine::start().unwrap();
        let bytes = wat::parse_str("(component)").unwrap();
        let load = |hash| cache(dir.path()).load(engine.wasm(), "p", &[hash; 32], &bytes).unwrap().1;
        assert_eq!(load(1), Origin::Compiled);
        assert_eq!(load(2), Origin::Compiled);
        entry(dir.path());
        // A valid file under another component's name does not authenticate.
        std::fs::copy(
            entry(dir.path()),
            dir.path().join(file_name("p", &cache_key(engine.wasm(), &[1; 32]))),
        )
        .unwrap();
        assert_eq!(load(1), Origin::Compiled);
    }
}
