//! A native generator: llama.cpp inside the daemon, over a GGUF file that the configuration names.
//!
//! `abi` is the C interface of `sdk/native/smartrag_native.h`, `engine` makes the answers, `sequences` is the prompt
//! cache, `llama` what of llama.cpp's own care the crate `llama-cpp-2` leaves to us. `unsafe` stands in `abi` and `llama`.

mod abi;
mod answer;
mod config;
mod engine;
mod failure;
mod llama;
mod model;
mod pace;
mod request;
mod sequences;
mod text;

pub use abi::{smartrag_native_abi_version, smartrag_native_plugin};
