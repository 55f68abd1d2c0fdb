//! Scores passages against a query.
//! ```
//! use smartrag_sdk::reranker::Reranker;
//! use smartrag_sdk::{Descriptor, Result, describe};
//!
//! struct Verbatim;
//!
//! impl Reranker for Verbatim {
//!     fn describe() -> Descriptor {
//!         describe!("verbatim")
//!     }
//!
//!     fn load() -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn rerank(&self, query: &str, passages: &[String]) -> Result<Vec<f32>> {
//!         Ok(passages.iter().map(|passage| if passage.contains(query) { 1.0 } else { 0.0 }).collect())
//!     }
//! }
//!
//! smartrag_sdk::export!(reranker, Verbatim);
//! ```

use std::marker::PhantomData;

use crate::{Descriptor, Error, Result, bindings, loaded};

/// A plugin that scores.
pub trait Reranker: Sized + 'static {
    /// What it says of itself.
    fn describe() -> Descriptor;
    /// Made once, at the first call: reads the configuration, opens the model.
    fn load() -> Result<Self>;
    /// One score for each passage, in order, from 0 (unrelated) to 1.
    fn rerank(&self, query: &str, passages: &[String]) -> Result<Vec<f32>>;
}

#[doc(hidden)]
pub struct Guest<T>(PhantomData<T>);

impl<T: Reranker> bindings::reranker::Guest for Guest<T> {
    fn describe() -> Descriptor {
        T::describe()
    }

    fn rerank(query: String, passages: Vec<String>) -> Result<Vec<f32>, Error> {
        loaded::get(T::load)?.rerank(&query, &passages)
    }
}
