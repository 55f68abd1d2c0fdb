//! `/analytics`: what was asked, and what came of it.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::access::Principal;
use super::blocking::blocking;
use super::caller::{Unknown, now_ms, resolve};
use super::cursor;
use super::error::{ApiError, Result};
use super::extract::Query;
use crate::answer::{Day, Figures, Latency};
use crate::app::App;
use crate::types::{LoggedQuery, QueryId, TimestampMs, UserId};
use crate::wire;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The time that is looked at where none is named.
const DAYS_DEFAULT: i64 = 7;
/// Whose queries: all.
const EVERYBODY: &str = "*";

/// Which time, and whose.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AnalyticsParams {
    /// From this time on, or the beginning of this day (UTC): RFC 3339; a week ago where left out.
    #[param(pattern = r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?Z)?$")]
    from: Option<String>,
    /// To this time, or the beginning of this day (UTC): RFC 3339; now where left out.
    #[param(pattern = r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?Z)?$")]
    to: Option<String>,
    /// Whose queries; `*` for everybody's. Others than the caller's own are for administrators.
    #[param(value_type = Option<wire::texts::UserId>, inline)]
    user_id: Option<String>,
    /// Names the user by one of its sessions.
    #[param(value_type = Option<wire::texts::SessionId>, inline)]
    session_id: Option<String>,
}

/// Which queries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct QueryListParams {
    /// Whose queries; `*` for everybody's. Others than the caller's own are for administrators.
    #[param(value_type = Option<wire::texts::UserId>, inline)]
    user_id: Option<String>,
    /// Names the user by one of its sessions.
    #[param(value_type = Option<wire::texts::SessionId>, inline)]
    session_id: Option<String>,
    /// Items at most, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// From the page before.
    cursor: Option<String>,
}

/// Tell what was asked
///
/// Queries a day, how long they took, the most used documents, and queries that found nothing. Empty where
/// `analytics.log` is off.
#[utoipa::path(get, path = "/analytics", tag = "operation", operation_id = "analytics", params(AnalyticsParams),
    responses((status = 200, description = "Figures", body = wire::Analytics)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    principal: Principal,
    Query(params): Query<AnalyticsParams>,
) -> Result<Answer<wire::Analytics>> {
    let to = params.to.map_or(Ok(now_ms()), |text| moment(&text, "?to"))?;
    let from = params.from.map_or(Ok(to - DAYS_DEFAULT * DAY_MS), |text| moment(&text, "?from"))?;
    if from >= to {
        return Err(ApiError::invalid("?from", "must be before to"));
    }
    let caller = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?.caller.user;
    let user = whose(&principal, caller.clone(), params.user_id)?;
    blocking(move || {
        let figures = app.answers.figures(user.as_ref(), (from, to))?;
        Ok::<_, ApiError>(Answer(shown(&app, figures, user, &caller, (from, to))?))
    })
    .await
}

/// List queries, newest first
#[utoipa::path(get, path = "/analytics/queries", tag = "operation", operation_id = "list_queries",
    params(QueryListParams),
    responses((status = 200, description = "Searches and questions", body = wire::List<wire::QueryRecord>)))]
pub(super) async fn queries(
    State(app): State<Arc<App>>,
    principal: Principal,
    Query(params): Query<QueryListParams>,
) -> Result<Answer<wire::List<wire::QueryRecord>>> {
    let limit = cursor::limit(params.limit)?;
    let after = params.cursor.map(|text| cursor::decode("queries", &text)).transpose()?;
    let after = after.map(|id| QueryId::parse(&id).ok_or_else(cursor::invalid)).transpose()?;
    let caller = resolve(&app, &principal, params.session_id.as_deref(), Unknown::Refuse).await?.caller.user;
    let user = whose(&principal, caller, params.user_id)?;
    let slice = blocking(move || app.answers.logged(user.as_ref(), after, limit)).await?;
    let position = |query: &LoggedQuery| query.id.to_string();
    Ok(Answer(cursor::page(slice.items, slice.more, "queries", position, Into::into)))
}

/// A time, or a day, which stands for its beginning.
fn moment(text: &str, pointer: &str) -> Result<TimestampMs> {
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let time = text.parse::<jiff::Timestamp>().ok().or_else(|| Some(day()?.timestamp()));
    time.map(jiff::Timestamp::as_millisecond)
        .ok_or_else(|| ApiError::invalid(pointer, "must be a time such as 2026-01-31T12:00:00Z, or a day"))
}

/// Whose queries are asked for; `None` for everybody's.
fn whose(principal: &Principal, caller: UserId, named: Option<String>) -> Result<Option<UserId>> {
    match named {
        None => Ok(Some(caller)),
        Some(all) if all == EVERYBODY && principal.is_admin() => Ok(None),
        Some(all) if all == EVERYBODY => {
            Err(ApiError::forbidden("the queries of everybody are for administrators: leave user_id out"))
        }
        Some(name) => principal.user_of_body(Some(name)).map(Some),
    }
}

fn shown(
    app: &App,
    figures: Figures,
    user: Option<UserId>,
    caller: &UserId,
    (from, to): (TimestampMs, TimestampMs),
) -> Result<wire::Analytics> {
    let day = |(day, figures): (&i64, &Day)| wire::AnalyticsDay {
        day: wire::time(day * DAY_MS).strftime("%Y-%m-%d").to_string(),
        searches: figures.searches,
        questions: figures.questions,
        no_hit: figures.no_hit,
        abstained: figures.abstained,
        failed: figures.failed,
    };
    let days: Vec<_> = figures.days.iter().map(day).collect();
    let mut top_documents = Vec::new();
    for (id, uses) in figures.documents {
        // One of somebody else is counted for an administrator, but named by whoever may read it only.
        let reader = user.as_ref().unwrap_or(caller);
        if let Some(document) = app.store.document(reader, id)? {
            top_documents.push(wire::UsedDocument {
                document_id: id.to_string(),
                collection: document.collection_name(),
                filename: document.filename,
                uses,
            });
        }
    }
    let latency = |latency: Latency| {
        let Latency { count, p50, p95, p99, max } = latency;
        wire::LatencyQuantiles { count, p50, p95, p99, max }
    };
    let without_hit = figures.without_hit.into_iter();
    Ok(wire::Analytics {
        from: wire::time(from),
        to: wire::time(to),
        user_id: user.map(|user| user.to_string()),
        queries: days.iter().map(|day| day.searches + day.questions).sum(),
        days,
        latency_ms: figures.latency.into_iter().map(|(kind, of)| (kind.to_owned(), latency(of))).collect(),
        top_documents,
        without_hit: without_hit.map(|(query, count)| wire::QueryWithoutHit { query, count }).collect(),
        backends: figures.backends,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_days_are_understood() {
        assert_eq!(moment("1970-01-02", "?from").unwrap(), DAY_MS);
        assert_eq!(moment("1970-01-01T00:00:01+00:00", "?from").unwrap(), 1000);
        assert_eq!(moment("yesterday", "?to").unwrap_err().errors[0].pointer, "?to");
    }
}
