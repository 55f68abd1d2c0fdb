//! Between the traits and the bindings.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use super::{Document, Fragment, Options, PagedParser, Parsed, Parser, Source, Summary, parsed};
use crate::bindings::{parser, shared::sources};
use crate::{Descriptor, Error, Result};

#[doc(hidden)]
pub struct Guest<T>(PhantomData<T>);

#[doc(hidden)]
pub struct Open<D>(RefCell<D>);

impl<T: PagedParser> parser::Guest for Guest<T> {
    type Document = Open<T::Document>;

    fn describe() -> Descriptor {
        T::describe()
    }

    fn open(source: sources::Source, options: Options) -> Result<parser::Document, Error> {
        let document = T::open(source.into(), &options)?;
        Ok(parser::Document::new(Open(RefCell::new(document))))
    }
}

impl<D: Document> parser::GuestDocument for Open<D> {
    fn summary(&self) -> Summary {
        self.0.borrow().summary()
    }

    fn pages(&self, start: u32, end: u32) -> Result<Fragment, Error> {
        self.0.borrow_mut().pages(start..end)
    }
}

#[doc(hidden)]
pub struct Simple<T>(PhantomData<T>);

impl<T: Parser> PagedParser for Simple<T> {
    type Document = Parsed;

    fn describe() -> Descriptor {
        T::describe()
    }

    fn open(source: Source, options: &Options) -> Result<Parsed> {
        let parsed = T::parse(&source, options)?;
        match parsed.is_empty() {
            true => Err(Error::empty("the file holds no text")),
            false => Ok(parsed),
        }
    }
}

impl Document for Parsed {
    fn summary(&self) -> Summary {
        Summary {
            page_count: self.fragments.len() as u32,
            paged: self.paged,
            title: self.title.clone(),
            language: self.language.clone(),
            metadata: self.metadata.clone(),
            warnings: self.warnings.clone(),
        }
    }

    fn pages(&mut self, range: Range<u32>) -> Result<Fragment> {
        let end = (range.end as usize).min(self.fragments.len());
        let start = (range.start as usize).min(end);
        Ok(parsed::join(&self.fragments[start..end]))
    }
}
