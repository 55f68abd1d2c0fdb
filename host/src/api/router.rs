//! Every route of the product in one place.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Access, require};
use super::envelope::{Door, envelope};
use super::guard::{Guard, guard};
use super::in_flight::{Limits, in_flight};
use super::leftovers::leftovers;
use super::{
    admin, analytics, backups, collections, conversations, documents, embed, enrich, events, health, keys,
    mcp, metrics, models, ollama, openai, openapi, plugins, query, search, sessions, socket, users,
};
use crate::app::App;
use crate::config::AuthMode;
use crate::types::UserRole;

/// The native API lives under this path.
pub(super) const PREFIX: &str = "/api/v1";

/// The table of contents of the API.
pub(super) fn contents() -> OpenApiRouter<Arc<App>> {
    let of = |role| from_fn_with_state(role, require);
    for_readers()
        .route_layer(of(UserRole::Reader))
        .merge(for_users().route_layer(of(UserRole::User)))
        .merge(for_admins().route_layer(of(UserRole::Admin)))
        .merge(health())
        .merge(figures())
}

/// What every key opens.
pub(super) fn for_readers() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(sessions::create, sessions::list))
        .routes(routes!(sessions::show, sessions::change, sessions::delete))
        .routes(routes!(sessions::context))
        .routes(routes!(collections::list))
        .routes(routes!(collections::show))
        .routes(routes!(documents::list))
        .routes(routes!(search::documents))
        .routes(routes!(events::follow))
        .routes(routes!(analytics::show))
        .routes(routes!(analytics::queries))
        .routes(routes!(documents::show))
        .routes(routes!(documents::content))
        .routes(routes!(documents::text))
        .routes(routes!(documents::chunks))
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
        .routes(routes!(conversations::create, conversations::list))
        .routes(routes!(conversations::show, conversations::change, conversations::delete))
        .routes(routes!(conversations::add, conversations::messages))
        .routes(routes!(conversations::export))
}

/// What changes documents.
pub(super) fn for_users() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(documents::create))
        .routes(routes!(documents::upload))
        .routes(routes!(documents::batch))
        .routes(routes!(documents::delete))
        .routes(routes!(documents::delete_many))
        .routes(routes!(documents::reprocess))
        .routes(routes!(documents::cancel))
        .routes(routes!(collections::create))
        .routes(routes!(collections::delete))
        .routes(routes!(collections::grants))
        .routes(routes!(collections::grant, collections::revoke))
}

/// What runs the service. Every call is a line of the audit.
pub(super) fn for_admins() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(users::create, users::list))
        .routes(routes!(users::show, users::delete))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::revoke))
        .routes(routes!(admin::optimize))
        .routes(routes!(admin::reindex))
        .routes(routes!(admin::reload))
        .routes(routes!(plugins::reload))
        .routes(routes!(backups::create))
        .routes(routes!(backups::list))
}

/// What monitors look for; also without the prefix.
pub(super) fn operations() -> OpenApiRouter<Arc<App>> {
    health().merge(figures())
}

/// What answers without a key.
fn health() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(health::health))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}

/// Of everybody together.
fn figures() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default().routes(routes!(metrics::metrics))
}

/// What stands beside the API.
pub(super) fn beside() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default().routes(routes!(health::about))
}

/// What answers on sockets.
pub(super) fn sockets() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(socket::query::ask))
        .routes(routes!(socket::events::follow))
        .routes(routes!(socket::notifications::listen))
}

/// What existing clients speak.
pub(super) fn dialects() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(openai::models::list))
        .routes(routes!(openai::models::show))
        .routes(routes!(openai::chat::complete))
        .routes(routes!(openai::embeddings::embed))
        .routes(routes!(openai::rerank::rerank))
}

/// What Ollama's programs look for, at a door of their own.
pub(super) fn ollama() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(ollama::models::version))
        .routes(routes!(ollama::models::tags))
        .routes(routes!(ollama::models::running))
        .routes(routes!(ollama::models::show))
        .routes(routes!(ollama::chat::chat))
        .routes(routes!(ollama::chat::generate))
        .routes(routes!(ollama::embed::embed))
        .routes(routes!(ollama::embed::embedding))
}

/// The whole API of a running product at one of its doors.
pub(super) fn router(app: Arc<App>, access: Arc<Access>, door: Door) -> Router {
    let guard_list = Guard::new(&app.config.api);
    let routes = match door {
        Door::Native => {
            let native = Router::new().nest(PREFIX, contents().into());
            routes(native.clone(), app.config.auth.mode).merge(mcp::routes(&app, native))
        }
        Door::Ollama => Router::new()
            .merge(Router::from(ollama()))
            .merge(Router::from(dialects()))
            .route("/", get(ollama::models::greeting)),
    };
    let routes = routes.with_state(app).layer(from_fn_with_state(access, super::access::access));
    layers(routes, guard_list, door)
}

/// Both doors without their sockets, for the fuzz targets: ours, and that of Ollama's dialect.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn in_process(app: &Arc<App>) -> (Router, Router) {
    let access = Access::new(app.clone());
    let native = router(app.clone(), access.clone(), Door::Native);
    let ending = axum::Extension(super::socket::Ending::new());
    (native.layer(ending), router(app.clone(), access, Door::Ollama))
}

/// Everything that answers beside the native API.
fn routes(native: Router<Arc<App>>, mode: AuthMode) -> Router<Arc<App>> {
    native
        .merge(Router::from(operations()))
        .merge(Router::from(sockets()))
        .merge(Router::from(dialects()))
        .merge(Router::from(beside()))
        .merge(openapi::routes(mode))
}

/// What is common to all requests, innermost first.
fn layers(router: Router, guard_list: Guard, door: Door) -> Router {
    let cors = guard_list.cors();
    let router = router
        // bodies have limits of their own: see `extract` and `documents::upload`
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Limits::new(), in_flight));
    let router = match cors {
        // A browser asks without a key what it may send.
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(from_fn_with_state(Arc::new(guard_list), guard))
        .layer(from_fn_with_state(door, envelope))
        .layer(from_fn(leftovers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::StatusCode;
    use tower::ServiceExt;

    /// axum panics on routes that contradict each other.
    #[test]
    fn routes_go_together() {
        let _ = routes(Router::new().nest(PREFIX, contents().into()), AuthMode::Local);
        let _ = Router::from(ollama().merge(dialects()));
    }

    #[tokio::test]
    async fn foreign_pages_and_names_are_refused_before_any_route() {
        let config = crate::config::ApiConfig {
            bind: ([127, 0, 0, 1], 8765).into(),
            ui_bind: ([127, 0, 0, 1], 8501).into(),
            ollama_port: None,
            upload_bytes_max: 0,
            body_bytes_max: 0,
            allowed_hosts: vec!["Rag.lan".into()],
            allowed_origins: vec!["https://notes.example/".into()],
            open_metrics: false,
        };
        let inner = Router::new().route("/", get(async || "x"));
        let router = layers(inner, Guard::new(&config), Door::Native);
        let cases = [
            ("localhost:8765", None, "/", StatusCode::OK),
            ("rag.lan", Some("https://notes.example"), "/", StatusCode::OK),
            ("evil.example", None, "/", StatusCode::FORBIDDEN),
            ("evil.example", None, "/nowhere", StatusCode::FORBIDDEN),
            ("localhost", Some("https://evil.example"), "/", StatusCode::FORBIDDEN),
            ("localhost", Some("null"), "/nowhere", StatusCode::FORBIDDEN),
            ("localhost", None, "/nowhere", StatusCode::NOT_FOUND),
        ];
        for (host, origin, path, status) in cases {
            let mut request = Request::builder().uri(path).header("host", host);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.status(), status, "{host} {origin:?} {path}");
            assert!(response.headers().contains_key("x-request-id"));
        }
        // What a browser asks before a page may call.
        for (origin, status) in
            [("https://notes.example", StatusCode::OK), ("https://evil.example", StatusCode::FORBIDDEN)]
        {
            let request = Request::builder().method("OPTIONS").uri("/").header("host", "localhost");
            let request = request.header("origin", origin).header("access-control-request-method", "POST");
            let request = request.header("access-control-request-headers", "content-type, authorization");
            let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let told =
                |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let allowed = (status == StatusCode::OK).then(|| origin.to_owned());
            assert_eq!((response.status(), told("access-control-allow-origin")), (status, allowed));
            let headers = told("access-control-allow-headers");
            assert_eq!(
                headers.is_some_and(|names| names.contains("authorization")),
                status == StatusCode::OK
            );
        }
    }
}
