//! Vectors of a server that speaks OpenAI's API of embeddings: llama.cpp, LM Studio, vLLM, LocalAI, a cloud.
//!
//! Written from OpenAI's published reference of `/embeddings` and `/models`, and from what llama.cpp's server answers.

mod embeddings;

use smartrag_sdk::embedder::{Embedder, Embeddings, ModelInfo, Purpose};
use smartrag_sdk::{Descriptor, Result, describe};
use smartrag_servers::{EmbedConfig, Model, OpenAiServer, Rows, TEXT_WINDOW, Timeouts, Vectors};

/// Where it usually is.
const BASE_URL: &str = "http://127.0.0.1:8080/v1";
/// Of a server that has no list of its models and was not told which to use.
const UNNAMED: &str = "default";

/// The embedder.
pub struct OpenAiEmbed {
    vectors: Vectors,
    server: OpenAiServer,
}

impl OpenAiEmbed {
    /// The configured model; else the first of the list that is named as one for embeddings, else the first.
    fn model(&self) -> Result<Option<String>> {
        if let Some(model) = &self.vectors.config().model {
            return Ok(Some(model.clone()));
        }
        let models = self.server.known_models()?;
        let named = models.iter().find(|model| model.id.to_lowercase().contains("embed"));
        Ok(named.or(models.first()).map(|model| model.id.clone()))
    }

    /// Tokens that the model takes: as configured, as the server says, or what most models take. llama.cpp refuses a
    /// text that is longer than its physical batch, which it does not tell; `TEXT_WINDOW` is that of a server that was
    /// started without `--ubatch-size`.
    fn window(&self, model: Option<&Model>) -> u32 {
        if let Some(window) = self.vectors.config().context_window {
            return window;
        }
        let told = model.and_then(|model| model.window);
        if !self.server.is_llama_cpp() {
            return told.unwrap_or(TEXT_WINDOW);
        }
        told.into_iter().chain(self.server.window()).fold(TEXT_WINDOW, u32::min)
    }

    fn ask(&self, model: Option<&str>, texts: &[String], timeouts: Timeouts) -> Result<Rows> {
        let body = embeddings::body(model, texts, self.vectors.config().dimensions);
        let answer: embeddings::Answer = self.server.endpoint().post("/embeddings", &body, timeouts)?;
        answer.rows(self.server.endpoint().base())
    }
}

impl Embedder for OpenAiEmbed {
    fn describe() -> Descriptor {
        describe!("openai-embed").config_schema(EmbedConfig::schema("openai-embed", BASE_URL))
    }

    fn load() -> Result<Self> {
        let config: EmbedConfig = smartrag_sdk::config()?;
        let server = OpenAiServer::new(config.endpoint(BASE_URL)?);
        Ok(Self { vectors: Vectors::new(config), server })
    }

    /// Asks the server, for one vector, too.
    fn info(&self) -> Result<ModelInfo> {
        let models = self.server.models()?;
        let name = self.model()?;
        let listed = models.iter().find(|model| Some(&model.id) == name.as_ref());
        // llama.cpp has one model, whatever it is called.
        let model = listed.or(models.first().filter(|_| self.server.is_llama_cpp()));
        let revision = model.and_then(|model| model.size).map_or_else(String::new, |size| size.to_string());
        let ask = |texts: &[String], timeouts| self.ask(name.as_deref(), texts, timeouts);
        let shown = name.as_deref().unwrap_or(UNNAMED);
        self.vectors.info("openai-embed", shown, &revision, self.window(model), ask)
    }

    fn embed(&self, texts: &[String], purpose: Purpose) -> Result<Embeddings> {
        let ask = |texts: &[String], timeouts| self.ask(self.model()?.as_deref(), texts, timeouts);
        self.vectors.embed(texts, purpose, ask)
    }

    fn count_tokens(&self, texts: &[String]) -> Result<Vec<u32>> {
        // Whether the server counts stands in its list; where that can't be had, nobody counts.
        self.server.known_models().ok();
        Ok(self.server.count_tokens(texts))
    }
}

smartrag_sdk::export!(embedder, OpenAiEmbed);

#[cfg(test)]
mod tests;
