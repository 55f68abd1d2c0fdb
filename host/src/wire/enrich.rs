use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{FilterBody, Source};
use crate::types::JsonMap;

/// One text or several, at most 2048.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Texts {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl PartialSchema for Texts {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let several =
            ArrayBuilder::new().items(text.clone()).min_items(Some(1)).max_items(Some(2048)).build();
        OneOfBuilder::new().item(text).item(several).description(Some("One text or several.")).into()
    }
}

impl ToSchema for Texts {}

impl Texts {
    /// All of them, in order.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Texts::One(text) => std::slice::from_ref(text),
            Texts::Many(texts) => texts,
        }
    }
}

/// Texts to embed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbedBody {
    /// A string or an array of strings, at most 2048.
    pub input: Texts,
    /// Only to be sure: it must be the model in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Their vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EmbedAnswer {
    /// One for each text, in order.
    pub embeddings: Vec<Vec<f32>>,
    /// The model.
    pub model: String,
    /// Length of each vector.
    pub dimension: usize,
}

/// Either `query` (with what belongs to it) for a prompt with sources, or `text` for annotations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrichBody {
    /// The question that the prompt shall answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The session on whose behalf; an unknown one is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Sources at most, 1 to 100; 5 where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Only what passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterBody>,
    /// Where to look: `default` where none is named, `*` for all of the caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// The text to annotate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The enrichers to run on it, by name; the default ones where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrichers: Option<Vec<String>>,
}

impl PartialSchema for EnrichBody {
    fn schema() -> RefOr<Schema> {
        let of = |name| Ref::from_schema_name(name);
        OneOfBuilder::new().item(of(EnrichQuery::name())).item(of(EnrichText::name())).into()
    }
}

impl ToSchema for EnrichBody {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((EnrichQuery::name().into(), EnrichQuery::schema()));
        schemas.push((EnrichText::name().into(), EnrichText::schema()));
        EnrichQuery::schemas(schemas);
        EnrichText::schemas(schemas);
    }
}

/// What [`EnrichBody`] has with `query`; for its schema alone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrichQuery {
    /// The question that the prompt shall answer.
    #[schema(value_type = super::texts::QueryText)]
    pub query: String,
    /// The session on whose behalf; an unknown one is created.
    #[schema(value_type = Option<super::texts::SessionId>)]
    pub session_id: Option<String>,
    /// Sources at most, 1 to 100; 5 where left out.
    #[schema(minimum = 1, maximum = 100)]
    pub top_k: Option<u32>,
    /// Only what passes.
    pub filter: Option<FilterBody>,
    /// Where to look: `default` where none is named, `*` for all of the caller's.
    #[schema(value_type = Option<super::texts::CollectionRef>)]
    pub collection: Option<String>,
}

/// What [`EnrichBody`] has with `text`; for its schema alone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrichText {
    /// The text to annotate.
    pub text: String,
    /// The session on whose behalf; an unknown one is created.
    #[schema(value_type = Option<super::texts::SessionId>)]
    pub session_id: Option<String>,
    /// The enrichers to run on it, by name; the default ones where left out.
    pub enrichers: Option<Vec<String>>,
}

/// A prompt for the client's own model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnhancedPrompt {
    /// The prompt.
    pub enhanced_prompt: String,
    /// What it rests on.
    pub sources: Vec<Source>,
    /// The fenced passages alone.
    pub context: String,
    /// Counts.
    pub metadata: EnhancedPromptMetadata,
}

/// Counts of an enhanced prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnhancedPromptMetadata {
    /// Sources in it.
    pub sources_count: usize,
    /// Tokens of the whole prompt.
    pub total_tokens: u32,
}

/// What the enrichers found in a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnnotatedText {
    /// `{plugin: {key: value}}`.
    #[schema(value_type = Object)]
    pub annotations: JsonMap,
}

/// The answer to `POST /enrich`, by what was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum EnrichAnswer {
    /// To `query`.
    Prompt(Box<EnhancedPrompt>),
    /// To `text`.
    Text(AnnotatedText),
}
