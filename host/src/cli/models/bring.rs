//! Model files out of whatever holds them, known by their hash alone.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use walkdir::WalkDir;
use zip::ZipArchive;

use crate::cli::failure::exists;
use crate::plugins::{ModelDeclaration, sha256};

/// A file that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Where it belongs below the directory of models.
    pub path: String,
    /// SHA-256 as [`sha256`] writes it: hex in lower case.
    pub sha256: String,
}

impl Wanted {
    pub fn of(declared: &ModelDeclaration) -> Self {
        Self { path: declared.path.clone(), sha256: declared.sha256.to_ascii_lowercase() }
    }
}

/// Takes files out of directories, ZIP archives (as wheels are) and files as they are, and puts them in their places.
pub(super) struct Bringer<'a> {
    /// The directory of models.
    pub to: &'a Path,
    pub progress: &'a ProgressBar,
    pub interrupted: &'a AtomicBool,
    /// What is still missing.
    pub wanted: Vec<Wanted>,
}

impl Bringer<'_> {
    /// Takes what is wanted out of a source.
    pub fn search(&mut self, source: &Path) -> anyhow::Result<()> {
        ensure!(exists(source)?, "there is nothing at {}", source.display());
        for entry in WalkDir::new(source).follow_root_links(true).sort_by_file_name() {
            let entry = entry?;
            if entry.path_is_symlink() && entry.depth() > 0 || entry.path().is_dir() {
                continue;
            }
            if self.wanted.is_empty() {
                return Ok(());
            }
            let path = entry.path();
            self.file(path).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Each file is read once to know it, and once more if it is to be copied.
    fn file(&mut self, path: &Path) -> anyhow::Result<()> {
        let hash = self.hash(File::open(path)?)?;
        self.put(&hash, || Ok(File::open(path)?))?;
        let mut magic = [0; 4];
        let is_archive = File::open(path)?.read_exact(&mut magic).is_ok() && magic == *b"PK\x03\x04";
        if is_archive && !self.wanted.is_empty() { self.archive(path) } else { Ok(()) }
    }

    fn archive(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut archive = ZipArchive::new(File::open(path)?)?;
        for at in 0..archive.len() {
            let hash = self.hash(archive.by_index(at)?)?;
            self.put(&hash, || Ok(archive.by_index(at)?))?;
        }
        Ok(())
    }

    fn hash(&self, from: impl Read) -> anyhow::Result<String> {
        Ok(sha256(self.watched(from))?.to_string())
    }

    /// Puts a file where it is wanted.
    fn put<R: Read>(&mut self, hash: &str, open: impl FnOnce() -> anyhow::Result<R>) -> anyhow::Result<()> {
        let found: Vec<Wanted> = self.wanted.extract_if(.., |wanted| wanted.sha256 == hash).collect();
        let Some(first) = found.first() else { return Ok(()) };
        self.progress.set_message(first.path.clone());
        let target = self.to.join(&first.path);
        self.install(open()?, &target, hash)?;
        found[1..]
            .iter()
            .try_for_each(|also| self.install(File::open(&target)?, &self.to.join(&also.path), hash))
    }

    /// It appears whole or not at all.
    fn install(&self, from: impl Read, target: &Path, hash: &str) -> anyhow::Result<()> {
        let directory = target.parent().unwrap_or(self.to);
        let denied = || {
            let directory = directory.display();
            format!(
                "can't write to {directory}: run this as whoever may, or name another directory with --to"
            )
        };
        fs::create_dir_all(directory).with_context(denied)?;
        let mut temporary = tempfile::Builder::new();
        temporary.prefix(".fetch-").permissions(Permissions::from_mode(0o644));
        let mut file = temporary.tempfile_in(directory).with_context(denied)?;
        io::copy(&mut self.watched(from), &mut file)?;
        file.flush()?;
        let copied = self.hash(File::open(file.path())?)?;
        ensure!(copied == hash, "it changed while it was read: try again");
        file.as_file().sync_all()?;
        file.persist(target).with_context(denied)?;
        Ok(())
    }

    fn watched<R>(&self, inner: R) -> Watched<'_, R> {
        Watched { inner, bringer: self }
    }
}

/// Counts what is read, and ends when somebody interrupts.
struct Watched<'a, R> {
    inner: R,
    bringer: &'a Bringer<'a>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bringer.interrupted.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let len = self.inner.read(buffer)?;
        self.bringer.progress.inc(len as u64);
        Ok(len)
    }
}
