//! Zip archives within limits, for the many formats that are one.

use std::borrow::Cow;
use std::io::Read;

use zip::ZipArchive;
use zip::result::ZipError;

use crate::{Error, Reader, Result, Source};

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
    zip: ZipArchive<Reader>,
    inflated: u64,
}

impl Archive {
    /// Opens it. An OLE container in its place, which is how Office encrypts, is the error `encrypted`.
    pub fn open(source: &Source) -> Result<Self> {
        if source.read_at(0, 8) == [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1] {
            return Err(Error::encrypted("the file is protected by a password: remove it and upload again"));
        }
        let zip = ZipArchive::new(source.reader()).map_err(|e| broken("the archive", &e))?;
        if zip.len() > ENTRIES_MAX {
            return Err(limit(format!(
                "the archive has {} entries; at most {ENTRIES_MAX} are read",
                zip.len()
            )));
        }
        Ok(Self { zip, inflated: 0 })
    }

    /// The names of all entries; those in no known encoding are left out.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.zip.file_names().filter_map(Result::ok)
    }

    /// Whether there is an entry of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.zip.index_for_name(name).is_some()
    }

    /// An entry's bytes; `None` where there is none of that name.
    pub fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(index) = self.zip.index_for_name(name) else { return Ok(None) };
        let mut entry = self.zip.by_index(index).map_err(|e| broken(name, &e))?;
        let by_ratio = entry.compressed_size().saturating_mul(RATIO_MAX).max(RATIO_FREE);
        let allowed = by_ratio.min(INFLATED_MAX - self.inflated);
        let mut bytes = Vec::new();
        let read = entry.by_ref().take(allowed + 1).read_to_end(&mut bytes);
        if bytes.len() as u64 > allowed {
            return Err(limit(format!("{name} inflates to more than {allowed} bytes")));
        }
        read.map_err(|e| Error::corrupt(format!("{name} in the archive is damaged: {e}")))?;
        self.inflated += bytes.len() as u64;
        Ok(Some(bytes))
    }
}

fn limit(message: String) -> Error {
    Error::limit("archive", message)
}

fn broken(what: &str, error: &ZipError) -> Error {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
            Error::encrypted(format!("{what} is protected by a password: remove it and upload again"))
        }
        _ => Error::corrupt(format!("{what} is damaged: {error}")),
    }
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
        assert_eq!(open.read("a.txt").unwrap().unwrap(), b"hello");
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
