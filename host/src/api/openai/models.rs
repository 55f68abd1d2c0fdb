//! `/v1/models`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use super::unknown_model;
use crate::api::blocking::blocking;
use crate::api::caller::{Unknown, resolve};
use crate::api::error::{ApiError, Result};
use crate::app::App;
use crate::types::{CollectionName, Role, UserId};
use crate::wire::{OpenAiList, OpenAiModel};

/// The model that answers from the default collection; other collections follow behind a slash.
const OURS: &str = "smartrag";

/// What a name stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Chosen {
    /// The documents of a collection, answered by the default backend.
    Collection(CollectionName),
    /// A backend and its model, without documents.
    Bare(String, String),
}

/// What a name stands for, among what there is. Blocks.
pub(super) fn choose(app: &App, user: &UserId, name: &str) -> Result<Chosen> {
    // `smartrag:latest` is what some clients make of it.
    let name = name.strip_suffix(":latest").unwrap_or(name);
    let collection = match name.split_once('/') {
        None if name == OURS => return Ok(Chosen::Collection(CollectionName::default())),
        Some((OURS, collection)) => collection,
        Some((backend, model)) => {
            let known = app
                .answers
                .models()
                .iter()
                .any(|known| known.role == Role::Generator && known.name == backend);
            return if known {
                Ok(Chosen::Bare(backend.into(), model.into()))
            } else {
                Err(unknown_model(name))
            };
        }
        None => return Err(unknown_model(name)),
    };
    let wanted = CollectionName::new(collection).map_err(|_| unknown_model(name))?;
    let known = app.store.collections(Some(user))?.into_iter().any(|known| known.key.name == wanted);
    if known || wanted == CollectionName::default() {
        Ok(Chosen::Collection(wanted))
    } else {
        Err(unknown_model(name))
    }
}

/// List models in OpenAI's form
///
/// The caller's collections, and what the backends have.
#[utoipa::path(get, path = "/v1/models", tag = "openai", operation_id = "openai_models",
    responses((status = 200, description = "All of them", body = OpenAiList<OpenAiModel>)))]
pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Answer<OpenAiList<OpenAiModel>>> {
    let user = resolve(&app, &headers, None, Unknown::Refuse).await?.user().clone();
    let data = blocking(move || all(&app, &user)).await?;
    Ok(Answer(OpenAiList { object: "list".into(), data }))
}

/// Show a model in OpenAI's form
#[utoipa::path(get, path = "/v1/models/{*id}", tag = "openai", operation_id = "openai_model",
    params(("id" = String, Path, description = "Its name")),
    responses((status = 200, description = "It", body = OpenAiModel)))]
pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer<OpenAiModel>> {
    let user = resolve(&app, &headers, None, Unknown::Refuse).await?.user().clone();
    let models = blocking(move || all(&app, &user)).await?;
    models.into_iter().find(|model| model.id == id).map(Answer).ok_or_else(|| unknown_model(&id))
}

fn all(app: &App, user: &UserId) -> Result<Vec<OpenAiModel>> {
    let model = |id: String, owner: &str| OpenAiModel {
        id,
        object: "model".into(),
        created: 0,
        owned_by: owner.to_owned(),
    };
    let mut models = vec![model(OURS.into(), OURS)];
    let collections = app.store.collections(Some(user)).map_err(ApiError::from)?;
    let others = collections.into_iter().map(|collection| collection.key.name);
    let others = others.filter(|name| *name != CollectionName::default());
    models.extend(others.map(|name| model(format!("{OURS}/{name}"), OURS)));
    for backend in app.answers.models().into_iter().filter(|backend| backend.role == Role::Generator) {
        models.extend(
            backend.models.iter().map(|name| model(format!("{}/{name}", backend.name), &backend.name)),
        );
    }
    Ok(models)
}
