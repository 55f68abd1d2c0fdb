//! Write SmartRAG plugins in Rust: implement the trait of a role, name it in [`export!`], build for
//! `wasm32-unknown-unknown` with `smartrag plugin build`. `smartrag plugin new` starts a project of any role; each
//! role's module has a small example.
//!
//! ```
//! use smartrag_sdk::parser::{FragmentBuilder, Options, Parsed, Parser};
//! use smartrag_sdk::{Descriptor, Result, Source, describe};
//!
//! struct Shout;
//!
//! impl Parser for Shout {
//!     fn describe() -> Descriptor {
//!         describe!("shout")
//!     }
//!
//!     fn parse(source: &Source, _options: &Options) -> Result<Parsed> {
//!         let bytes = source.read_all(1 << 20)?;
//!         let mut out = FragmentBuilder::new();
//!         out.paragraph(String::from_utf8_lossy(&bytes).to_uppercase());
//!         Ok(Parsed::new(out))
//!     }
//! }
//!
//! smartrag_sdk::export!(parser, Shout);
//! ```
//!
//! Everything compiles natively too, so that plugins have ordinary unit tests; [`testing`] then stands for the host.

#[cfg(feature = "archive")]
pub mod archive;
#[doc(hidden)]
pub mod bindings;
mod blob;
pub mod config;
mod describe;
pub mod embedder;
pub mod enricher;
mod error;
mod export;
pub mod generator;
pub mod http;
mod loaded;
pub mod log;
mod model;
pub mod parser;
pub mod reranker;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
#[cfg(feature = "text")]
pub mod text;
#[cfg(feature = "xml")]
pub mod xml;

pub use bindings::shared::types::{Annotation, Descriptor, Error, ErrorKind, Span, Warning};
pub use blob::Reader;
pub use config::config;
pub use model::ModelFile;
pub use parser::Source;

/// What a plugin's functions answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;
