//! The calls to the server.

use std::cell::{Cell, RefCell};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use smartrag_sdk::http::Response;
use smartrag_sdk::{Error, ErrorKind, Result};
use smartrag_servers::{Endpoint, Timeouts};

/// Waits for calls that no model works for.
const QUICK: Timeouts = Timeouts { first_byte: 5_000, idle: 5_000 };
/// How llama.cpp's server signs its list of models.
const LLAMA_CPP: &str = "llamacpp";
/// Texts that are counted by the server; each is a request.
const COUNTED_MAX: usize = 64;
/// Bytes that make a token, where nobody counts: few enough for German.
const BYTES_A_TOKEN: usize = 3;

/// A model that the server has.
#[derive(Clone, Debug)]
pub struct Model {
    pub id: String,
    /// Tokens of prompt and answer together.
    pub window: Option<u32>,
}

/// A server and what is known of it.
pub struct Server {
    endpoint: Endpoint,
    is_llama_cpp: Cell<bool>,
    first_model: RefCell<Option<String>>,
}

#[derive(Deserialize)]
struct Listed {
    data: Vec<ListedModel>,
}

#[derive(Deserialize)]
struct ListedModel {
    id: String,
    owned_by: Option<String>,
    /// vLLM
    max_model_len: Option<u32>,
    /// llama.cpp: what the model was trained for, an upper bound of what it was started with.
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    n_ctx_train: Option<u32>,
}

/// llama.cpp's `/props`.
#[derive(Deserialize)]
struct Properties {
    default_generation_settings: GenerationSettings,
}

#[derive(Deserialize)]
struct GenerationSettings {
    n_ctx: u32,
}

/// llama.cpp's `/tokenize`.
#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<Value>,
}

impl Server {
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, is_llama_cpp: Cell::new(false), first_model: RefCell::default() }
    }

    /// What it lists; nothing if it has no list.
    pub fn models(&self) -> Result<Vec<Model>> {
        let listed = match self.endpoint.get::<Listed>("/models", QUICK) {
            Err(error) if error.kind == ErrorKind::Upstream && error.message.contains("HTTP 404") => {
                return Ok(Vec::new());
            }
            listed => listed?.data,
        };
        self.is_llama_cpp.set(listed.iter().any(|model| model.owned_by.as_deref() == Some(LLAMA_CPP)));
        let model = |listed: ListedModel| {
            let trained = listed.meta.and_then(|meta| meta.n_ctx_train);
            Model { id: listed.id, window: listed.max_model_len.or(trained) }
        };
        let models: Vec<Model> = listed.into_iter().map(model).collect();
        *self.first_model.borrow_mut() = models.first().map(|model| model.id.clone());
        Ok(models)
    }

    /// The first model of the list, which is asked for once.
    pub fn first_model(&self) -> Option<String> {
        if self.first_model.borrow().is_none() {
            self.models().ok();
        }
        self.first_model.borrow().clone()
    }

    /// The window of one conversation, where the server tells.
    pub fn window(&self) -> Option<u32> {
        self.llama_cpp()?
            .get::<Properties>("/props", QUICK)
            .ok()
            .map(|props| props.default_generation_settings.n_ctx)
    }

    fn llama_cpp(&self) -> Option<Endpoint> {
        self.is_llama_cpp.get().then(|| self.endpoint.without("/v1"))
    }

    /// Begins a chat.
    pub fn chat(&self, mut body: Map<String, Value>, timeouts: Timeouts) -> Result<Response> {
        match self.endpoint.start("/chat/completions", &body, timeouts) {
            // Some servers know no such option; usage is not worth an answer.
            Err(error) if error.kind == ErrorKind::Upstream && error.message.contains("stream_options") => {
                body.remove("stream_options");
                self.endpoint.start("/chat/completions", &body, timeouts)
            }
            started => started,
        }
    }

    /// Tokens of each text: by the server's own tokenizer where it has a call for that, else a guess on the safe side.
    pub fn count_tokens(&self, texts: &[String]) -> Vec<u32> {
        let counted = |server: Endpoint| -> Result<Vec<u32>> {
            let count = |text: &String| {
                let tokens: Tokens = server.post("/tokenize", &json!({"content": text}), QUICK)?;
                u32::try_from(tokens.tokens.len()).map_err(|_| Error::upstream("too many tokens"))
            };
            texts.iter().map(count).collect()
        };
        let server = self.llama_cpp().filter(|_| texts.len() <= COUNTED_MAX);
        let guess = || texts.iter().map(|text| text.len().div_ceil(BYTES_A_TOKEN) as u32).collect();
        server.and_then(|server| counted(server).ok()).unwrap_or_else(guess)
    }
}
