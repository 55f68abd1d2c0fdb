//! An owner-only directory with a random key that never leaves this host: what makes cached files trustworthy.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

const KEY_FILE: &str = "host.key";

/// The directory and its key.
#[derive(Clone)]
pub struct Vault {
    dir: PathBuf,
    key: [u8; 32],
}

impl Vault {
    /// Opens the directory, makes it and its key where they are missing.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        own(dir)?;
        let key = match read_key(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create_key(dir)?,
            other => other?,
        };
        Ok(Self { dir: dir.to_owned(), key })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A hasher whose results only this host can make.
    pub fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.key)
    }
}

/// Refuses a directory of somebody else and shuts others out of ours.
fn own(dir: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(dir)?;
    let me = rustix::process::geteuid().as_raw();
    if !metadata.is_dir() || metadata.uid() != me {
        return Err(io::Error::other("not a directory of this user"));
    }
    if metadata.mode() & 0o777 != 0o700 {
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn read_key(dir: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    File::open(dir.join(KEY_FILE))?.read_exact(&mut key)?;
    Ok(key)
}

/// Two processes may come here at once: the first one's key stays.
fn create_key(dir: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    // Temporary files have mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&key)?;
    match file.persist_noclobber(dir.join(KEY_FILE)) {
        Ok(_) => Ok(key),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => read_key(dir),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_and_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("plugins");
        let first = Vault::open(&dir).unwrap();
        assert_eq!(Vault::open(&dir).unwrap().key, first.key);
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(dir.join(KEY_FILE)).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_link_is_no_home() {
        let parent = tempfile::tempdir().unwrap();
        let real = tempfile::tempdir().unwrap();
        let link = parent.path().join("plugins");
        std::os::unix::fs::symlink(real.path(), &link).unwrap();
        assert!(Vault::open(&link).is_err());
    }
}
