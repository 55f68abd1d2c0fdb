//! `/metrics`

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::access::Principal;
use super::blocking::blocking;
use super::error::{ApiError, Result};
use crate::app::App;
use crate::telemetry::metrics as registry;
use crate::types::Role;

/// Version of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Figures in the Prometheus text format
///
/// For administrators, since they are of all users together; for everybody with `api.open_metrics`.
#[utoipa::path(get, path = "/metrics", tag = "operation", operation_id = "metrics",
    responses((status = 200, description = "Prometheus text format 0.0.4", body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(app): State<Arc<App>>, principal: Principal) -> Result<impl IntoResponse> {
    if !principal.is_admin() && !app.config.api.open_metrics {
        let detail =
            "figures are of all users together: use a key with the role admin, or set api.open_metrics";
        return Err(ApiError::forbidden(detail));
    }
    let text = blocking(move || {
        let totals = app.store.totals()?;
        registry().set_totals(totals.ready, totals.failed, totals.queued, totals.chunks, totals.sessions);
        let models = app.answers.models();
        let backends = models.iter().filter(|model| model.role == Role::Generator);
        registry().set_backends(backends.map(|backend| (backend.name.as_str(), backend.problem.is_none())));
        Ok::<_, ApiError>(registry().encode())
    });
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text.await?))
}
