use serde::Deserialize;
use smartrag_sdk::Result;
use smartrag_servers::{Endpoint, Timeouts};

/// Tokens of the window where nobody says more: Ollama takes memory for all of it.
pub(crate) const WINDOW: u32 = 8192;

/// What an operator may set at the backend.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Without a path.
    pub base_url: String,
    /// `None`: the first that Ollama lists.
    pub model: Option<String>,
    /// The secret of the grant that is the key, for an Ollama behind a gate.
    pub api_key_secret: Option<String>,
    /// Tokens of prompt and answer together.
    pub context_window: Option<u32>,
    /// Whether the model may rewrite follow-up questions.
    pub strong: bool,
    /// Seconds until the first token; a model may have to be loaded first.
    pub first_token_s: u32,
    /// Seconds between two tokens.
    pub idle_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:11434".into(),
            model: None,
            api_key_secret: None,
            context_window: None,
            strong: false,
            first_token_s: 110,
            idle_s: 60,
        }
    }
}

pub(crate) const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "base_url": {"type": "string", "default": "http://127.0.0.1:11434", "description": "Where Ollama is"},
    "model": {"type": "string", "description": "The model to ask; without it the first that Ollama lists"},
    "api_key_secret": {"type": "string",
      "description": "Name of the secret in plugins.grants.ollama.secrets that is the key, where one is wanted"},
    "context_window": {"type": "integer", "minimum": 256,
      "description": "Tokens of prompt and answer together; without it what the model can, up to 8192"},
    "strong": {"type": "boolean", "default": false,
      "description": "Whether the model can be trusted to rewrite follow-up questions"},
    "first_token_s": {"type": "integer", "minimum": 1, "maximum": 900, "default": 110,
      "description": "Seconds until the first token, in which the model is loaded and reads the prompt"},
    "idle_s": {"type": "integer", "minimum": 1, "maximum": 900, "default": 60,
      "description": "Seconds between two tokens at most"}
  }
}"#;

impl Config {
    pub(crate) fn endpoint(&self) -> Result<Endpoint> {
        Endpoint::new(&self.base_url, self.api_key_secret.as_deref())
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts { first_byte: self.first_token_s * 1000, idle: self.idle_s * 1000 }
    }
}
