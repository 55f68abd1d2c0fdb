//! Model files: found by name below the model directories, and never opened with another hash than the declared one.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::ModelFile;
use super::manifest::{ModelDeclaration, did_you_mean};
use super::vault::Vault;
use crate::types::ContentHash;

const MARKERS: &str = "verified";
/// How the problem of a file reads that is there, but is not what the plugin declares.
pub const OTHER_HASH: &str = "another SHA-256";

/// SHA-256 of everything that a reader brings.
pub fn sha256(mut reader: impl Read) -> io::Result<ContentHash> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(ContentHash(hasher.finalize().into())),
            Ok(len) => hasher.update(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Knows which files have which hash, so that weights are not hashed at each start. What was verified is kept as an
/// empty file whose name is a keyed hash of the file's identity: no other user can make one.
pub struct Verifier {
    vault: Option<Vault>,
    known: Mutex<HashMap<[u8; 32], bool>>,
}

impl Verifier {
    /// Remembers in the vault; without one, only in memory.
    pub fn new(vault: Option<Vault>) -> Self {
        Self { vault, known: Mutex::default() }
    }

    /// Whether the open file has this hash.
    fn verify(&self, file: &File, expected: &str) -> io::Result<bool> {
        let stamp = self.stamp(&file.metadata()?, expected);
        if let Some(known) = self.known.lock().get(stamp.as_bytes()) {
            return Ok(*known);
        }
        let marker = self.vault.as_ref().map(|vault| vault.dir().join(MARKERS).join(&*stamp.to_hex()));
        let remembered = marker.as_ref().is_some_and(|marker| marker.exists());
        let verified = remembered || sha256(file)?.to_string().eq_ignore_ascii_case(expected);
        // A file that is being written while it is hashed has another stamp by now.
        if self.stamp(&file.metadata()?, expected) != stamp {
            return Ok(false);
        }
        self.known.lock().insert(*stamp.as_bytes(), verified);
        if let (true, false, Some(marker)) = (verified, remembered, marker) {
            remember(&marker)
                .unwrap_or_else(|error| tracing::debug!(%error, "verified model is not remembered"));
        }
        Ok(verified)
    }

    fn stamp(&self, metadata: &fs::Metadata, expected: &str) -> blake3::Hash {
        let mut hasher = self.vault.as_ref().map_or_else(blake3::Hasher::new, Vault::hasher);
        let identity = [
            metadata.dev() as i128,
            metadata.ino() as i128,
            metadata.size() as i128,
            metadata.mtime() as i128,
            metadata.mtime_nsec() as i128,
            metadata.ctime() as i128,
            metadata.ctime_nsec() as i128,
        ];
        for value in identity {
            hasher.update(&value.to_le_bytes());
        }
        hasher.update(expected.to_ascii_lowercase().as_bytes()).finalize()
    }
}

fn remember(marker: &Path) -> io::Result<()> {
    if let Some(dir) = marker.parent() {
        fs::create_dir_all(dir)?;
    }
    File::create(marker).map(drop)
}

/// The model files that one plugin declares.
pub struct Models {
    declared: Vec<ModelDeclaration>,
    dirs: Arc<[PathBuf]>,
    verifier: Arc<Verifier>,
}

impl Models {
    /// Looked for below `dirs`, first wins.
    pub fn new(declared: Vec<ModelDeclaration>, dirs: Arc<[PathBuf]>, verifier: Arc<Verifier>) -> Self {
        Self { declared, dirs, verifier }
    }

    /// Opens a declared file for reading, with its size; the error says what to do.
    pub fn open(&self, name: &str) -> Result<(File, u64), String> {
        let Some(model) = self.declared.iter().find(|model| model.name == name) else {
            let names: Vec<&str> = self.declared.iter().map(|model| model.name.as_str()).collect();
            return Err(format!(
                "the plugin's plugin.toml declares no model file {name:?}{}",
                did_you_mean(name, &names)
            ));
        };
        let (_, file) = self.find(model)?;
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        Ok((file, size))
    }

    /// Each declared file and whether it can be used now.
    pub fn status(&self) -> Vec<ModelFile> {
        self.declared.iter().map(|model| self.shown(model)).collect()
    }

    fn shown(&self, model: &ModelDeclaration) -> ModelFile {
        let (found, problem) = match self.find(model) {
            Ok((path, _)) => (Some(path), None),
            Err(problem) => (None, Some(problem)),
        };
        ModelFile {
            name: model.name.clone(),
            path: model.path.clone(),
            sha256: model.sha256.clone(),
            found,
            problem,
        }
    }

    /// The first file of that path with the right hash.
    fn find(&self, model: &ModelDeclaration) -> Result<(PathBuf, File), String> {
        let mut problem = None;
        for path in self.dirs.iter().map(|dir| dir.join(&model.path)) {
            let verified = File::open(&path).and_then(|file| {
                let verified = self.verifier.verify(&file, &model.sha256)?;
                Ok((file, verified))
            });
            match verified {
                Ok((file, true)) => return Ok((path, file)),
                Ok((_, false)) => problem = Some(format!("{} has {OTHER_HASH}", path.display())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => problem = Some(format!("{}: {error}", path.display())),
            }
        }
        let problem = problem.unwrap_or_else(|| format!("{} is in none of {:?}", model.path, self.dirs));
        Err(format!("model file {:?} can't be used: {problem}; {}", model.name, remedy(model)))
    }
}

fn remedy(model: &ModelDeclaration) -> String {
    match (&model.package, &model.fetch) {
        (Some(_), _) => "bring it with `smartrag models fetch`".into(),
        (None, Some(command)) => format!("bring it with `{command}`"),
        (None, None) => format!("put the file with SHA-256 {} there", model.sha256),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn models(dirs: &[&Path], cache: &Path) -> Models {
        let declared = ModelDeclaration {
            name: "weights".into(),
            path: "m/w.bin".into(),
            sha256: ABC.into(),
            package: Some("w==1.0".into()),
            fetch: None,
        };
        let verifier = Verifier::new(Some(Vault::open(cache).unwrap()));
        let dirs: Vec<PathBuf> = dirs.iter().map(|dir| dir.to_path_buf()).collect();
        Models::new(vec![declared], dirs.into(), Arc::new(verifier))
    }

    fn put(dir: &Path, bytes: &[u8]) {
        fs::create_dir_all(dir.join("m")).unwrap();
        fs::write(dir.join("m/w.bin"), bytes).unwrap();
    }

    #[test]
    fn absent_and_wrong_files_name_the_remedy() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let models = models(&[dir.path()], cache.path());
        let absent = models.open("weights").unwrap_err();
        assert!(absent.contains("is in none of") && absent.contains("`smartrag models fetch`"), "{absent}");
        put(dir.path(), b"abd");
        assert!(models.open("weights").unwrap_err().contains("another SHA-256"));
        assert!(models.status()[0].problem.is_some());
        put(dir.path(), b"abc");
        assert_eq!(models.open("weights").unwrap().1, 3);
        assert_eq!(models.status()[0].found, Some(dir.path().join("m/w.bin")));
        assert!(models.open("weight").unwrap_err().contains("did you mean `weights`"));
    }

    #[test]
    fn a_change_is_noticed_across_starts() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(dir.path(), b"abc");
        assert!(models(&[dir.path()], cache.path()).open("weights").is_ok());
        assert_eq!(fs::read_dir(cache.path().join(MARKERS)).unwrap().count(), 1);
        assert!(models(&[dir.path()], cache.path()).open("weights").is_ok());
        put(dir.path(), b"abX");
        assert!(models(&[dir.path()], cache.path()).open("weights").is_err());
    }

    #[test]
    fn the_first_directory_with_the_right_file_wins() {
        let [a, b, cache] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        put(a.path(), b"other");
        put(b.path(), b"abc");
        let models = models(&[a.path(), b.path()], cache.path());
        assert_eq!(models.status()[0].found, Some(b.path().join("m/w.bin")));
    }
}
