//! What Ollama's clients send and expect. Fields that we do not know are ignored, as these clients send many.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OneOrMany, Source};
use crate::types::JsonMap;

/// A chat.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct OllamaChatBody {
    /// `smartrag`, `smartrag/COLLECTION`, or `BACKEND/MODEL` for a model without documents.
    pub model: String,
    /// What was said; the last one is the question. None at all asks whether the model is there.
    #[serde(default)]
    pub messages: Vec<OllamaMessage>,
    /// Whether the answer comes in pieces; it does if left out.
    #[serde(default)]
    pub stream: Option<bool>,
    /// How to generate.
    #[serde(default)]
    pub options: OllamaOptions,
}

/// One question.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct OllamaGenerateBody {
    /// As for chats.
    pub model: String,
    /// The question; an empty one asks whether the model is there.
    #[serde(default)]
    pub prompt: String,
    /// What the model is told before.
    #[serde(default)]
    pub system: Option<String>,
    /// Whether the answer comes in pieces; it does if left out.
    #[serde(default)]
    pub stream: Option<bool>,
    /// How to generate.
    #[serde(default)]
    pub options: OllamaOptions,
    /// Can't be read here.
    #[serde(default)]
    #[schema(max_items = 0)]
    pub images: Option<Vec<String>>,
}

/// How to generate; the size of the window is the backend's own.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct OllamaOptions {
    /// 0 to 2.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f32>,
    /// Above 0 to 1.
    #[serde(default)]
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub top_p: Option<f32>,
    /// Tokens of the answer at most; as many as the backend likes if negative.
    #[serde(default)]
    pub num_predict: Option<i64>,
    /// For repeatable answers.
    #[serde(default)]
    pub seed: Option<i64>,
    /// Texts that end the answer.
    #[serde(default)]
    pub stop: Option<OneOrMany>,
}

/// A message of a chat.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OllamaMessage {
    /// `system`, `user` or `assistant`; others are passed over.
    pub role: String,
    /// What it says.
    #[serde(default)]
    pub content: String,
    /// Can't be read here.
    #[serde(default, skip_serializing)]
    #[schema(max_items = 0)]
    pub images: Option<Vec<String>>,
}

/// An answer or a piece of one.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OllamaAnswer {
    /// As it was asked for.
    pub model: String,
    /// RFC 3339.
    pub created_at: String,
    /// In chats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<OllamaMessage>,
    /// Of a single question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// Whether it is the last one.
    pub done: bool,
    /// What comes with the last one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = OllamaEnd)]
    pub end: Option<OllamaEnd>,
}

/// What comes with the last piece of an answer. Times in nanoseconds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OllamaEnd {
    /// `stop`, `length` or `load`.
    #[schema(required = false)]
    pub done_reason: String,
    /// From the question to the last word.
    #[schema(required = false)]
    pub total_duration: u64,
    /// 0.
    #[schema(required = false)]
    pub load_duration: u64,
    /// Tokens of the prompt.
    #[schema(required = false)]
    pub prompt_eval_count: u32,
    /// Until the first word.
    #[schema(required = false)]
    pub prompt_eval_duration: u64,
    /// Tokens of the answer.
    #[schema(required = false)]
    pub eval_count: u32,
    /// From the first word to the last.
    #[schema(required = false)]
    pub eval_duration: u64,
    /// What the answer rests on; `[n]` in it is the nth.
    #[schema(required = false)]
    pub citations: Vec<Source>,
}

/// Models.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OllamaModels {
    /// All of them.
    pub models: Vec<OllamaModel>,
}

/// A model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OllamaModel {
    /// Its name.
    pub name: String,
    /// Its name.
    pub model: String,
    /// When the service began.
    pub modified_at: String,
    /// 0: it is no file here.
    pub size: u64,
    /// SHA-256 of the name, hex.
    pub digest: String,
    /// What it is.
    pub details: OllamaDetails,
}

/// What a model is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OllamaDetails {
    /// Empty.
    pub parent_model: String,
    /// `smartrag`.
    pub format: String,
    /// `smartrag`, or the backend.
    pub family: String,
    /// The same.
    pub families: Vec<String>,
    /// Empty.
    pub parameter_size: String,
    /// Empty.
    pub quantization_level: String,
}

/// Which model to show.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct OllamaShowBody {
    /// Its name.
    #[serde(alias = "name")]
    pub model: String,
}

/// A model and what it can.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OllamaShown {
    /// When the service began.
    pub modified_at: String,
    /// What it is.
    pub details: OllamaDetails,
    /// More of it.
    #[schema(value_type = Object)]
    pub model_info: JsonMap,
    /// `completion`.
    pub capabilities: Vec<String>,
    /// Empty.
    pub template: String,
    /// Empty.
    pub parameters: String,
}

/// Texts to make vectors of.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct OllamaEmbedBody {
    /// Whatever it is called, the embedder of the configuration answers.
    pub model: String,
    /// One text or several.
    #[schema(value_type = super::Texts)]
    pub input: OneOrMany,
    /// Fewer numbers than the model has.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub dimensions: Option<usize>,
}

/// Vectors.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OllamaEmbedded {
    /// The embedder's.
    pub model: String,
    /// In order.
    pub embeddings: Vec<Vec<f32>>,
    /// Nanoseconds.
    pub total_duration: u64,
    /// 0.
    pub load_duration: u64,
    /// Tokens.
    pub prompt_eval_count: u32,
}

/// The older way to ask for a vector.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct OllamaEmbeddingsBody {
    /// Whatever it is called, the embedder of the configuration answers.
    pub model: String,
    /// The text.
    pub prompt: String,
}

/// A vector.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OllamaEmbedding {
    /// It.
    pub embedding: Vec<f32>,
}

/// Which API is spoken.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OllamaVersion {
    /// Of Ollama's API, not of SmartRAG.
    pub version: String,
}

/// A failure as Ollama's clients read it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OllamaFailure {
    /// For people.
    pub error: String,
}
