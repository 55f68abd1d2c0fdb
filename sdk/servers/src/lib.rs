//! What plugins share that speak to model servers: where the server is, what it has, what its failures mean, which part
//! of an answer is reasoning, and which vectors can be.

mod config;
mod endpoint;
mod failure;
mod ollama;
mod openai;
mod reasoning;
mod vectors;
mod words;

pub use config::Config;
pub use endpoint::{Endpoint, Timeouts};
pub use failure::{failure, not_json};
pub use ollama::{OllamaModel, OllamaServer};
pub use openai::{Model, OpenAiServer};
pub use reasoning::Reasoning;
pub use vectors::{EmbedConfig, Row, Rows, TEXT_WINDOW, Vectors};
pub use words::{guessed_tokens, number, role};

/// Waits for calls that no model works for.
const QUICK: Timeouts = Timeouts { first_byte: 5_000, idle: 5_000 };
