//! The list of the segments that count: one small file that is replaced in one step. What it does not name is no part of
//! the index.
//!
//! It stands beside the segments rather than in the store: so the index is one directory that can be lost whole, and the
//! search module needs to know no store.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use super::bits::Bits;
use crate::search::boundary::boundary;
use crate::search::{Error, Result};

const NAME: &str = "manifest";
const MAGIC: &[u8; 8] = b"SRVMAN\0\x01";

/// What is on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Numbers in a row.
    pub dimension: usize,
    /// The journal entry up to which the segments and their dead rows are complete.
    pub cursor: u64,
    /// Number of the next segment.
    pub next: u64,
    /// In the order of their rows.
    pub segments: Vec<Entry>,
}

/// A segment of the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Names the file.
    pub number: u64,
    /// Places of dead rows, a serialised roaring bitmap.
    dead: Vec<u8>,
}

impl Entry {
    /// A segment and its dead rows.
    pub fn new(number: u64, dead: &Bits) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let places = RoaringBitmap::from_sorted_iter(dead.iter(0..u32::MAX)).map_err(io::Error::other)?;
        places.serialize_into(&mut bytes)?;
        Ok(Self { number, dead: bytes })
    }

    /// Places of dead rows.
    pub fn dead(&self) -> io::Result<Bits> {
        Ok(RoaringBitmap::deserialize_from(self.dead.as_slice())?.into_iter().collect())
    }

    /// Its file.
    pub fn file_name(&self) -> String {
        file_name(self.number)
    }
}

/// The file of a segment.
pub fn file_name(number: u64) -> String {
    format!("{number:010}.segment")
}

impl Manifest {
    /// Reads the list in a directory; an empty one if there is none.
    pub fn read(directory: &Path) -> Result<Self> {
        Ok(Self::find(directory)?.unwrap_or_default())
    }

    /// Reads the list in a directory; `None` if there is none.
    pub fn find(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(NAME);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let manifest = parse(&bytes).ok_or_else(|| Error::Damaged {
            path,
            detail: "it is cut, changed, or of another version".into(),
        })?;
        Ok(Some(manifest))
    }

    /// Replaces the list in a directory; on return it is on disk.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let body = rmp_serde::to_vec_named(self).map_err(|error| Error::Index(error.to_string()))?;
        let new = directory.join("manifest.new");
        let mut file = File::create(&new)?;
        file.write_all(MAGIC)?;
        file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
        file.write_all(&body)?;
        file.sync_all()?;
        boundary("the list of segments is written");
        std::fs::rename(&new, directory.join(NAME))?;
        boundary("the list of segments is exchanged");
        Ok(File::open(directory)?.sync_all()?)
    }

    /// Removes files that the list does not name: what a crash left, or what was merged.
    pub fn remove_others(&self, directory: &Path) -> io::Result<()> {
        let named: Vec<String> = self.segments.iter().map(Entry::file_name).collect();
        for entry in std::fs::read_dir(directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let ours = name.ends_with(".segment") || name.ends_with(".new");
            if ours && !named.contains(&name) {
                std::fs::remove_file(directory.join(name))?;
            }
        }
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Option<Manifest> {
    let (checksum, body) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    let right = crc32fast::hash(body) == u32::from_le_bytes(*checksum);
    right.then(|| rmp_serde::from_slice(body).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let dead: Bits = [3, 70, 1000].into_iter().collect();
        let segments = vec![Entry::new(4, &dead).unwrap(), Entry::new(9, &Bits::default()).unwrap()];
        Manifest { dimension: 256, cursor: 17, next: 10, segments }
    }

    #[test]
    fn what_was_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(directory.path()).unwrap(), Manifest::default());
        manifest().write(directory.path()).unwrap();
        let read = Manifest::read(directory.path()).unwrap();
        assert_eq!(read, manifest());
        assert_eq!(read.segments[0].dead().unwrap().iter(0..2000).collect::<Vec<_>>(), [3, 70, 1000]);
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        manifest().write(directory.path()).unwrap();
        let path = directory.path().join(NAME);
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bad).is_none(), "bit {bit}");
        }
        assert!((0..good.len()).all(|len| parse(&good[..len]).is_none()));
    }

    #[test]
    fn unnamed_files_go() {
        let directory = tempfile::tempdir().unwrap();
        for name in [file_name(4), file_name(5), "0000000009.new".into(), "other".into()] {
            std::fs::write(directory.path().join(name), "x").unwrap();
        }
        manifest().remove_others(directory.path()).unwrap();
        let left: std::collections::BTreeSet<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(left, [file_name(4), "other".into()].into());
    }
}
