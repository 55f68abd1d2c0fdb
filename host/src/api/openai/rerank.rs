//! `/v1/rerank`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use crate::api::blocking::blocking;
use crate::api::error::{ApiError, Result};
use crate::api::extract::Json;
use crate::app::App;
use crate::wire::{RerankAnswer, RerankBody, RerankDocument, RerankResult};

const TEXTS_MAX: usize = 1000;

/// Put texts in order
///
/// By the configured reranker, else the shipped lexical one.
#[utoipa::path(post, path = "/v1/rerank", tag = "openai", operation_id = "openai_rerank",
    request_body = RerankBody,
    responses((status = 200, description = "Best first", body = RerankAnswer)))]
pub(in crate::api) async fn rerank(
    State(app): State<Arc<App>>,
    Json(body): Json<RerankBody>,
) -> Result<Answer<RerankAnswer>> {
    if body.query.trim().is_empty() {
        return Err(ApiError::invalid("/query", "must not be empty"));
    }
    let count = body.documents.len();
    if !(1..=TEXTS_MAX).contains(&count) {
        return Err(ApiError::invalid("/documents", format!("must be 1 to {TEXTS_MAX} texts, not {count}")));
    }
    let text = |document| match document {
        RerankDocument::Text(text) | RerankDocument::Object { text } => text,
    };
    let texts: Vec<String> = body.documents.into_iter().map(text).collect();
    let (scores, model) = blocking(move || {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        app.answers.rerank(&body.query, &texts)
    })
    .await?;
    let mut results: Vec<_> = scores
        .into_iter()
        .enumerate()
        .map(|(index, relevance_score)| RerankResult { index, relevance_score })
        .collect();
    // Stable: equals stay in their order.
    results.sort_by(|a, b| b.relevance_score.total_cmp(&a.relevance_score));
    results.truncate(body.top_n.unwrap_or(count));
    Ok(Answer(RerankAnswer { model, results }))
}
