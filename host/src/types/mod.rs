//! The words of the product as plain data: no serialisation, no I/O, no dependency on any other module.

mod answer;
mod document;
mod filter;
mod ids;
mod plugin;
mod search;
mod usage;
mod user;

pub use answer::*;
pub use document::*;
pub use filter::*;
pub use ids::*;
pub use plugin::*;
pub use search::*;
pub use usage::*;
pub use user::*;

/// Milliseconds since the Unix epoch, UTC. Passed in as a value wherever time matters.
pub type TimestampMs = i64;

/// A JSON object.
pub type JsonMap = serde_json::Map<String, serde_json::Value>;
