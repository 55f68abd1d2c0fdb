//! The bodies of the HTTP API as types, shared by the door and by the client.
//!
//! Invariants: imports `types` only; ids are strings, times are RFC 3339 UTC; requests refuse unknown fields,
//! answers tolerate them; pages are counted from 1 as readers do, and `null` where a format has none.

mod admin;
mod analytics;
mod answer;
mod backup;
mod collection;
mod conversation;
mod document;
mod enrich;
mod event;
mod filter;
mod filter_schema;
mod health;
mod list;
mod model;
mod notification;
mod ollama;
mod openai;
mod plugin;
mod problem;
mod search;
mod session;
pub mod texts;
mod user;

pub use admin::*;
pub use analytics::*;
pub use answer::*;
pub use backup::*;
pub use collection::*;
pub use conversation::*;
pub use document::*;
pub use enrich::*;
pub use event::*;
pub use filter::*;
pub use health::*;
pub use list::*;
pub use model::*;
pub use notification::*;
pub use ollama::*;
pub use openai::*;
pub use plugin::*;
pub use problem::*;
pub use search::*;
pub use session::*;
pub use user::*;

use serde::{Deserialize, Deserializer};

use crate::types::TimestampMs;

/// A moment as the API writes it. Schemas know it by this name.
pub use jiff::Timestamp;

/// Milliseconds since the epoch as a moment; what no calendar can hold becomes the epoch.
pub fn time(ms: TimestampMs) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A field that is there, be it `null`: one that is left out has the default, `None`.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}
