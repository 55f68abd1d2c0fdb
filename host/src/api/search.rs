//! `/search`, `/search/similar`, `/documents/search`

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::access::Principal;
use super::blocking::in_slot;
use super::caller::{Unknown, Who, resolve};
use super::collections::{EVERYWHERE, Named};
use super::error::{ApiError, Result};
use super::extract::{DocumentPath, Json, Query};
use crate::answer::{Explanation, SearchRequest, SearchResult, Searched, Timings};
use crate::app::App;
use crate::types::{Filter, Fusion, Passage, Scope, UserId};
use crate::wire;

/// Characters of a query at most: a question is no document.
const QUERY_CHARS_MAX: usize = 16_384;
const TOP_K_MAX: u32 = 100;
/// Chunks looked at for each document wanted: a good document has several good chunks.
const CHUNKS_A_DOCUMENT: usize = 4;

/// How many documents.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SimilarParams {
    /// Results at most, 1 to 100; 5 where left out.
    #[param(minimum = 1, maximum = 100)]
    top_k: Option<u32>,
    /// Names the user by one of its sessions.
    #[param(value_type = Option<wire::texts::SessionId>, inline)]
    session_id: Option<String>,
}

/// Find chunks
#[utoipa::path(post, path = "/search", tag = "search", operation_id = "search",
    request_body = wire::SearchBody,
    responses((status = 200, description = "Best first", body = wire::SearchAnswer)))]
pub(super) async fn chunks(
    State(app): State<Arc<App>>,
    principal: Principal,
    Json(body): Json<wire::SearchBody>,
) -> Result<Answer<wire::SearchAnswer>> {
    let (explain, diversity) = (body.explain, body.diversity);
    let found = run(&app, &principal, body, |top_k| top_k).await?;
    Ok(Answer(wire::SearchAnswer {
        results: found.passages.into_iter().map(hit(explain)).collect(),
        timings: timings(found.timings),
        explanation: explain.then(|| explanation(&app, found.explanation, diversity)),
    }))
}

/// Find documents
#[utoipa::path(post, path = "/documents/search", tag = "search", operation_id = "search_documents",
    request_body = wire::SearchBody,
    responses((status = 200, description = "Best first", body = wire::DocumentSearchAnswer)))]
pub(super) async fn documents(
    State(app): State<Arc<App>>,
    principal: Principal,
    Json(body): Json<wire::SearchBody>,
) -> Result<Answer<wire::DocumentSearchAnswer>> {
    let (top_k, explain, diversity) = (body.top_k as usize, body.explain, body.diversity);
    // Each document is a result of its own here, also one that another repeats.
    let body = wire::SearchBody { fold: body.fold.or(Some(false)), ..body };
    let found = run(&app, &principal, body, |top_k| top_k * CHUNKS_A_DOCUMENT).await?;
    Ok(Answer(wire::DocumentSearchAnswer {
        items: by_document(found.passages, top_k, hit(explain)),
        timings: timings(found.timings),
        explanation: explain.then(|| explanation(&app, found.explanation, diversity)),
    }))
}

/// Find documents like this one, in its collection
#[utoipa::path(get, path = "/search/similar/{doc_id}", tag = "search", operation_id = "similar_documents",
    params(("doc_id" = String, Path, format = "uuid", description = "The document"), SimilarParams),
    responses((status = 200, description = "Nearest first", body = wire::SimilarAnswer)))]
pub(super) async fn similar(
    State(app): State<Arc<App>>,
    principal: Principal,
    DocumentPath(id): DocumentPath,
    Query(params): Query<SimilarParams>,
) -> Result<Answer<wire::SimilarAnswer>> {
    let top_k = check_top_k(params.top_k.unwrap_or(wire::TOP_K_DEFAULT), "?top_k")?;
    let who = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?;
    let (answers, caller) = (app.answers.clone(), who.caller);
    let user = caller.user.clone();
    let found = in_slot(&app.answers, &user, move |_| answers.similar(&caller, id, top_k)).await?;
    let results = found.into_iter().map(|similar| wire::SimilarDocument {
        document_id: similar.document.id.to_string(),
        filename: similar.document.filename.clone(),
        collection: similar.document.collection_name(),
        score: similar.score,
    });
    Ok(Answer(wire::SimilarAnswer { results: results.collect() }))
}

async fn run(
    app: &Arc<App>,
    principal: &Principal,
    body: wire::SearchBody,
    limit: fn(usize) -> usize,
) -> Result<SearchResult> {
    let checked = Checked::new(&body.query, body.top_k, body.filter.as_ref(), body.collection.as_deref())?;
    check_ranking(&body)?;
    let Who { caller, .. } = resolve(app, principal, body.session_id.as_deref(), Unknown::Create).await?;
    let mut request = checked.request(&caller.user);
    request.top_k = limit(request.top_k);
    request.mode = body.mode.into();
    request.rerank = body.rerank;
    request.fusion = body.fusion.map(Into::into);
    request.alpha = body.alpha;
    request.fold = body.fold;
    request.diversity = body.diversity;
    request.typo_tolerance = body.typo_tolerance;
    request.highlight = body.highlight;
    let (answers, user) = (app.answers.clone(), caller.user.clone());
    in_slot(&app.answers, &user, move |slot| answers.search(&caller, &request, slot)).await
}

/// What searches and questions have in common, checked before the caller is looked up.
pub(super) struct Checked {
    query: String,
    top_k: usize,
    filter: Option<Filter>,
    collection: Where,
}

enum Where {
    Named(Named),
    Everywhere,
}

impl Checked {
    pub fn new(
        query: &str,
        top_k: u32,
        filter: Option<&wire::FilterBody>,
        collection: Option<&str>,
    ) -> Result<Self> {
        Ok(Self {
            query: check_query(query)?,
            top_k: check_top_k(top_k, "/top_k")?,
            filter: filter.map(|filter| filter.check("/filter")).transpose()?,
            collection: match collection {
                Some(EVERYWHERE) => Where::Everywhere,
                other => Where::Named(Named::parse(other, "/collection")?),
            },
        })
    }

    /// A search on behalf of this user.
    pub fn request(self, user: &UserId) -> SearchRequest {
        let scope = match self.collection {
            Where::Named(named) => Scope::One(named.key(user)),
            Where::Everywhere => Scope::All,
        };
        let Self { query, top_k, filter, .. } = self;
        SearchRequest { filter, ..SearchRequest::new(query, top_k, scope) }
    }
}

fn check_query(query: &str) -> Result<String> {
    if query.trim().is_empty() {
        return Err(ApiError::invalid("/query", "is empty: ask something"));
    }
    if query.chars().count() > QUERY_CHARS_MAX {
        let detail =
            format!("has more than {QUERY_CHARS_MAX} characters: shorten it, or upload it as a document");
        return Err(ApiError::invalid("/query", detail));
    }
    Ok(query.into())
}

fn check_top_k(top_k: u32, pointer: &str) -> Result<usize> {
    match top_k {
        1..=TOP_K_MAX => Ok(top_k as usize),
        _ => Err(ApiError::invalid(pointer, format!("must be 1 to {TOP_K_MAX}"))),
    }
}

fn check_ranking(body: &wire::SearchBody) -> Result<()> {
    if body.alpha.is_some_and(|alpha| !(0.0..=1.0).contains(&alpha)) {
        return Err(ApiError::invalid("/alpha", "must be 0 (keywords only) to 1 (vectors only)"));
    }
    if body.alpha.is_some() && body.fusion == Some(wire::FusionMethod::Rrf) {
        return Err(ApiError::invalid(
            "/alpha",
            "has no effect with fusion \"rrf\": leave one of the two out",
        ));
    }
    if !(0.0..=1.0).contains(&body.diversity) {
        return Err(ApiError::invalid(
            "/diversity",
            "must be 0 (the best ones) to 1 (the most different ones)",
        ));
    }
    Ok(())
}

fn hit(explain: bool) -> fn(Passage) -> wire::Hit {
    if explain { wire::Hit::explained } else { wire::Hit::from }
}

/// Groups chunks; documents stand in the order of their best chunk.
fn by_document(
    passages: Vec<Passage>,
    top_k: usize,
    hit: fn(Passage) -> wire::Hit,
) -> Vec<wire::DocumentHit> {
    let mut places = HashMap::new();
    let mut items: Vec<wire::DocumentHit> = Vec::new();
    for passage in passages {
        let place = *places.entry(passage.document.id).or_insert(items.len());
        if place == items.len() {
            let document = passage.document.as_ref().clone().into();
            items.push(wire::DocumentHit { document, score: passage.score, hits: Vec::new() });
        }
        items[place].hits.push(hit(passage));
    }
    items.truncate(top_k);
    items
}

pub(super) fn timings(timings: Timings) -> wire::Timings {
    timings.into_iter().map(|(stage, ms)| (stage.to_string(), ms)).collect()
}

fn explanation(app: &App, found: Explanation, diversity: f32) -> wire::Explanation {
    let fusion = found.fusion.unwrap_or(Fusion::Rrf);
    wire::Explanation {
        fusion: fusion.into(),
        alpha: alpha(fusion),
        candidates: app.config.search.candidates,
        embedder: app.embedder.info().model.clone(),
        reranker: found.reranker,
        language: found.language.map(str::to_owned),
        fold: found.folds,
        diversity,
        collections: found.collections.into_iter().map(searched).collect(),
    }
}

fn searched(searched: Searched) -> wire::CollectionExplanation {
    wire::CollectionExplanation {
        collection: searched.collection,
        alpha: alpha(searched.fusion),
        candidates: searched.candidates,
        vector: searched.vector_path.into(),
        filter_matches: searched.filter_matches,
        timings: timings(searched.timings),
    }
}

fn alpha(fusion: Fusion) -> Option<f32> {
    match fusion {
        Fusion::Convex { alpha } => Some(alpha),
        Fusion::Rrf => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{CollectionKey, CollectionName};

    fn pointer(result: Result<Checked>) -> String {
        result.err().map(|error| error.errors[0].pointer.clone()).unwrap_or_default()
    }

    #[test]
    fn searches_are_checked() {
        let long = "ü".repeat(QUERY_CHARS_MAX + 1);
        assert_eq!(pointer(Checked::new(" \n", 5, None, None)), "/query");
        assert_eq!(pointer(Checked::new(&long, 5, None, None)), "/query");
        assert_eq!(pointer(Checked::new("x", 0, None, None)), "/top_k");
        assert_eq!(pointer(Checked::new("x", 101, None, None)), "/top_k");
        assert_eq!(pointer(Checked::new("x", 5, None, Some("a/b/c"))), "/collection");
        assert_eq!(pointer(Checked::new("x", 100, None, Some("*"))), "");
    }

    #[test]
    fn what_orders_the_results_is_checked() {
        let pointer = |change: &dyn Fn(&mut wire::SearchBody)| {
            let mut body = wire::SearchBody::new("x");
            change(&mut body);
            check_ranking(&body).err().map(|error| error.errors[0].pointer.clone())
        };
        assert_eq!(pointer(&|body| body.alpha = Some(1.0)), None);
        assert_eq!(pointer(&|body| body.alpha = Some(1.1)).as_deref(), Some("/alpha"));
        assert_eq!(pointer(&|body| body.alpha = Some(f32::NAN)).as_deref(), Some("/alpha"));
        let both = |body: &mut wire::SearchBody| {
            (body.alpha, body.fusion) = (Some(0.5), Some(wire::FusionMethod::Rrf));
        };
        assert_eq!(pointer(&both).as_deref(), Some("/alpha"));
        assert_eq!(pointer(&|body| body.diversity = -0.1).as_deref(), Some("/diversity"));
        assert_eq!(pointer(&|body| body.diversity = 1.0), None);
    }

    #[test]
    fn no_collection_is_the_default_one_and_a_star_is_all() {
        let user = UserId::anonymous();
        let scope = |name| Checked::new("x", 5, None, name).unwrap().request(&user).scope;
        let default = CollectionKey { owner: user.clone(), name: CollectionName::default() };
        assert_eq!(scope(None), Scope::One(default));
        assert_eq!(scope(Some("*")), Scope::All);
    }
}
