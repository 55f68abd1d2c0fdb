use serde::Deserialize;
use serde_json::{Map, Value, json};
use smartrag_sdk::{Error, Result};

use crate::{Endpoint, QUICK};

/// Ollama.
pub struct OllamaServer(Endpoint);

/// A model that it has.
#[derive(Clone, Debug, Deserialize)]
pub struct OllamaModel {
    /// With its tag, such as `llama3.2:latest`.
    pub name: String,
    /// Of all that the model consists of.
    #[serde(default)]
    pub digest: String,
    #[serde(default)]
    details: Details,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Details {
    #[serde(default)]
    family: String,
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<OllamaModel>,
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    model_info: Map<String, Value>,
}

impl OllamaServer {
    /// At an endpoint; nothing is asked yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0
    }

    /// The models that are there.
    ///
    /// # Errors
    /// Those of [`Endpoint::get`].
    pub fn models(&self) -> Result<Vec<OllamaModel>> {
        let tags: Tags = self.0.get("/api/tags", QUICK)?;
        Ok(tags.models)
    }

    /// There is none.
    pub fn no_model() -> Error {
        Error::unavailable("Ollama has no model yet: run `ollama pull`, or name one with model")
    }

    /// The one of these models that is meant.
    ///
    /// # Errors
    /// `unknown_model` if it is not among them.
    pub fn known<'a>(models: &'a [OllamaModel], meant: &str) -> Result<&'a OllamaModel> {
        models.iter().find(|known| known.is(meant)).ok_or_else(|| {
            let message = format!("Ollama does not have the model {meant:?}: run `ollama pull {meant}`");
            Error::other("unknown_model", message)
        })
    }

    /// Tokens that a model can take, where Ollama tells; the key begins with the name of the architecture.
    pub fn window(&self, model: &str) -> Option<u32> {
        let shown: Shown = self.0.post("/api/show", &json!({"model": model}), QUICK).ok()?;
        let length = shown.model_info.iter().find(|(key, _)| key.ends_with(".context_length"))?.1;
        u32::try_from(length.as_u64()?).ok()
    }
}

impl OllamaModel {
    /// Whether it is the one meant: without a tag `latest` is.
    pub fn is(&self, meant: &str) -> bool {
        self.name == meant || self.name.strip_suffix(":latest") == Some(meant)
    }

    /// Whether it was made for vectors, as far as can be seen from outside.
    pub fn embeds(&self) -> bool {
        self.details.family.contains("bert") || self.name.contains("embed")
    }
}
