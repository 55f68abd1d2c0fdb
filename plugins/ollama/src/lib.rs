//! Answers by models that Ollama runs, over its own API: that one takes the size of the window with each request, without
//! which Ollama cuts long prompts and says nothing.
//!
//! Written from Ollama's published description of `/api/chat`, `/api/tags` and `/api/show`.

mod chat;
mod stream;

use smartrag_sdk::generator::{Generator, ModelInfo, Request};
use smartrag_sdk::{Annotation, Descriptor, Result, describe};

use smartrag_servers::{Config, OllamaServer, guessed_tokens};
pub use stream::Answer;

/// Where it usually is.
const BASE_URL: &str = "http://127.0.0.1:11434";

/// Tokens of the window where nobody says more: Ollama takes memory for all of it.
const WINDOW: u32 = 8192;

/// The generator.
pub struct Ollama {
    config: Config,
    server: OllamaServer,
}

impl Ollama {
    fn model(&self, asked: Option<String>) -> Result<String> {
        if let Some(model) = asked.or_else(|| self.config.model.clone()) {
            return Ok(model);
        }
        let first = self.server.models()?.into_iter().next();
        first.map(|model| model.name).ok_or_else(OllamaServer::no_model)
    }

    /// As configured; else what the model can, up to a size that most machines have memory for.
    fn window(&self, model: &str) -> u32 {
        let usual = || self.server.window(model).unwrap_or(WINDOW).min(WINDOW);
        self.config.context_window.unwrap_or_else(usual)
    }
}

impl Generator for Ollama {
    type Generation = Answer;

    fn describe() -> Descriptor {
        describe!("ollama").config_schema(Config::schema("ollama", BASE_URL))
    }

    fn load() -> Result<Self> {
        let config: Config = smartrag_sdk::config()?;
        let server = OllamaServer::new(config.endpoint(BASE_URL)?);
        Ok(Self { config, server })
    }

    /// Asks the server, so that this also tells whether it is there and has the model.
    fn info(&self) -> Result<ModelInfo> {
        let models = self.server.models()?;
        let first = models.first().map(|model| model.name.clone());
        let model = self.model(first.filter(|_| self.config.model.is_none()))?;
        OllamaServer::known(&models, &model)?;
        let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        Ok(ModelInfo {
            context_window: Some(self.window(&model)),
            model,
            strong: self.config.strong,
            wants_sentences: false,
            properties: vec![Annotation::new("models", &names)],
        })
    }

    fn generate(&self, request: Request) -> Result<Answer> {
        let model = self.model(request.model.clone())?;
        let body = chat::body(&request, &model, self.window(&model));
        Ok(Answer::new(self.server.endpoint().start("/api/chat", &body, self.config.timeouts())?))
    }

    fn count_tokens(&self, texts: &[String]) -> Result<Vec<u32>> {
        Ok(guessed_tokens(texts)) // Ollama counts for nobody.
    }
}

smartrag_sdk::export!(generator, Ollama);

#[cfg(test)]
mod tests;
