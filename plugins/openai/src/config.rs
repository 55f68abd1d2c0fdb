use serde::Deserialize;
use smartrag_sdk::Result;
use smartrag_servers::{Endpoint, Timeouts};

/// What an operator may set at the backend.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Up to and with `/v1`.
    pub base_url: String,
    /// `None`: the first that the server lists.
    pub model: Option<String>,
    /// The secret of the grant that is the key.
    pub api_key_secret: Option<String>,
    /// Tokens of prompt and answer together; `None`: as the server says.
    pub context_window: Option<u32>,
    /// Whether the model may rewrite follow-up questions.
    pub strong: bool,
    /// Seconds until the first token.
    pub first_token_s: u32,
    /// Seconds between two tokens.
    pub idle_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:8080/v1".into(),
            model: None,
            api_key_secret: None,
            context_window: None,
            strong: false,
            first_token_s: 110,
            idle_s: 60,
        }
    }
}

pub const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "base_url": {"type": "string", "default": "http://127.0.0.1:8080/v1",
      "description": "Where the server is, up to and with /v1"},
    "model": {"type": "string", "description": "The model to ask; without it the first that the server lists"},
    "api_key_secret": {"type": "string",
      "description": "Name of the secret in plugins.grants.openai.secrets that is the key"},
    "context_window": {"type": "integer", "minimum": 256,
      "description": "Tokens of prompt and answer together, where the server does not say"},
    "strong": {"type": "boolean", "default": false,
      "description": "Whether the model can be trusted to rewrite follow-up questions"},
    "first_token_s": {"type": "integer", "minimum": 1, "maximum": 900, "default": 110,
      "description": "Seconds until the first token, in which the model reads the prompt"},
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
