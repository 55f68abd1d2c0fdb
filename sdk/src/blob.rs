//! Bytes that are fetched piece by piece, from the host or from memory.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::rc::Rc;

use crate::{Error, Result};

/// Bytes fetched in one call.
const PIECE: u32 = 1 << 20;
/// Bytes that a [`Reader`] holds.
const BUFFER: u32 = 1 << 16;

pub(crate) trait Blob {
    fn size(&self) -> u64;
    /// At most `len` bytes from `offset`; shorter only at the end.
    fn read(&self, offset: u64, len: u32) -> Vec<u8>;
}

impl Blob for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, len: u32) -> Vec<u8> {
        let start = offset.min(self.size()) as usize;
        self[start..self.len().min(start.saturating_add(len as usize))].to_vec()
    }
}

impl Blob for crate::bindings::shared::sources::Source {
    fn size(&self) -> u64 {
        self.size()
    }

    fn read(&self, offset: u64, len: u32) -> Vec<u8> {
        self.read(offset, len)
    }
}

impl Blob for crate::bindings::shared::model_files::ModelFile {
    fn size(&self) -> u64 {
        self.size()
    }

    fn read(&self, offset: u64, len: u32) -> Vec<u8> {
        self.read(offset, len)
    }
}

pub(crate) fn read_all(blob: &dyn Blob, limit: u64) -> Result<Vec<u8>> {
    let size = blob.size();
    if size > limit {
        return Err(Error::limit("input", format!("the input has {size} bytes; at most {limit} are read")));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    while (bytes.len() as u64) < size {
        let piece = blob.read(bytes.len() as u64, PIECE);
        if piece.is_empty() {
            return Err(Error::corrupt("the input ended before its size"));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Reads and seeks in a [`crate::Source`] or a [`crate::ModelFile`], with a buffer of its own.
pub struct Reader {
    blob: Rc<dyn Blob>,
    position: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
}

impl Reader {
    pub(crate) fn new(blob: Rc<dyn Blob>) -> Self {
        Self { blob, position: 0, buffer: Vec::new(), buffer_start: 0 }
    }

    fn buffered(&self) -> &[u8] {
        let skip = self.position.checked_sub(self.buffer_start);
        skip.and_then(|skip| self.buffer.get(skip as usize..)).unwrap_or_default()
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffered().is_empty() {
            self.buffer = self.blob.read(self.position, BUFFER);
            self.buffer_start = self.position;
        }
        Ok(self.buffered())
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount as u64;
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.blob.size().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
