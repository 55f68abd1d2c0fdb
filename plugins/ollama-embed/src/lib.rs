//! Vectors of models that Ollama runs.
//!
//! Written from Ollama's published description of `/api/embed`, `/api/tags` and `/api/show`.

use std::cell::OnceCell;

use serde::Deserialize;
use serde_json::{Value, json};
use smartrag_sdk::embedder::{Embedder, Embeddings, ModelInfo, Purpose};
use smartrag_sdk::{Descriptor, Result, describe};
use smartrag_servers::{
    EmbedConfig, OllamaModel, OllamaServer, Row, Rows, TEXT_WINDOW, Timeouts, Vectors, guessed_tokens,
};

/// Where it usually is.
const BASE_URL: &str = "http://127.0.0.1:11434";
/// Tokens of the window where nobody says more, even if the model can: Ollama gives a model no more unless it is asked to.
const WINDOW_MAX: u32 = 2048;
/// Characters of a digest that tell models apart.
const DIGEST_SHOWN: usize = 12;

/// The embedder.
pub struct OllamaEmbed {
    vectors: Vectors,
    server: OllamaServer,
    /// Chosen once, since a list changes with each model that is pulled.
    chosen: OnceCell<String>,
}

#[derive(Deserialize)]
struct Answer {
    embeddings: Option<Vec<Row>>,
    #[serde(default)]
    prompt_eval_count: u64,
    error: Option<Value>,
}

impl OllamaEmbed {
    /// The configured model; else the first that was made for embedding, else the first.
    fn model(&self) -> Result<String> {
        let configured = self.vectors.config().model.as_ref().or(self.chosen.get());
        configured.map_or_else(|| self.choose(&self.server.models()?), |model| Ok(model.clone()))
    }

    fn choose(&self, models: &[OllamaModel]) -> Result<String> {
        let first = models.iter().find(|model| model.embeds()).or(models.first());
        let name = first.map(|model| model.name.clone()).ok_or_else(OllamaServer::no_model)?;
        Ok(self.chosen.get_or_init(|| name).clone())
    }

    /// As configured; else what the model can, up to what Ollama gives it.
    fn window(&self, model: &str) -> u32 {
        let usual = || self.server.window(model).unwrap_or(TEXT_WINDOW).min(WINDOW_MAX);
        self.vectors.config().context_window.unwrap_or_else(usual)
    }

    fn ask(&self, model: &str, texts: &[String], timeouts: Timeouts) -> Result<Rows> {
        let config = self.vectors.config();
        let mut body = json!({"model": model, "input": texts, "truncate": true});
        if let Some(dimensions) = config.dimensions {
            body["dimensions"] = dimensions.into();
        }
        if let Some(window) = config.context_window {
            body["options"] = json!({"num_ctx": window});
        }
        let Answer { embeddings, prompt_eval_count, error } =
            self.server.endpoint().post("/api/embed", &body, timeouts)?;
        Rows::new(self.server.endpoint().base(), embeddings, error.as_ref(), prompt_eval_count)
    }
}

impl Embedder for OllamaEmbed {
    fn describe() -> Descriptor {
        describe!("ollama-embed").config_schema(EmbedConfig::schema("ollama-embed", BASE_URL))
    }

    fn load() -> Result<Self> {
        let config: EmbedConfig = smartrag_sdk::config()?;
        let server = OllamaServer::new(config.endpoint(BASE_URL)?);
        Ok(Self { vectors: Vectors::new(config), server, chosen: OnceCell::new() })
    }

    /// Asks the server, for one vector, too.
    fn info(&self) -> Result<ModelInfo> {
        let models = self.server.models()?;
        let model = match &self.vectors.config().model {
            Some(model) => model.clone(),
            None => self.choose(&models)?,
        };
        let known = OllamaServer::known(&models, &model)?;
        let digest = known.digest.get(..DIGEST_SHOWN).unwrap_or(&known.digest);
        let ask = |texts: &[String], timeouts| self.ask(&model, texts, timeouts);
        self.vectors.info("ollama-embed", &known.name, digest, self.window(&model), ask)
    }

    fn embed(&self, texts: &[String], purpose: Purpose) -> Result<Embeddings> {
        let ask = |texts: &[String], timeouts| self.ask(&self.model()?, texts, timeouts);
        self.vectors.embed(texts, purpose, ask)
    }

    fn count_tokens(&self, texts: &[String]) -> Result<Vec<u32>> {
        Ok(guessed_tokens(texts)) // Ollama counts for nobody.
    }
}

smartrag_sdk::export!(embedder, OllamaEmbed);

#[cfg(test)]
mod tests;
