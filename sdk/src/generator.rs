//! Answers from passages.
//! ```
//! use smartrag_sdk::generator::{Event, FinishReason, Generation, Generator, ModelInfo, Request};
//! use smartrag_sdk::{Descriptor, Result, describe};
//!
//! struct First;
//!
//! struct Answer(Vec<Event>);
//!
//! impl Generator for First {
//!     type Generation = Answer;
//!
//!     fn describe() -> Descriptor {
//!         describe!("first")
//!     }
//!
//!     fn load() -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn info(&self) -> Result<ModelInfo> {
//!         Ok(ModelInfo {
//!             model: "first".into(),
//!             context_window: None,
//!             strong: false,
//!             wants_sentences: false,
//!             properties: Vec::new(),
//!         })
//!     }
//!
//!     fn generate(&self, request: Request) -> Result<Answer> {
//!         let text = request.passages.first().map_or("Nothing was found.", |passage| &passage.text);
//!         Ok(Answer(vec![Event::Text(text.into()), Event::Finish(FinishReason::Stop)]))
//!     }
//! }
//!
//! impl Generation for Answer {
//!     fn next(&mut self, max: u32) -> Result<Vec<Event>> {
//!         let count = self.0.len().min(max as usize);
//!         Ok(self.0.drain(..count).collect())
//!     }
//! }
//!
//! smartrag_sdk::export!(generator, First);
//! ```

use std::cell::RefCell;
use std::marker::PhantomData;

pub use crate::bindings::generator::{
    Event, FinishReason, Message, ModelInfo, Options, Passage, Request, Role, Sentence, Usage,
};
use crate::{Descriptor, Error, Result, bindings, loaded};

/// A plugin that answers.
pub trait Generator: Sized + 'static {
    /// An answer in the making.
    type Generation: Generation;
    /// What it says of itself.
    fn describe() -> Descriptor;
    /// Made once, at the first call: reads the configuration, opens the model.
    fn load() -> Result<Self>;
    /// What it says of its model.
    fn info(&self) -> Result<ModelInfo>;
    /// Begins an answer. What it needs of the plugin it takes along, in an `Rc`.
    fn generate(&self, request: Request) -> Result<Self::Generation>;
    /// Tokens of each text. The default takes four bytes for one.
    fn count_tokens(&self, texts: &[String]) -> Result<Vec<u32>> {
        Ok(texts.iter().map(|text| text.len().div_ceil(4) as u32).collect())
    }
}

/// An answer in the making. Dropping it cancels.
pub trait Generation: 'static {
    /// At least one and at most `max` events; none once the generation is over.
    fn next(&mut self, max: u32) -> Result<Vec<Event>>;
}

#[doc(hidden)]
pub struct Guest<T>(PhantomData<T>);

#[doc(hidden)]
pub struct Running<G>(RefCell<G>);

impl<T: Generator> bindings::generator::Guest for Guest<T> {
    type Generation = Running<T::Generation>;

    fn describe() -> Descriptor {
        T::describe()
    }

    fn info() -> Result<ModelInfo, Error> {
        loaded::get(T::load)?.info()
    }

    fn generate(request: Request) -> Result<bindings::generator::Generation, Error> {
        let generation = loaded::get(T::load)?.generate(request)?;
        Ok(bindings::generator::Generation::new(Running(RefCell::new(generation))))
    }

    fn count_tokens(texts: Vec<String>) -> Result<Vec<u32>, Error> {
        loaded::get(T::load)?.count_tokens(&texts)
    }
}

impl<G: Generation> bindings::generator::GuestGeneration for Running<G> {
    fn next(&self, max: u32) -> Result<Vec<Event>, Error> {
        self.0.borrow_mut().next(max)
    }
}
