//! `/v1/models`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use crate::api::access::Principal;
use crate::api::chats::{self, Model};
use crate::api::error::Result;
use crate::api::extract::NamePath;
use crate::app::App;
use crate::wire::{OpenAiList, OpenAiModel};

/// List models in OpenAI's form
///
/// The caller's collections, and what the backends have.
#[utoipa::path(get, path = "/v1/models", tag = "openai", operation_id = "openai_models",
    responses((status = 200, description = "All of them", body = OpenAiList<OpenAiModel>)))]
pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    principal: Principal,
) -> Result<Answer<OpenAiList<OpenAiModel>>> {
    let models = chats::models(&app, &principal).await?;
    Ok(Answer(OpenAiList { object: "list".into(), data: models.into_iter().map(shown).collect() }))
}

/// Show a model in OpenAI's form
#[utoipa::path(get, path = "/v1/models/{*id}", tag = "openai", operation_id = "openai_model",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 200, description = "It", body = OpenAiModel)))]
pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(id): NamePath,
) -> Result<Answer<OpenAiModel>> {
    chats::model(&app, &principal, &id).await.map(shown).map(Answer)
}

fn shown(model: Model) -> OpenAiModel {
    OpenAiModel { id: model.id, object: "model".into(), created: 0, owned_by: model.owner }
}
