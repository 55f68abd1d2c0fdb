//! Adds metadata to documents and chunks.
//! ```
//! use smartrag_sdk::enricher::{DocumentInput, Enricher};
//! use smartrag_sdk::{Annotation, Descriptor, Result, describe};
//!
//! struct Words;
//!
//! impl Enricher for Words {
//!     fn describe() -> Descriptor {
//!         describe!("words")
//!     }
//!
//!     fn load() -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn enrich_document(&self, document: &DocumentInput) -> Result<Vec<Annotation>> {
//!         Ok(vec![Annotation::new("count", document.text.split_whitespace().count())])
//!     }
//! }
//!
//! smartrag_sdk::export!(enricher, Words);
//! ```

use std::marker::PhantomData;

pub use crate::bindings::enricher::{ChunkInput, DocumentInput};
use crate::{Annotation, Descriptor, Error, Result, bindings, loaded};

/// A plugin that annotates.
pub trait Enricher: Sized + 'static {
    /// What it says of itself.
    fn describe() -> Descriptor;
    /// Made once, at the first call: reads the configuration, builds tables.
    fn load() -> Result<Self>;
    /// Annotations of the document as a whole; may be none.
    fn enrich_document(&self, document: &DocumentInput) -> Result<Vec<Annotation>>;
    /// One list of annotations for each chunk, in order. The default has none.
    fn enrich_chunks(&self, document: &DocumentInput, chunks: &[ChunkInput]) -> Result<Vec<Vec<Annotation>>> {
        let _ = document;
        Ok(vec![Vec::new(); chunks.len()])
    }
}

#[doc(hidden)]
pub struct Guest<T>(PhantomData<T>);

impl<T: Enricher> bindings::enricher::Guest for Guest<T> {
    fn describe() -> Descriptor {
        T::describe()
    }

    fn enrich_document(document: DocumentInput) -> Result<Vec<Annotation>, Error> {
        loaded::get(T::load)?.enrich_document(&document)
    }

    fn enrich_chunks(
        document: DocumentInput,
        chunks: Vec<ChunkInput>,
    ) -> Result<Vec<Vec<Annotation>>, Error> {
        loaded::get(T::load)?.enrich_chunks(&document, &chunks)
    }
}
