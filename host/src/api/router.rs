//! Every route of the product in one place.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::envelope;
use super::guard::{Guard, guard};
use super::in_flight::{IN_FLIGHT_MAX, in_flight};
use super::{documents, embed, enrich, health, metrics, models, openapi, plugins, query, search, sessions};
use crate::app::App;

/// The native API lives under this path.
pub(super) const PREFIX: &str = "/api/v1";

/// The table of contents of the API.
pub(super) fn contents() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(sessions::create, sessions::list))
        .routes(routes!(sessions::show, sessions::change, sessions::delete))
        .routes(routes!(sessions::context))
        .routes(routes!(documents::create, documents::list))
        .routes(routes!(documents::upload))
        .routes(routes!(documents::batch))
        .routes(routes!(search::documents))
        .routes(routes!(documents::show, documents::delete))
        .routes(routes!(documents::content))
        .routes(routes!(documents::text))
        .routes(routes!(documents::chunks))
        .routes(routes!(documents::reprocess))
        .routes(routes!(search::chunks))
        .routes(routes!(search::similar))
        .routes(routes!(query::ask))
        .routes(routes!(query::stream))
        .routes(routes!(embed::embed))
        .routes(routes!(enrich::enrich))
        .routes(routes!(models::list))
        .routes(routes!(models::readiness))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::show))
        .merge(operations())
}

/// What monitors look for; also without the prefix.
pub(super) fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(health::health))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
}

/// The whole API of a running product.
pub fn router(app: Arc<App>) -> Router {
    let guard_list = Arc::new(Guard::new(&app.config.api));
    Router::new()
        .nest(PREFIX, contents().into())
        .merge(Router::from(operations()))
        .route("/", get(health::about))
        .merge(openapi::routes())
        .with_state(app)
        // bodies have limits of their own: see `extract` and `documents::upload`
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::new(Semaphore::new(IN_FLIGHT_MAX)), in_flight))
        .layer(from_fn_with_state(guard_list, guard))
        .layer(from_fn(envelope))
}
