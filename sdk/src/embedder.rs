//! Turns texts into vectors.
//! ```
//! use smartrag_sdk::embedder::{Embedder, Embeddings, ModelInfo, Purpose};
//! use smartrag_sdk::{Descriptor, ModelFile, Result, describe};
//!
//! /// One direction for all that begins with a letter of the model file.
//! struct Letters(Vec<u8>);
//!
//! impl Embedder for Letters {
//!     fn describe() -> Descriptor {
//!         describe!("letters")
//!     }
//!
//!     fn load() -> Result<Self> {
//!         Ok(Self(ModelFile::open("letters")?.read_all()?))
//!     }
//!
//!     fn info(&self) -> Result<ModelInfo> {
//!         Ok(ModelInfo {
//!             model: "letters".into(),
//!             dimension: 2,
//!             window_tokens: 512,
//!             batch_max: 64,
//!             fusion_weight: 0.1,
//!             fingerprint: "letters-1".into(),
//!             properties: Vec::new(),
//!         })
//!     }
//!
//!     fn embed(&self, texts: &[String], _: Purpose) -> Result<Embeddings> {
//!         let is_known = |text: &String| text.bytes().next().is_some_and(|byte| self.0.contains(&byte));
//!         let row = |text| if is_known(text) { [1.0, 0.0] } else { [0.0, 1.0] };
//!         Ok(Embeddings { dimension: 2, values: texts.iter().flat_map(row).collect(), tokens: 0 })
//!     }
//!
//!     fn count_tokens(&self, texts: &[String]) -> Result<Vec<u32>> {
//!         Ok(texts.iter().map(|text| text.split_whitespace().count() as u32).collect())
//!     }
//! }
//!
//! smartrag_sdk::export!(embedder, Letters);
//! ```

use std::marker::PhantomData;

pub use crate::bindings::embedder::{Embeddings, ModelInfo, Purpose};
use crate::{Descriptor, Error, Result, bindings, loaded};

/// A plugin that embeds.
pub trait Embedder: Sized + 'static {
    /// What it says of itself.
    fn describe() -> Descriptor;
    /// Made once, at the first call: reads the configuration, opens the model.
    fn load() -> Result<Self>;
    /// What it says of its model.
    fn info(&self) -> Result<ModelInfo>;
    /// `texts.len() * dimension` values, row by row; rows have length 1 or are all zero.
    fn embed(&self, texts: &[String], purpose: Purpose) -> Result<Embeddings>;
    /// Tokens of each text, by the model's own count.
    fn count_tokens(&self, texts: &[String]) -> Result<Vec<u32>>;
}

#[doc(hidden)]
pub struct Guest<T>(PhantomData<T>);

impl<T: Embedder> bindings::embedder::Guest for Guest<T> {
    fn describe() -> Descriptor {
        T::describe()
    }

    fn info() -> Result<ModelInfo, Error> {
        loaded::get(T::load)?.info()
    }

    fn embed(texts: Vec<String>, purpose: Purpose) -> Result<Embeddings, Error> {
        loaded::get(T::load)?.embed(&texts, purpose)
    }

    fn count_tokens(texts: Vec<String>) -> Result<Vec<u32>, Error> {
        loaded::get(T::load)?.count_tokens(&texts)
    }
}
