use std::cell::{Cell, RefCell};

use serde::Deserialize;
use serde_json::{Value, json};
use smartrag_sdk::{Error, ErrorKind, Result};

use crate::{Endpoint, QUICK, guessed_tokens};

/// How llama.cpp's server signs its list of models.
const LLAMA_CPP: &str = "llamacpp";
/// Texts that are counted by the server; each is a request.
const COUNTED_MAX: usize = 64;

/// A model that a server has.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// Tokens of prompt and answer together, or of one text.
    pub window: Option<u32>,
    /// Bytes of its weights, where the server tells: another size is another model.
    pub size: Option<u64>,
}

/// A server that speaks OpenAI's API, and what is known of it.
pub struct OpenAiServer {
    endpoint: Endpoint,
    is_llama_cpp: Cell<bool>,
    models: RefCell<Option<Vec<Model>>>,
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
    /// llama.cpp
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    /// What the model was trained for, an upper bound of what it was started with.
    n_ctx_train: Option<u32>,
    size: Option<u64>,
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

impl OpenAiServer {
    /// At an endpoint; nothing is asked yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, is_llama_cpp: Cell::new(false), models: RefCell::default() }
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it lists now; nothing if it has no list.
    ///
    /// # Errors
    /// Those of [`Endpoint::get`].
    pub fn models(&self) -> Result<Vec<Model>> {
        let listed = match self.endpoint.get::<Listed>("/models", QUICK) {
            Err(error) if error.kind == ErrorKind::Upstream && error.message.contains("HTTP 404") => {
                Vec::new()
            }
            listed => listed?.data,
        };
        self.is_llama_cpp.set(listed.iter().any(|model| model.owned_by.as_deref() == Some(LLAMA_CPP)));
        let model = |listed: ListedModel| {
            let (trained, size) = listed.meta.map_or((None, None), |meta| (meta.n_ctx_train, meta.size));
            Model { id: listed.id, window: listed.max_model_len.or(trained), size }
        };
        let models: Vec<Model> = listed.into_iter().map(model).collect();
        *self.models.borrow_mut() = Some(models.clone());
        Ok(models)
    }

    /// What it listed when it was first asked.
    ///
    /// # Errors
    /// As for [`Self::models`]; then the next call asks again.
    pub fn known_models(&self) -> Result<Vec<Model>> {
        let known = self.models.borrow().clone();
        known.map_or_else(|| self.models(), Ok)
    }

    /// Whether it is llama.cpp's own, as far as it was asked for its models.
    pub fn is_llama_cpp(&self) -> bool {
        self.is_llama_cpp.get()
    }

    /// The window of one conversation or text, where the server tells.
    pub fn window(&self) -> Option<u32> {
        self.llama_cpp()?
            .get::<Properties>("/props", QUICK)
            .ok()
            .map(|props| props.default_generation_settings.n_ctx)
    }

    fn llama_cpp(&self) -> Option<Endpoint> {
        self.is_llama_cpp.get().then(|| self.endpoint.without("/v1"))
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
        server.and_then(|server| counted(server).ok()).unwrap_or_else(|| guessed_tokens(texts))
    }
}
