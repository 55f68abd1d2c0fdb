//! `/enrich`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use super::access::Principal;
use super::blocking::{blocking, in_slot};
use super::caller::{Unknown, resolve};
use super::error::{ApiError, Result};
use super::extract::Json;
use super::search::Checked;
use crate::app::App;
use crate::types::FaultKind;
use crate::wire;

/// Make a prompt with sources, or annotate a text
///
/// With `query`: a prompt for the client's own model. With `text`: what the enrichers find in it.
#[utoipa::path(post, path = "/enrich", tag = "answers", operation_id = "enrich", request_body = wire::EnrichBody,
    responses((status = 200, description = "By what was asked", body = wire::EnrichAnswer)))]
pub(super) async fn enrich(
    State(app): State<Arc<App>>,
    principal: Principal,
    Json(mut body): Json<wire::EnrichBody>,
) -> Result<Answer<wire::EnrichAnswer>> {
    match (body.query.take(), body.text.take()) {
        (Some(query), None) => prompt(&app, &principal, query, body).await.map(Answer),
        (None, Some(text)) => annotate(&app, &principal, text, body).await.map(Answer),
        _ => Err(ApiError::invalid("/query", "give either query or text, and not both")),
    }
}

async fn prompt(
    app: &Arc<App>,
    principal: &Principal,
    query: String,
    body: wire::EnrichBody,
) -> Result<wire::EnrichAnswer> {
    if body.enrichers.is_some() {
        return Err(ApiError::invalid("/enrichers", "goes with text, not with query"));
    }
    let top_k = body.top_k.unwrap_or(wire::TOP_K_DEFAULT);
    let checked = Checked::new(&query, top_k, body.filter.as_ref(), body.collection.as_deref())?;
    let who = resolve(app, principal, body.session_id.as_deref(), Unknown::Create).await?;
    let (request, answers, user) = (checked.request(who.user()), app.answers.clone(), who.user().clone());
    let made = in_slot(&app.answers, &user, move |slot| answers.enhance(&who.caller, &request, slot)).await?;
    let metadata =
        wire::EnhancedPromptMetadata { sources_count: made.sources.len(), total_tokens: made.total_tokens };
    Ok(wire::EnrichAnswer::Prompt(Box::new(wire::EnhancedPrompt {
        enhanced_prompt: made.prompt,
        sources: wire::sources(made.sources),
        context: made.context,
        metadata,
    })))
}

async fn annotate(
    app: &Arc<App>,
    principal: &Principal,
    text: String,
    body: wire::EnrichBody,
) -> Result<wire::EnrichAnswer> {
    for (set, pointer) in [
        (body.top_k.is_some(), "/top_k"),
        (body.filter.is_some(), "/filter"),
        (body.collection.is_some(), "/collection"),
    ] {
        if set {
            return Err(ApiError::invalid(pointer, "goes with query, not with text"));
        }
    }
    check_enrichers(app, body.enrichers.as_deref())?;
    resolve(app, principal, body.session_id.as_deref(), Unknown::Create).await?;
    let answers = app.answers.clone();
    let annotations = blocking(move || answers.annotate(&text, body.enrichers.as_deref())).await?;
    Ok(wire::EnrichAnswer::Text(wire::AnnotatedText { annotations }))
}

fn check_enrichers(app: &App, names: Option<&[String]>) -> Result<()> {
    for (i, name) in names.unwrap_or_default().iter().enumerate() {
        match app.plugins.enricher(name) {
            Ok(_) => {}
            // A name that is wrong is the caller's; what else hinders the plugin is not.
            Err(error) if matches!(&error.kind, FaultKind::Other(code) if code == "unknown_plugin") => {
                return Err(ApiError::invalid(format!("/enrichers/{i}"), error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
