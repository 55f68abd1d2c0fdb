use std::rc::Rc;

use crate::blob::{self, Blob, Reader};
use crate::{Result, bindings};

/// The file to parse. Clones share it.
#[derive(Clone)]
pub struct Source(Rc<dyn Blob>);

impl Source {
    /// A file in memory, for tests.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Rc::new(bytes.into()))
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.0.size()
    }

    /// At most `len` bytes from `offset`; shorter only at the end, empty beyond it.
    pub fn read_at(&self, offset: u64, len: u32) -> Vec<u8> {
        self.0.read(offset, len)
    }

    /// The whole file; the error `limit(input)` where it is longer than `limit` bytes.
    pub fn read_all(&self, limit: u64) -> Result<Vec<u8>> {
        blob::read_all(&*self.0, limit)
    }

    /// Reads and seeks from its beginning.
    pub fn reader(&self) -> Reader {
        Reader::new(self.0.clone())
    }
}

impl From<bindings::shared::sources::Source> for Source {
    fn from(source: bindings::shared::sources::Source) -> Self {
        Self(Rc::new(source))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom};

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn reads_across_buffers_and_seeks() {
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        let source = Source::from_bytes(bytes.clone());
        let mut reader = source.reader();
        reader.seek(SeekFrom::End(-150_000)).unwrap();
        let mut tail = Vec::new();
        reader.read_to_end(&mut tail).unwrap();
        assert_eq!(tail, bytes[50_000..]);
        reader.seek(SeekFrom::Start(3)).unwrap();
        let mut four = [0; 4];
        reader.read_exact(&mut four).unwrap();
        assert_eq!(four, [3, 4, 5, 6]);
        assert_eq!(source.read_all(200_000).unwrap(), bytes);
        assert_eq!(source.read_all(199_999).unwrap_err().kind, ErrorKind::Limit("input".into()));
    }
}
