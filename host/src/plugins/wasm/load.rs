#![allow(unsafe_code)]

use std::path::Path;

use wasmtime::component::Component;
use wasmtime::{Engine, Result};

/// Maps machine code that [`super::aot`] wrote.
///
/// The caller has authenticated the file: its keyed hash was made with a key that only this user can read, over
/// output of this very engine configuration, and the file lies in a directory that only this user can enter.
pub fn map(engine: &Engine, path: &Path) -> Result<Component> {
    // SAFETY: by the contract above the bytes are the output of `Component::serialize`, and whoever could change
    // the file under the mapping could change this process as well.
    unsafe { Component::deserialize_file(engine, path) }
}
