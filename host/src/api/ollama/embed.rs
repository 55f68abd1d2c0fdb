//! `/api/embed`, `/api/embeddings`

use std::sync::Arc;
use std::time::Instant;

use axum::Json as Answer;
use axum::extract::State;

use super::chat::nanoseconds;
use crate::api::embed::{counted, embedded};
use crate::api::error::Result;
use crate::api::extract::LooseJson;
use crate::app::App;
use crate::wire::{OllamaEmbedBody, OllamaEmbedded, OllamaEmbedding, OllamaEmbeddingsBody};

/// Make vectors in Ollama's form
///
/// By the embedder of the configuration.
#[utoipa::path(post, path = "/api/embed", tag = "ollama", operation_id = "ollama_embed", request_body = OllamaEmbedBody,
    responses((status = 200, description = "A vector for each text, in order", body = OllamaEmbedded)))]
pub(in crate::api) async fn embed(
    State(app): State<Arc<App>>,
    LooseJson(body): LooseJson<OllamaEmbedBody>,
) -> Result<Answer<OllamaEmbedded>> {
    let began = Instant::now();
    let texts = body.input.into_vec().into();
    let made = embedded(&app, &texts, body.dimensions).await?;
    let prompt_eval_count = counted(&app, texts).await?;
    Ok(Answer(OllamaEmbedded {
        model: made.model,
        embeddings: made.vectors,
        total_duration: nanoseconds(began.elapsed()),
        load_duration: 0,
        prompt_eval_count,
    }))
}

/// Make a vector in Ollama's older form
#[utoipa::path(post, path = "/api/embeddings", tag = "ollama", operation_id = "ollama_embeddings",
    request_body = OllamaEmbeddingsBody,
    responses((status = 200, description = "The vector", body = OllamaEmbedding)))]
pub(in crate::api) async fn embedding(
    State(app): State<Arc<App>>,
    LooseJson(body): LooseJson<OllamaEmbeddingsBody>,
) -> Result<Answer<OllamaEmbedding>> {
    let made = embedded(&app, &[body.prompt].into(), None).await?;
    Ok(Answer(OllamaEmbedding { embedding: made.vectors.into_iter().next().unwrap_or_default() }))
}
