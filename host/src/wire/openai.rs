//! What OpenAI's clients send and expect. Fields that we do not know are ignored, as these clients send many.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Source, Usage};

/// A chat.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChatBody {
    /// `smartrag`, `smartrag/COLLECTION`, or `BACKEND/MODEL` for a model without documents.
    pub model: String,
    /// What was said; the last one is the question.
    #[schema(min_items = 1)]
    pub messages: Vec<ChatMessage>,
    /// As server-sent events.
    #[serde(default)]
    pub stream: Option<bool>,
    /// Of streams.
    #[serde(default)]
    pub stream_options: Option<StreamOptions>,
    /// 0 to 2.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f32>,
    /// Above 0 to 1.
    #[serde(default)]
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub top_p: Option<f32>,
    /// Tokens of the answer at most.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 4294967295_u32)]
    pub max_tokens: Option<u32>,
    /// The newer name of `max_tokens`.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 4294967295_u32)]
    pub max_completion_tokens: Option<u32>,
    /// For repeatable answers.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Texts that end the answer.
    #[serde(default)]
    pub stop: Option<OneOrMany>,
    /// Must be 1.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1)]
    pub n: Option<u32>,
}

/// A text or several.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// Of streams.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct StreamOptions {
    /// Whether a last chunk brings the tokens used.
    #[serde(default)]
    pub include_usage: bool,
}

/// A message of a chat.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChatMessage {
    /// `system`, `developer`, `user` or `assistant`; others are passed over.
    pub role: String,
    /// Text, or parts of which the texts count.
    #[serde(default)]
    pub content: Option<Content>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
pub struct Part {
    /// `text`; others are passed over.
    #[serde(default)]
    pub text: Option<String>,
}

impl Content {
    /// Its texts.
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => {
                parts.into_iter().filter_map(|part| part.text).collect::<Vec<_>>().join("\n")
            }
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatCompletion {
    /// Of this answer.
    pub id: String,
    /// `chat.completion`.
    pub object: String,
    /// Seconds since 1970.
    pub created: i64,
    /// As it was asked for.
    pub model: String,
    /// One.
    pub choices: Vec<ChatChoice>,
    /// Tokens.
    pub usage: Usage,
    /// What the answer rests on; `[n]` in it is the nth.
    pub citations: Vec<Source>,
}

/// The answer in a [`ChatCompletion`].
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatChoice {
    /// 0.
    pub index: u32,
    /// What was answered.
    pub message: ChatAnswer,
    /// `stop`, `length` or `content_filter`.
    pub finish_reason: String,
}

/// What was answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatAnswer {
    /// `assistant`.
    pub role: String,
    /// The answer.
    pub content: String,
}

/// A piece of a streamed answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatChunk {
    /// Of this answer.
    pub id: String,
    /// `chat.completion.chunk`.
    pub object: String,
    /// Seconds since 1970.
    pub created: i64,
    /// As it was asked for.
    pub model: String,
    /// One, or none beside the usage.
    pub choices: Vec<ChunkChoice>,
    /// Tokens, on the last chunk if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What the answer rests on, on the last chunk with content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citations: Option<Vec<Source>>,
}

/// The piece in a [`ChatChunk`].
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChunkChoice {
    /// 0.
    pub index: u32,
    /// What it adds.
    pub delta: Delta,
    /// On the last one.
    pub finish_reason: Option<String>,
}

/// What a chunk adds.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Delta {
    /// On the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// A list in OpenAI's form.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OpenAiList<T> {
    /// `list`.
    pub object: String,
    /// What it holds.
    pub data: Vec<T>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct OpenAiModel {
    /// Its name.
    pub id: String,
    /// `model`.
    pub object: String,
    /// Seconds since 1970.
    pub created: i64,
    /// `smartrag`, or the backend.
    pub owned_by: String,
}

/// Texts to make vectors of.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct EmbeddingsBody {
    /// Whatever it is called, the embedder of the configuration answers.
    #[serde(default)]
    pub model: Option<String>,
    /// One text or several.
    #[schema(value_type = super::Texts)]
    pub input: EmbeddingsInput,
    /// `float` or `base64`.
    #[serde(default)]
    #[schema(value_type = Option<super::texts::VectorEncoding>)]
    pub encoding_format: Option<String>,
    /// Fewer numbers than the model has.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub dimensions: Option<usize>,
}

/// One text or several; numbers are refused with a word on what to do.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum EmbeddingsInput {
    One(String),
    Many(Vec<String>),
    Tokens(Vec<u32>),
    ManyTokens(Vec<Vec<u32>>),
}

/// A vector.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Embedding {
    /// `embedding`.
    pub object: String,
    /// Place of its text.
    pub index: usize,
    /// Numbers, or base64 of little-endian 32-bit floats.
    pub embedding: EmbeddingValue,
}

/// A vector in one of its forms.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum EmbeddingValue {
    Floats(Vec<f32>),
    Base64(String),
}

/// Vectors.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EmbeddingsAnswer {
    /// `list`.
    pub object: String,
    /// In the order of the input.
    pub data: Vec<Embedding>,
    /// The embedder's model.
    pub model: String,
    /// Tokens of the input.
    pub usage: EmbeddingsUsage,
}

/// Tokens of the input.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[allow(missing_docs)]
pub struct EmbeddingsUsage {
    pub prompt_tokens: u32,
    pub total_tokens: u32,
}

/// Texts to put in order.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct RerankBody {
    /// Whatever it is called, the configured reranker answers, or the shipped one.
    #[serde(default)]
    pub model: Option<String>,
    /// What they should answer.
    #[schema(value_type = super::texts::SomeText)]
    pub query: String,
    /// The texts.
    #[schema(min_items = 1, max_items = 1000)]
    pub documents: Vec<RerankDocument>,
    /// Results at most.
    #[serde(default)]
    pub top_n: Option<usize>,
}

/// A text, bare or in an object.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum RerankDocument {
    Text(String),
    Object { text: String },
}

/// Texts in order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RerankAnswer {
    /// The reranker.
    pub model: String,
    /// Best first.
    pub results: Vec<RerankResult>,
}

/// How well a text answers.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct RerankResult {
    /// Place of the text among those that were sent.
    pub index: usize,
    /// 0 to 1.
    pub relevance_score: f32,
}

/// A failure as OpenAI's clients read it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OpenAiFailure {
    /// What went wrong.
    pub error: OpenAiError,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OpenAiError {
    /// For people.
    pub message: String,
    /// `invalid_request_error`, `authentication_error`, `rate_limit_error` or `server_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The field that is wrong.
    pub param: Option<String>,
    /// The stable code of our own API.
    pub code: String,
}
