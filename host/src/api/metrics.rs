//! `/metrics`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::access::Principal;
use super::blocking::blocking;
use super::caller::now_ms;
use super::error::{ApiError, Result};
use super::extract::Query;
use crate::app::App;
use crate::telemetry::metrics as registry;
use crate::types::Role;
use crate::wire;

/// Version of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How far back samples are told.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How many at most; there is one a minute, and one at each start.
const SAMPLES_MAX: usize = 2000;

/// In which form.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// Prometheus text.
    #[default]
    Text,
    /// Samples that the store keeps, one a minute.
    Json,
}

/// Which figures.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MetricsParams {
    /// `text`: as they are now; `json`: as they were within the last day.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// Figures in the Prometheus text format, or as they were
///
/// For administrators, since they are of all users together; for everybody with `api.open_metrics`.
#[utoipa::path(get, path = "/metrics", tag = "operation", operation_id = "metrics", params(MetricsParams),
    responses((status = 200, description = "Prometheus text format 0.0.4, or samples, oldest first",
        content((String = "text/plain"), (wire::List<wire::Sample> = "application/json")))))]
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    principal: Principal,
    Query(params): Query<MetricsParams>,
) -> Result<Response> {
    if !principal.is_admin() && !app.config.api.open_metrics {
        let detail =
            "figures are of all users together: use a key with the role admin, or set api.open_metrics";
        return Err(ApiError::forbidden(detail));
    }
    if params.format == Format::Json {
        let samples = blocking(move || app.store.samples(now_ms() - DAY_MS, SAMPLES_MAX)).await?;
        return Ok(Answer(wire::List::whole(samples.into_iter().map(wire::Sample::from))).into_response());
    }
    let text = blocking(move || {
        let totals = app.store.totals()?;
        registry().set_totals(totals.ready, totals.failed, totals.queued, totals.chunks, totals.sessions);
        let models = app.answers.models();
        let backends = models.iter().filter(|model| model.role == Role::Generator);
        registry().set_backends(backends.map(|backend| (backend.name.as_str(), backend.problem.is_none())));
        for plugin in app.plugins.list() {
            registry().set_plugin_memory(&plugin.id.name, plugin.memory_peak_bytes);
        }
        Ok::<_, ApiError>(registry().encode())
    });
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text.await?).into_response())
}
