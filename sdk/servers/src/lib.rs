//! What plugins share that speak to model servers: where the server is, what its failures mean, and which part of an
//! answer is reasoning.

mod config;
mod endpoint;
mod failure;
mod reasoning;
mod words;

pub use config::Config;
pub use endpoint::{Endpoint, Timeouts};
pub use failure::{failure, not_json};
pub use reasoning::Reasoning;
pub use words::{number, role};
