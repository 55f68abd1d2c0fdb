//! Answers by a server that speaks OpenAI's chat API: llama.cpp, LM Studio, vLLM, LocalAI, a cloud.
//!
//! Written from OpenAI's published reference of `/chat/completions` and `/models`, and from what llama.cpp's server
//! answers.

mod chat;
mod server;
mod stream;

use smartrag_sdk::generator::{Generator, ModelInfo, Request};
use smartrag_sdk::{Annotation, Descriptor, Result, describe};

use smartrag_servers::{Config, OpenAiServer};
pub use stream::Answer;

/// Where it usually is.
const BASE_URL: &str = "http://127.0.0.1:8080/v1";

/// The generator.
pub struct OpenAi {
    config: Config,
    server: OpenAiServer,
}

impl OpenAi {
    /// The first model of the list, which is asked for once.
    fn first_model(&self) -> Option<String> {
        self.server.known_models().ok()?.into_iter().next().map(|model| model.id)
    }
}

impl Generator for OpenAi {
    type Generation = Answer;

    fn describe() -> Descriptor {
        describe!("openai").config_schema(Config::schema("openai", BASE_URL))
    }

    fn load() -> Result<Self> {
        let config: Config = smartrag_sdk::config()?;
        let server = OpenAiServer::new(config.endpoint(BASE_URL)?);
        Ok(Self { config, server })
    }

    /// Asks the server, so that this also tells whether it is there.
    fn info(&self) -> Result<ModelInfo> {
        let models = self.server.models()?;
        let wanted = self.config.model.as_deref();
        let model = models.iter().find(|model| Some(model.id.as_str()) == wanted).or(models.first());
        let context_window = self
            .config
            .context_window
            .or_else(|| self.server.window())
            .or_else(|| model.and_then(|model| model.window));
        let names: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
        Ok(ModelInfo {
            model: wanted.or(names.first().copied()).unwrap_or("default").to_owned(),
            context_window,
            strong: self.config.strong,
            wants_sentences: false,
            properties: vec![Annotation::new("models", &names)],
        })
    }

    fn generate(&self, request: Request) -> Result<Answer> {
        let model = request.model.clone().or_else(|| self.config.model.clone());
        let model = model.or_else(|| self.first_model());
        let body = chat::body(&request, model.as_deref());
        Ok(Answer::new(server::chat(self.server.endpoint(), body, self.config.timeouts())?))
    }

    fn count_tokens(&self, texts: &[String]) -> Result<Vec<u32>> {
        Ok(self.server.count_tokens(texts))
    }
}

smartrag_sdk::export!(generator, OpenAi);

#[cfg(test)]
mod tests;
