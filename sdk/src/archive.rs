//! Zip archives within limits, for the many formats that are one.

use std::collections::HashMap;
use std::io::{self, Read};

use flate2::read::DeflateDecoder;
use rawzip::{
    CompressionMethod, RECOMMENDED_BUFFER_SIZE, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder, ZipLocator,
};

use crate::{Error, Result, Source};

/// More entries are refused.
const ENTRIES_MAX: usize = 10_000;
/// Bytes that all reads together may inflate to.
const INFLATED_MAX: u64 = 512 << 20;
/// An entry may inflate to so many times its size…
const RATIO_MAX: u64 = 200;
/// …once it is larger than this.
const RATIO_FREE: u64 = 1 << 20;

/// An open archive. Limits count bytes as really inflated, whatever the archive says of itself.
pub struct Archive {
    zip: ZipArchive<Source>,
    names: Vec<String>,
    /// By lower-case names: office formats don't tell cases apart.
    entries: HashMap<String, Entry>,
    inflated: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    encrypted: bool,
}

impl Archive {
    /// Opens it. An OLE container in its place, which is how Office encrypts, is the error `encrypted`.
    pub fn open(source: &Source) -> Result<Self> {
        if source.read_at(0, 8) == [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1] {
            return Err(Error::encrypted("the file is protected by a password: remove it and upload again"));
        }
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let located = ZipLocator::new().locate_in_reader(source.clone(), &mut buffer, source.size());
        let zip = located.map_err(|(_, e)| broken("the archive", &e))?;
        let (mut names, mut entries) = (Vec::new(), HashMap::new());
        let mut listing = zip.entries(&mut buffer);
        while let Some(record) = listing.next_entry().map_err(|e| broken("the archive", &e))? {
            if names.len() == ENTRIES_MAX {
                return Err(limit(format!("the archive has more than {ENTRIES_MAX} entries")));
            }
            let name = String::from_utf8_lossy(record.file_path().as_ref()).replace('\\', "/");
            let encrypted = record.flags().is_encrypted();
            let entry = Entry { place: record.wayfinder(), method: record.compression_method(), encrypted };
            entries.insert(name.to_ascii_lowercase(), entry);
            names.push(name);
        }
        Ok(Self { zip, names, entries, inflated: 0 })
    }

    /// The names of all entries, in the archive's order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether there is an entry of that name, in any case.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(&name.to_ascii_lowercase())
    }

    /// An entry's bytes; `None` where there is none of that name.
    pub fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(entry) = self.entries.get(&name.to_ascii_lowercase()).copied() else { return Ok(None) };
        if entry.encrypted {
            return Err(Error::encrypted(format!(
                "{name} is protected by a password: remove it and upload again"
            )));
        }
        let by_ratio = entry.place.compressed_size_hint().saturating_mul(RATIO_MAX).max(RATIO_FREE);
        let allowed = by_ratio.min(INFLATED_MAX - self.inflated);
        let data = self.zip.get_entry(entry.place).map_err(|e| broken(name, &e))?;
        let mut bytes = Vec::new();
        let read = match entry.method {
            CompressionMethod::STORE => {
                data.verifying_reader(data.reader()).take(allowed + 1).read_to_end(&mut bytes)
            }
            CompressionMethod::DEFLATE => {
                let inflating = DeflateDecoder::new(data.reader());
                data.verifying_reader(inflating).take(allowed + 1).read_to_end(&mut bytes)
            }
            _ => return Err(Error::unsupported(format!("{name} is packed in a way that is not read"))),
        };
        if bytes.len() as u64 > allowed {
            return Err(limit(format!("{name} inflates to more than {allowed} bytes")));
        }
        read.map_err(|e| broken(name, &e))?;
        self.inflated += bytes.len() as u64;
        Ok(Some(bytes))
    }
}

impl ReaderAt for Source {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = Source::read_at(self, offset, u32::try_from(buffer.len()).unwrap_or(u32::MAX));
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

fn limit(message: String) -> Error {
    Error::limit("archive", message)
}

fn broken(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::corrupt(format!("{what} is damaged: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::ErrorKind;

    fn archive(entries: &[(&str, &[u8])]) -> Source {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        Source::from_bytes(zip.finish().unwrap().into_inner())
    }

    #[test]
    fn reads_entries() {
        let mut open = Archive::open(&archive(&[("a.txt", b"hello")])).unwrap();
        assert_eq!(open.read("A.txt").unwrap().unwrap(), b"hello");
        assert_eq!(open.read("b.txt").unwrap(), None);
    }

    #[test]
    fn refuses_bombs() {
        let mut open = Archive::open(&archive(&[("bomb", &vec![0; 8 << 20])])).unwrap();
        assert_eq!(open.read("bomb").unwrap_err().kind, ErrorKind::Limit("archive".into()));
    }

    #[test]
    fn tells_damage_from_encryption() {
        let kind = |bytes: &[u8]| Archive::open(&Source::from_bytes(bytes)).err().unwrap().kind;
        assert_eq!(kind(b"PK\x03\x04 and then nothing"), ErrorKind::Corrupt);
        assert_eq!(kind(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1 more"), ErrorKind::Encrypted);
    }
}
