//! `/v1/embeddings`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::api::embed::{counted, embedded};
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
    let texts = texts.into();
    let made = embedded(&app, &texts, body.dimensions).await?;
    let tokens = counted(&app, texts).await?;
    let vector = |(index, vector): (usize, Vec<f32>)| {
        let embedding = match base64 {
            true => EmbeddingValue::Base64(encoded(&vector)),
            false => EmbeddingValue::Floats(vector),
        };
        Embedding { object: "embedding".into(), index, embedding }
    };
    let data = made.vectors.into_iter().enumerate().map(vector).collect();
    let usage = EmbeddingsUsage { prompt_tokens: tokens, total_tokens: tokens };
    Ok(Answer(EmbeddingsAnswer { object: "list".into(), data, model: made.model, usage }))
}

fn tokens_instead_of_text() -> ApiError {
    let detail = "token ids of another model's tokenizer can't be embedded: send texts; in LangChain set \
                  check_embedding_ctx_length=False";
    ApiError { status: StatusCode::BAD_REQUEST, ..ApiError::invalid("/input", detail) }
}

fn encoded(vector: &[f32]) -> String {
    STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_of_little_endian_numbers() {
        assert_eq!(encoded(&[1.0, -2.0]), "AACAPwAAAMA=");
    }
}
