//! `/v1/embeddings`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::api::blocking::blocking;
use crate::api::embed::check_count;
use crate::api::error::{ApiError, Result};
use crate::api::extract::Json;
use crate::app::App;
use crate::wire::{
    Embedding, EmbeddingValue, EmbeddingsAnswer, EmbeddingsBody, EmbeddingsInput, EmbeddingsUsage,
};

/// Make vectors in OpenAI's form
///
/// By the embedder of the configuration. With fewer `dimensions` the first numbers of each vector, at length 1 again.
#[utoipa::path(post, path = "/v1/embeddings", tag = "openai", operation_id = "openai_embeddings",
    request_body = EmbeddingsBody,
    responses((status = 200, description = "A vector for each text, in order", body = EmbeddingsAnswer)))]
pub(in crate::api) async fn embed(
    State(app): State<Arc<App>>,
    Json(body): Json<EmbeddingsBody>,
) -> Result<Answer<EmbeddingsAnswer>> {
    let texts = match body.input {
        EmbeddingsInput::One(text) => vec![text],
        EmbeddingsInput::Many(texts) => texts,
        EmbeddingsInput::Tokens(_) | EmbeddingsInput::ManyTokens(_) => return Err(tokens_instead_of_text()),
    };
    check_count(texts.len())?;
    let base64 = match body.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            return Err(ApiError::invalid(
                "/encoding_format",
                format!("must be float or base64, not {other:?}"),
            ));
        }
    };
    let dimension = app.embedder.info().dimension;
    let wanted = body.dimensions.unwrap_or(dimension);
    if !(1..=dimension).contains(&wanted) {
        return Err(ApiError::invalid("/dimensions", format!("must be 1 to {dimension}")));
    }
    let (vectors, model, tokens) = blocking(move || {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (vectors, model, _) = app.answers.embed(&texts)?;
        let tokens: u32 = app.embedder.count_tokens(&texts)?.into_iter().sum();
        Ok::<_, crate::answer::Error>((vectors, model, tokens))
    })
    .await?;
    let vector = |(index, vector): (usize, &[f32])| {
        let embedding = shortened(vector, wanted);
        let embedding = if base64 {
            EmbeddingValue::Base64(encoded(&embedding))
        } else {
            EmbeddingValue::Floats(embedding)
        };
        Embedding { object: "embedding".into(), index, embedding }
    };
    let data = vectors.chunks_exact(dimension.max(1)).enumerate().map(vector).collect();
    let usage = EmbeddingsUsage { prompt_tokens: tokens, total_tokens: tokens };
    Ok(Answer(EmbeddingsAnswer { object: "list".into(), data, model, usage }))
}

fn tokens_instead_of_text() -> ApiError {
    let detail = "token ids of another model's tokenizer can't be embedded: send texts; in LangChain set \
                  check_embedding_ctx_length=False";
    ApiError { status: StatusCode::BAD_REQUEST, ..ApiError::invalid("/input", detail) }
}

fn shortened(vector: &[f32], dimension: usize) -> Vec<f32> {
    let part = &vector[..dimension];
    let length = part.iter().map(|value| value * value).sum::<f32>().sqrt();
    let scale = if dimension == vector.len() || length == 0.0 { 1.0 } else { 1.0 / length };
    part.iter().map(|value| value * scale).collect()
}

fn encoded(vector: &[f32]) -> String {
    STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_vectors_have_length_1_again() {
        assert_eq!(shortened(&[0.6, 0.0, 0.8], 3), [0.6, 0.0, 0.8]);
        assert_eq!(shortened(&[0.6, 0.0, 0.8], 2), [1.0, 0.0]);
        assert_eq!(shortened(&[0.0, 0.0, 1.0], 2), [0.0, 0.0]);
        assert_eq!(encoded(&[1.0, -2.0]), "AACAPwAAAMA=");
    }
}
