//! `/api/tags`, `/api/ps`, `/api/show`, `/api/version`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use sha2::{Digest, Sha256};

use crate::api::access::Principal;
use crate::api::chats::{self, Model};
use crate::api::error::Result;
use crate::api::extract::LooseJson;
use crate::app::App;
use crate::types::JsonMap;
use crate::wire::{OllamaDetails, OllamaModel, OllamaModels, OllamaShowBody, OllamaShown, OllamaVersion};

/// The version of Ollama's API that is spoken here; clients look at it.
const VERSION: &str = "0.12.0";
const FORMAT: &str = "smartrag";

/// What Ollama says of itself.
pub(in crate::api) async fn greeting() -> &'static str {
    "Ollama is running"
}

/// Say which API is spoken
#[utoipa::path(get, path = "/api/version", tag = "ollama", operation_id = "ollama_version",
    responses((status = 200, description = "Of Ollama's API", body = OllamaVersion)))]
pub(in crate::api) async fn version() -> Answer<OllamaVersion> {
    Answer(OllamaVersion { version: VERSION.into() })
}

/// List models in Ollama's form
#[utoipa::path(get, path = "/api/tags", tag = "ollama", operation_id = "ollama_tags",
    responses((status = 200, description = "The caller's collections, and what the backends have", body = OllamaModels)))]
pub(in crate::api) async fn tags(
    State(app): State<Arc<App>>,
    principal: Principal,
) -> Result<Answer<OllamaModels>> {
    list(&app, &principal).await
}

/// List models that are there in Ollama's form
#[utoipa::path(get, path = "/api/ps", tag = "ollama", operation_id = "ollama_ps",
    responses((status = 200, description = "All of them: none has to be loaded", body = OllamaModels)))]
pub(in crate::api) async fn running(
    State(app): State<Arc<App>>,
    principal: Principal,
) -> Result<Answer<OllamaModels>> {
    list(&app, &principal).await
}

/// Show a model in Ollama's form
#[utoipa::path(post, path = "/api/show", tag = "ollama", operation_id = "ollama_show", request_body = OllamaShowBody,
    responses((status = 200, description = "It", body = OllamaShown),
        (status = 404, description = "`model_not_found`: there is no such model")))]
pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    principal: Principal,
    LooseJson(body): LooseJson<OllamaShowBody>,
) -> Result<Answer<OllamaShown>> {
    let model = chats::model(&app, &principal, &body.model).await?;
    let info = [
        ("general.architecture".to_owned(), FORMAT.into()),
        ("general.basename".to_owned(), model.id.clone().into()),
    ];
    Ok(Answer(OllamaShown {
        modified_at: begun(&app),
        details: details(&model),
        model_info: JsonMap::from_iter(info),
        capabilities: vec!["completion".into()],
        template: String::new(),
        parameters: String::new(),
    }))
}

async fn list(app: &Arc<App>, principal: &Principal) -> Result<Answer<OllamaModels>> {
    let modified_at = begun(app);
    let shown = |model: Model| OllamaModel {
        details: details(&model),
        digest: Sha256::digest(&model.id).iter().map(|byte| format!("{byte:02x}")).collect(),
        // Ollama's clients expect a tag.
        name: format!("{}:latest", model.id),
        model: format!("{}:latest", model.id),
        modified_at: modified_at.clone(),
        size: 0,
    };
    let models = chats::models(app, principal).await?;
    Ok(Answer(OllamaModels { models: models.into_iter().map(shown).collect() }))
}

fn details(model: &Model) -> OllamaDetails {
    OllamaDetails {
        parent_model: String::new(),
        format: FORMAT.into(),
        family: model.owner.clone(),
        families: vec![model.owner.clone()],
        parameter_size: String::new(),
        quantization_level: String::new(),
    }
}

fn begun(app: &App) -> String {
    let ago = jiff::SignedDuration::try_from(app.started.elapsed()).unwrap_or_default();
    (jiff::Timestamp::now() - ago).to_string()
}
