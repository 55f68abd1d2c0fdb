//! Turns texts into vectors.

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
