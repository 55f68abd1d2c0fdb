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
    check_count(body.input.as_slice().len())?;
    check_model(&app, body.model.as_deref())?;
    let (vectors, model, dimension) = blocking(move || {
        let texts: Vec<&str> = body.input.as_slice().iter().map(String::as_str).collect();
        app.answers.embed(&texts)
    })
    .await?;
    let embeddings = vectors.chunks_exact(dimension.max(1)).map(<[f32]>::to_vec).collect();
    Ok(Answer(wire::EmbedAnswer { embeddings, model, dimension }))
}

/// So many texts at once, and no more.
pub(super) fn check_count(count: usize) -> Result<()> {
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
