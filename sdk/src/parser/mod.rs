//! Turns the bytes of a file into text with structure.
//!
//! Most formats implement [`Parser`]: one function. [`PagedParser`] is for formats whose pages are read one by
//! one, so that a bad page costs one page.

mod fragment;
mod guest;
mod parsed;
mod source;
mod table;

use std::ops::Range;

pub use crate::bindings::parser::Bbox;
pub use crate::bindings::parser::{
    Block, BlockKind, Cell, Fragment, Options, Page, PageStatus, Provenance, Summary,
};
use crate::{Descriptor, Result};
pub use fragment::{BlockRef, FragmentBuilder};
#[doc(hidden)]
pub use guest::{Guest, Open, Simple};
pub use parsed::Parsed;
pub use source::Source;
pub use table::Table;

/// A parser that reads the whole file at once.
pub trait Parser: 'static {
    /// What it says of itself.
    fn describe() -> Descriptor;
    /// Reads the file. A result without any text becomes the error `empty`.
    fn parse(source: &Source, options: &Options) -> Result<Parsed>;
}

/// A parser that reads pages when they are asked for.
pub trait PagedParser: 'static {
    /// An open file.
    type Document: Document;
    /// What it says of itself.
    fn describe() -> Descriptor;
    /// Opens the file and reads what concerns it as a whole.
    fn open(source: Source, options: &Options) -> Result<Self::Document>;
}

/// An open file; dropping it closes it.
pub trait Document: 'static {
    /// Of the file as a whole.
    fn summary(&self) -> Summary;
    /// The pages of the range. A page that can't be read is a page with status `failed` and a warning; an error
    /// means that the whole range is lost.
    fn pages(&mut self, range: Range<u32>) -> Result<Fragment>;
}
