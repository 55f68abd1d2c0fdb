//! From a path in the config to bytes that can't change any more and have the pinned hash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::plugins::models::sha256;

/// Bytes of a library.
const LIBRARY_BYTES_MAX: u64 = 2 << 30;
/// Of the copy in memory.
const NAME_BYTES_MAX: usize = 200;
const WRITABLE_BY_OTHERS: u32 = 0o002;
const WRITABLE_BY_GROUP: u32 = 0o020;
const STICKY: u32 = 0o1000;
const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK).union(SealFlags::SEAL);

/// A sealed copy in memory: not even its owner can write to it, so what was hashed is what is loaded.
#[derive(Debug)]
pub struct Sealed {
    pub file: File,
    pub size_bytes: u64,
}

/// Copies the library if only root and this user could have changed it, and if it has this SHA-256. The error is a
/// sentence that says what to do.
pub fn read(path: &Path, expected: &str) -> Result<Sealed, String> {
    check_path(path)?;
    let unreadable = |error: io::Error| format!("{} can't be read: {error}", path.display());
    // A link in the last place or a pipe must not be followed or waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file =
        OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    check_file(path, &metadata)?;
    let sealed = sealed_copy(file, path)?;
    let found = sealed_hash(&sealed).map_err(unreadable)?;
    if !found.eq_ignore_ascii_case(expected) {
        return Err(format!(
            "{} has the SHA-256 {found}, but the config pins {expected}: put the right file there, or, if you trust \
             this one, its hash into the config",
            path.display()
        ));
    }
    Ok(sealed)
}

/// The way to the file must not be in the hands of anybody else.
fn check_path(path: &Path) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("{} can't be read: {error}", path.display());
    let real = path.canonicalize().map_err(unreadable)?;
    if real != path {
        return Err(format!("{} leads over a link: write {}", path.display(), real.display()));
    }
    for dir in path.ancestors().skip(1) {
        check_dir(dir, &fs::metadata(dir).map_err(unreadable)?)?;
    }
    Ok(())
}

fn check_dir(dir: &Path, metadata: &fs::Metadata) -> Result<(), String> {
    check_owner(dir, metadata)?;
    let mode = metadata.mode();
    if mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0 {
        let shown = dir.display();
        return Err(format!("anybody may write to {shown}: run `chmod o-w {shown}`, or move the library"));
    }
    Ok(())
}

fn check_file(path: &Path, metadata: &fs::Metadata) -> Result<(), String> {
    let shown = path.display();
    if !metadata.is_file() {
        return Err(format!("{shown} is not a regular file: name the library itself"));
    }
    check_owner(path, metadata)?;
    if metadata.mode() & (WRITABLE_BY_GROUP | WRITABLE_BY_OTHERS) != 0 {
        return Err(format!("others than its owner may write to {shown}: run `chmod go-w {shown}`"));
    }
    if metadata.size() > LIBRARY_BYTES_MAX {
        let size = metadata.size();
        return Err(format!("{shown} has {size} bytes, the limit is {LIBRARY_BYTES_MAX}"));
    }
    Ok(())
}

fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<(), String> {
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == 0 || owner == me {
        return Ok(());
    }
    let shown = path.display();
    Err(format!(
        "{shown} belongs to user {owner}; only root and user {me}, who runs this, are trusted: run `chown root {shown}`"
    ))
}

fn sealed_copy(file: File, path: &Path) -> Result<Sealed, String> {
    // The name shows in the process's memory map; the kernel takes 249 bytes.
    let name = path.file_name().unwrap_or_default().as_bytes();
    let name = &name[..name.len().min(NAME_BYTES_MAX)];
    let copy = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).map_err(|error| {
        format!(
            "this system refuses memory to load a library from ({error}): allow memfd_create to the daemon"
        )
    })?;
    let mut copy = File::from(copy);
    let size_bytes = io::copy(&mut file.take(LIBRARY_BYTES_MAX), &mut copy)
        .and_then(|size| Ok(fcntl_add_seals(&copy, SEALS).map(|()| size)?))
        .map_err(|error| format!("{} can't be copied into memory: {error}", path.display()))?;
    Ok(Sealed { file: copy, size_bytes })
}

/// After sealing, and of the copy: the very bytes that will be loaded.
fn sealed_hash(sealed: &Sealed) -> io::Result<String> {
    let mut file = &sealed.file;
    io::Seek::rewind(&mut file)?;
    Ok(sha256(file)?.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_long_name_does_no_harm() {
        let (_dir, path) = library();
        let long = path.with_file_name("ü".repeat(127));
        fs::rename(&path, &long).unwrap();
        assert!(read(&long, ABC).is_ok());
    }

    /// A file of three bytes in a directory of its own, by its real path.
    fn library() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("lib.so");
        fs::write(&path, "abc").unwrap();
        chmod(&path, 0o644);
        (dir, path)
    }

    fn refusal(path: &Path) -> String {
        read(path, ABC).unwrap_err()
    }

    #[test]
    fn a_good_file_is_copied_and_sealed() {
        let (_dir, path) = library();
        let sealed = read(&path, &ABC.to_uppercase()).unwrap();
        assert_eq!(sealed.size_bytes, 3);
        fs::write(&path, "abX").unwrap();
        assert_eq!(sealed_hash(&sealed).unwrap(), ABC, "a later change does not reach the copy");
        assert!((&sealed.file).write_all(b"x").is_err());
        assert!(sealed.file.set_len(0).is_err());
    }

    #[test]
    fn another_hash_is_refused_and_told() {
        let (_dir, path) = library();
        fs::write(&path, "abX").unwrap();
        let said = refusal(&path);
        assert!(said.contains("but the config pins ba7816bf"), "{said}");
    }

    #[test]
    fn what_others_could_change_is_refused() {
        let (dir, path) = library();
        for mode in [0o664, 0o646, 0o777] {
            chmod(&path, mode);
            assert!(refusal(&path).contains("chmod go-w"), "{mode:o}");
        }
        chmod(&path, 0o644);
        chmod(dir.path(), 0o777);
        assert!(refusal(&path).contains("chmod o-w"));
        chmod(dir.path(), 0o1777);
        assert!(read(&path, ABC).is_ok(), "a sticky directory is safe");
    }

    #[test]
    fn foreign_owners_are_refused() {
        let (_dir, path) = library();
        // Only root can give a file away.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
            assert!(refusal(&path).contains("belongs to user 12345"));
        }
    }

    #[test]
    fn only_regular_files_by_their_real_path() {
        let (dir, path) = library();
        let link = path.with_file_name("link.so");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(refusal(&link).contains(&format!("write {}", path.display())));
        assert!(refusal(&path.with_file_name("absent.so")).contains("can't be read"));
        assert!(refusal(&dir.path().canonicalize().unwrap()).contains("not a regular file"));
        let pipe = path.with_file_name("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        assert!(refusal(&pipe).contains("not a regular file"));
    }
}
