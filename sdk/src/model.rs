use std::rc::Rc;

use crate::Result;
use crate::blob::{self, Blob, Reader};

/// A read-only model file that `plugin.toml` declares.
#[derive(Clone)]
pub struct ModelFile(Rc<dyn Blob>);

impl ModelFile {
    /// Opens a file by the name that the manifest gives it; `missing-model` where it is absent.
    pub fn open(name: &str) -> Result<Self> {
        open(name)
    }

    /// A file in memory, for tests.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Rc::new(bytes))
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.0.size()
    }

    /// At most `len` bytes from `offset`; shorter only at the end, empty beyond it.
    pub fn read_at(&self, offset: u64, len: u32) -> Vec<u8> {
        self.0.read(offset, len)
    }

    /// The whole file.
    pub fn read_all(&self) -> Result<Vec<u8>> {
        blob::read_all(&*self.0, u64::MAX)
    }

    /// Reads from its beginning.
    pub fn reader(&self) -> Reader {
        Reader::new(self.0.clone())
    }
}

#[cfg(target_arch = "wasm32")]
fn open(name: &str) -> Result<ModelFile> {
    Ok(ModelFile(Rc::new(crate::bindings::shared::model_files::open(name)?)))
}

#[cfg(not(target_arch = "wasm32"))]
fn open(name: &str) -> Result<ModelFile> {
    let bytes = crate::testing::model(name);
    bytes
        .map(ModelFile::from_bytes)
        .ok_or_else(|| crate::Error::missing_model(name, "call testing::set_model first"))
}
