//! The door: HTTP in, one call of a service, HTTP out.
//!
//! Invariants: nothing is decided here that a service should decide; every error leaves as a problem with a stable
//! code and a request id; blocking calls run off the async threads; nothing outside this module knows of axum.

mod access;
mod admin;
mod analytics;
mod backups;
mod blocking;
mod caller;
mod chats;
mod collections;
mod conversations;
mod cursor;
mod documents;
mod embed;
mod enrich;
mod envelope;
mod error;
mod error_map;
mod etag;
mod events;
mod extract;
mod guard;
mod health;
mod in_flight;
mod keys;
mod leftovers;
mod linger;
mod mcp;
mod metrics;
mod models;
mod ollama;
mod openai;
mod openapi;
mod plugins;
mod query;
mod refusals;
mod router;
mod sample;
mod search;
mod serve;
mod sessions;
mod socket;
mod stream;
mod users;

pub(crate) use admin::{optimized, reindexed};
pub(crate) use backups::record as backup_record;
pub(crate) use models::check as readiness;
pub use openapi::document as openapi;
pub(crate) use plugins::record as plugin_record;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use router::in_process;
pub use serve::{Doors, serve};
