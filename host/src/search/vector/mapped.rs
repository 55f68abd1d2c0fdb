//! Files in memory without reading them. A segment file is complete before it gets its name, is never changed after, and
//! the lock of the data directory keeps other daemons away.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// The bytes of a file, read when they are looked at.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// Maps a whole file. It must not be changed or cut while it is mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: see above: nobody writes to a file that has its final name.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file)? };
        // Searches jump about: what the system would read ahead is mostly never looked at.
        map.advise(memmap2::Advice::Random)?;
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
