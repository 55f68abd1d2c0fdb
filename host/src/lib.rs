//! SmartRAG: an offline knowledge engine. Documents go in, cited answers come out.
//!
//! `ARCHITECTURE.md` in the repository is the map. Imports run one way:
//! `types ← {wire, config, telemetry} ← {store, search, plugins} ← {ingest, answer, backup} ← app ← api ← cli`.

pub mod answer;
pub mod api;
pub mod app;
pub mod backup;
pub mod cli;
pub mod client;
pub mod config;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
#[path = "../../tests/fuzz/harness/mod.rs"]
pub mod fuzz;
pub mod ingest;
pub mod mcp;
pub mod plugins;
pub mod search;
pub mod store;
pub mod telemetry;
pub mod text;
pub mod types;
pub mod wire;
