//! `/embed`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use super::blocking::blocking;
use super::error::{ApiError, Result};
use super::extract::Json;
use crate::app::App;
use crate::wire;

const TEXTS_MAX: usize = 2048;

/// Make vectors of texts
#[utoipa::path(post, path = "/embed", tag = "models", operation_id = "embed", request_body = wire::EmbedBody,
    responses((status = 200, description = "A vector for each text, in order", body = wire::EmbedAnswer)))]
pub(super) async fn embed(
    State(app): State<Arc<App>>,
    Json(body): Json<wire::EmbedBody>,
) -> Result<Answer<wire::EmbedAnswer>> {
    check_model(&app, body.model.as_deref())?;
    let dimension = app.embedder.info().dimension;
    let Embedded { vectors, model } = embedded(&app, &body.input.as_slice().into(), None).await?;
    Ok(Answer(wire::EmbedAnswer { embeddings: vectors, model, dimension }))
}

/// Vectors of texts, in order.
pub(super) struct Embedded {
    pub vectors: Vec<Vec<f32>>,
    pub model: String,
}

/// With `dimensions` the first numbers of each vector, at length 1 again.
pub(super) async fn embedded(
    app: &Arc<App>,
    texts: &Arc<[String]>,
    dimensions: Option<usize>,
) -> Result<Embedded> {
    check_count(texts.len())?;
    let dimension = app.embedder.info().dimension;
    let wanted = dimensions.unwrap_or(dimension);
    if !(1..=dimension).contains(&wanted) {
        return Err(ApiError::invalid("/dimensions", format!("must be 1 to {dimension}")));
    }
    let (answers, texts) = (app.answers.clone(), Arc::clone(texts));
    blocking(move || {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (vectors, model, _) = answers.embed(&texts)?;
        let vectors =
            vectors.chunks_exact(dimension.max(1)).map(|vector| shortened(vector, wanted)).collect();
        Ok::<_, crate::answer::Error>(Embedded { vectors, model })
    })
    .await
}

/// Tokens of all texts together.
pub(super) async fn counted(app: &Arc<App>, texts: Arc<[String]>) -> Result<u32> {
    let embedder = app.embedder.clone();
    blocking(move || {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        embedder.count_tokens(&texts).map(|tokens| tokens.into_iter().sum())
    })
    .await
}

/// So many texts at once, and no more.
fn check_count(count: usize) -> Result<()> {
    match count {
        1..=TEXTS_MAX => Ok(()),
        _ => Err(ApiError::invalid("/input", format!("must be 1 to {TEXTS_MAX} texts, not {count}"))),
    }
}

/// There is one embedder: vectors of another model would be compared with ours.
fn check_model(app: &App, asked: Option<&str>) -> Result<()> {
    let (model, plugin) = (&app.embedder.info().model, &app.embedder.id().name);
    match asked {
        Some(asked) if asked != model && asked != plugin => {
            let detail = format!("the embedder in use is {model:?}, not {asked:?}: leave model out");
            Err(ApiError::invalid("/model", detail))
        }
        _ => Ok(()),
    }
}

fn shortened(vector: &[f32], dimension: usize) -> Vec<f32> {
    let part = &vector[..dimension];
    let length = part.iter().map(|value| value * value).sum::<f32>().sqrt();
    let scale = if dimension == vector.len() || length == 0.0 { 1.0 } else { 1.0 / length };
    part.iter().map(|value| value * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_vectors_have_length_1_again() {
        assert_eq!(shortened(&[0.6, 0.0, 0.8], 3), [0.6, 0.0, 0.8]);
        assert_eq!(shortened(&[0.6, 0.0, 0.8], 2), [1.0, 0.0]);
        assert_eq!(shortened(&[0.0, 0.0, 1.0], 2), [0.0, 0.0]);
    }
}
