use serde::Deserialize;
use smartrag_sdk::Result;

use crate::{Endpoint, Timeouts};

/// What an operator may set where a plugin speaks to a model server.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `None`: where such a server usually is.
    pub base_url: Option<String>,
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
            base_url: None,
            model: None,
            api_key_secret: None,
            context_window: None,
            strong: false,
            first_token_s: 110,
            idle_s: 60,
        }
    }
}

/// Properties of the schema of every plugin with a server; `model` says which one it asks where none is named.
pub(crate) fn server_properties(plugin: &str, base_url: &str, model: &str) -> String {
    format!(
        r#""base_url": {{"type": "string", "default": "{base_url}", "description": "Where the server is, in this form"}},
    "model": {{"type": "string", "description": "The model to ask; without it {model} that the server lists"}},
    "api_key_secret": {{"type": "string",
      "description": "Name of the secret in plugins.grants.{plugin}.secrets that is the key, where one is wanted"}}"#
    )
}

impl Config {
    /// The JSON Schema of the settings of a plugin, with the place where its server usually is.
    pub fn schema(plugin: &str, base_url: &str) -> String {
        format!(
            r#"{{
  "type": "object",
  "additionalProperties": false,
  "properties": {{
    {},
    "context_window": {{"type": "integer", "minimum": 256,
      "description": "Tokens of prompt and answer together; without it as the server says"}},
    "strong": {{"type": "boolean", "default": false,
      "description": "Whether the model can be trusted to rewrite follow-up questions"}},
    "first_token_s": {{"type": "integer", "minimum": 1, "maximum": 900, "default": 110,
      "description": "Seconds until the first token, in which the model is loaded and reads the prompt"}},
    "idle_s": {{"type": "integer", "minimum": 1, "maximum": 900, "default": 60,
      "description": "Seconds between two tokens at most"}}
  }}
}}"#,
            server_properties(plugin, base_url, "the first")
        )
    }

    /// The server, which is usually at `base_url`.
    ///
    /// # Errors
    /// Those of [`Endpoint::new`].
    pub fn endpoint(&self, base_url: &str) -> Result<Endpoint> {
        Endpoint::new(self.base_url.as_deref().unwrap_or(base_url), self.api_key_secret.as_deref())
    }

    /// Waits for an answer.
    pub fn timeouts(&self) -> Timeouts {
        Timeouts { first_byte: self.first_token_s * 1000, idle: self.idle_s * 1000 }
    }
}
