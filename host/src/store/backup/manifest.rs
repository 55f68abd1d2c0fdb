//! `manifest.json`: what a backup holds. Written last, so that a directory with one is whole.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::blobs::parse_hash;
use crate::store::open::FORMAT;

/// Where it stands in a backup.
pub(super) const MANIFEST: &str = "manifest.json";
/// The database; named as in a data directory.
pub(super) const DATABASE: &str = "database/smartrag.redb";
/// Every other file with its hash, in the form that `sha256sum -c` reads: large blobs by hash, then the rest.
pub(super) const SUMS: &str = "SHA256SUMS";
/// The config file that was in use, as a record.
pub(super) const CONFIG: &str = "config.yaml";
/// The large blobs; laid out as in a data directory.
pub(super) const FILES: &str = "file_storage";

/// Version of the layout of a backup.
const LAYOUT: u32 = 1;
const BYTES_MAX: u64 = 1 << 20;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Manifest {
    /// Version of the layout.
    pub format: u32,
    /// Version of the program.
    pub smartrag: String,
    /// When its snapshot was taken.
    pub created_at: Timestamp,
    /// Making it took so long.
    pub took_ms: u64,
    /// Version of tables and records.
    pub store_format: u64,
    pub counts: Counts,
    /// Large blobs, which stand in `SHA256SUMS` one by one.
    pub blobs: LargeBlobs,
    /// The other files.
    pub files: Vec<FileSum>,
    /// Whose vectors the documents have.
    pub embedders: Vec<EmbedderNote>,
    /// What was installed; a backup holds no plugins.
    pub plugins: Vec<PluginNote>,
}

/// Rows of the snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Counts {
    pub documents: u64,
    pub chunks: u64,
    pub sessions: u64,
    pub conversations: u64,
}

/// Those that are files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LargeBlobs {
    pub count: u64,
    pub bytes: u64,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct FileSum {
    pub path: String,
    pub bytes: u64,
    /// Hex.
    pub sha256: String,
}

/// An embedder that searches after a restore need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct EmbedderNote {
    pub plugin: String,
    pub fingerprint: String,
    pub dimension: usize,
}

/// A plugin that was installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PluginNote {
    pub name: String,
    pub version: String,
    pub role: String,
    /// Hex; empty where there was no component.
    pub sha256: String,
}

/// The path, if a file of its own is there: a link could lead anywhere, and a pipe would never end.
pub(super) fn regular(path: &Path) -> std::io::Result<PathBuf> {
    match fs::symlink_metadata(path)?.is_file() {
        true => Ok(path.to_owned()),
        false => Err(std::io::Error::other("is not a regular file")),
    }
}

impl Manifest {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).fold(self.blobs.bytes, u64::saturating_add)
    }

    /// As it stands in the file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Plain structs of strings and numbers can't fail.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads the manifest of a backup; what is wrong with it, for people.
    pub(super) fn read(backup: &Path) -> Result<Self, String> {
        let open = regular(&backup.join(MANIFEST)).and_then(File::open);
        let file = open.map_err(|error| format!("{MANIFEST}: {error}"))?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("{MANIFEST} can't be read: {error}"))?;
        Self::parse(&bytes)
    }

    /// Trusts nothing: no path but the known ones leaves here.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > BYTES_MAX {
            return Err(format!("{MANIFEST} is larger than {BYTES_MAX} bytes"));
        }
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let unreadable = |error| format!("{MANIFEST} can't be read: {error}");
        let Version { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format != LAYOUT {
            return Err(format!(
                "it has layout {format}, this smartrag knows layout {LAYOUT}: use the smartrag that made it, or a newer one"
            ));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        manifest.check().map(|()| manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.store_format > FORMAT {
            let found = self.store_format;
            return Err(format!(
                "its store has format {found}, this smartrag knows formats up to {FORMAT}: use a newer one"
            ));
        }
        for (at, file) in self.files.iter().enumerate() {
            let known = [DATABASE, SUMS, CONFIG].contains(&file.path.as_str());
            let twice = self.files[..at].iter().any(|other| other.path == file.path);
            if !known || twice {
                return Err(format!("{MANIFEST} names a file that does not belong there: {:?}", file.path));
            }
            if parse_hash(&file.sha256).is_none() {
                return Err(format!("{MANIFEST} has no SHA-256 of {}", file.path));
            }
        }
        for needed in [DATABASE, SUMS] {
            self.file(needed).ok_or_else(|| format!("{MANIFEST} does not name {needed}"))?;
        }
        Ok(())
    }

    pub(super) fn file(&self, path: &str) -> Option<&FileSum> {
        self.files.iter().find(|file| file.path == path)
    }

    pub(super) const LAYOUT: u32 = LAYOUT;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(path: &str) -> FileSum {
        FileSum { path: path.into(), bytes: 7, sha256: "ab".repeat(32) }
    }

    fn manifest() -> Manifest {
        Manifest {
            format: LAYOUT,
            smartrag: "0.1.0".into(),
            created_at: Timestamp::UNIX_EPOCH,
            took_ms: 3,
            store_format: FORMAT,
            counts: Counts { documents: 2, chunks: 5, sessions: 0, conversations: 1 },
            blobs: LargeBlobs { count: 1, bytes: 70_000 },
            files: vec![sum(DATABASE), sum(CONFIG), sum(SUMS)],
            embedders: vec![EmbedderNote { plugin: "e".into(), fingerprint: "f".into(), dimension: 2 }],
            plugins: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Manifest::parse(&manifest().to_bytes()), Ok(manifest()));
        assert_eq!(manifest().bytes(), 70_021);
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in ["../x", "/etc/passwd", "database/../x", "", "database/smartrag.redb/", SUMS] {
            let mut bad = manifest();
            bad.files.push(sum(path));
            let said = Manifest::parse(&bad.to_bytes()).unwrap_err();
            assert!(said.contains("does not belong there"), "{path}: {said}");
        }
    }

    #[test]
    fn others_are_told_what_to_do() {
        let said = |change: fn(&mut Manifest)| {
            let mut other = manifest();
            change(&mut other);
            Manifest::parse(&other.to_bytes()).unwrap_err()
        };
        assert!(said(|other| other.format = 2).contains("use the smartrag that made it"));
        assert!(said(|other| other.store_format = FORMAT + 1).contains("use a newer one"));
        assert!(said(|other| other.files.truncate(2)).contains("does not name SHA256SUMS"));
        assert!(said(|other| other.files[0].sha256 = "ab".into()).contains("no SHA-256 of database"));
        assert!(Manifest::parse(&vec![b' '; BYTES_MAX as usize + 1]).unwrap_err().contains("larger"));
        assert!(Manifest::parse(b"").unwrap_err().contains("can't be read"));
    }

    proptest! {
        /// Whatever a damaged medium makes of it: no panic, and no path but ours.
        #[test]
        fn damage_is_an_error_or_harmless(at in 0usize..2000, byte: u8, cut in 0usize..2000) {
            let mut bytes = manifest().to_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut % 40);
            if let Ok(read) = Manifest::parse(&bytes) {
                prop_assert!(read.files.iter().all(|file| [DATABASE, SUMS, CONFIG].contains(&file.path.as_str())));
            }
        }

        #[test]
        fn foreign_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Manifest::parse(&bytes);
        }
    }
}
