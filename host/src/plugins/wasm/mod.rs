//! WebAssembly components: engine, ahead-of-time cache, fences, host imports, instances, and one file a role.
//!
//! Invariant: `load.rs` is the only file of the project with `unsafe` in it.

pub mod aot;
mod check;
pub mod describe;
pub mod embedder;
pub mod engine;
pub mod enricher;
pub mod generator;
pub mod guest;
pub mod host;
pub mod imports;
pub mod limits;
mod load;
mod normal;
pub mod parser;
pub mod pool;
mod reading;
pub mod reranker;

pub use check::annotations;
