//! The calls to the server.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use smartrag_sdk::Result;
use smartrag_sdk::http::Response;
use smartrag_servers::{Endpoint, Timeouts};

/// Waits for calls that no model works for.
const QUICK: Timeouts = Timeouts { first_byte: 5_000, idle: 5_000 };

/// A server.
pub struct Server(Endpoint);

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    model_info: Map<String, Value>,
}

impl Server {
    pub fn new(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }

    /// Names of the models that are there.
    pub fn models(&self) -> Result<Vec<String>> {
        let tags: Tags = self.0.get("/api/tags", QUICK)?;
        Ok(tags.models.into_iter().map(|tag| tag.name).collect())
    }

    /// Tokens that a model can take, where Ollama tells; the key begins with the name of the architecture.
    pub fn window(&self, model: &str) -> Option<u32> {
        let shown: Shown = self.0.post("/api/show", &json!({"model": model}), QUICK).ok()?;
        let length = shown.model_info.iter().find(|(key, _)| key.ends_with(".context_length"))?.1;
        u32::try_from(length.as_u64()?).ok()
    }

    /// Begins a chat.
    pub fn chat(&self, body: &Value, timeouts: Timeouts) -> Result<Response> {
        self.0.start("/api/chat", body, timeouts)
    }
}

/// Whether a listed name is the one meant: without a tag `latest` is.
pub fn is_same(listed: &str, meant: &str) -> bool {
    listed == meant || listed.strip_suffix(":latest") == Some(meant)
}
