//! `/documents`

mod batch;
mod bulk;
mod content;
mod create;
mod form;
mod intake;
mod lines;
mod list;
mod one;
mod upload;

// the routes and what `routes!` needs of them
pub(super) use batch::*;
pub(super) use bulk::*;
pub(super) use content::*;
pub(super) use create::*;
pub(super) use list::*;
pub(super) use one::*;
pub(super) use upload::*;
