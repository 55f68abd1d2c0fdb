//! WebAssembly components: engine, ahead-of-time cache, fences, host imports, instances, and one file a role.
//!
//! Invariant: `load.rs` is the only file here with `unsafe` in it.

pub mod aot;
mod check;
pub mod compile;
pub mod describe;
pub mod embedder;
pub mod engine;
pub mod enricher;
pub mod generator;
pub mod guest;
pub mod host;
mod http;
pub mod imports;
mod judge;
pub mod limits;
mod load;
mod normal;
pub mod parser;
pub mod pool;
mod reading;
pub mod reranker;
pub mod wasi;

pub use check::annotations;
