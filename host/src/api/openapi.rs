//! OpenAPI 3.1 of all of it, generated from the handlers, and the page to browse it without a network.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::get;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder, Server, Tag,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::router::{PREFIX, contents, dialects, ollama, operations, sockets};
use crate::app::App;
use crate::wire::{FieldError, Problem};

const PROBLEM: &str = "Problem";

/// The OpenAPI document.
pub fn document() -> OpenApi {
    let mut document =
        OpenApiBuilder::new().info(info()).servers(Some([Server::new("/")])).tags(Some(tags())).build();
    document = document.nest(PREFIX, contents().into_openapi());
    document.merge(bare(operations().into_openapi()));
    document.merge(sockets().into_openapi());
    document.merge(dialects().into_openapi());
    document.merge(ollama().into_openapi());
    for item in document.paths.paths.values_mut() {
        each_operation(item).for_each(add_problem);
    }
    add_components(&mut document);
    add_security(&mut document);
    document
}

/// Where the document and its page are found, with and without the prefix.
pub(super) fn routes() -> Router<Arc<App>> {
    let text = Bytes::from(serde_json::to_vec(&document()).unwrap_or_default());
    let json = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], text) });
    ["", PREFIX].into_iter().fold(Router::new(), |router, prefix| {
        let config = Config::from(format!("{prefix}/openapi.json")).try_it_out_enabled(true);
        router
            .route(&format!("{prefix}/openapi.json"), json.clone())
            .merge(SwaggerUi::new(format!("{prefix}/docs")).config(config))
    })
}

fn info() -> utoipa::openapi::Info {
    InfoBuilder::new()
        .title("SmartRAG")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Documents in, cited answers out. Errors are `application/problem+json` with a stable `code`; every \
             answer carries `x-request-id`. With `auth.mode: keys` each request needs a key; without, the user is that of \
             the session, else that of the header `X-SmartRAG-User`, else `anonymous`.",
        ))
        .build()
}

fn tags() -> [Tag; 9] {
    let tag = |name, description| {
        let mut tag = Tag::new(name);
        tag.description = Some(String::from(description));
        tag
    };
    [
        tag("sessions", "Who works with the product, and in which context"),
        tag("documents", "What is known, and how it came in"),
        tag("search", "Find chunks and documents"),
        tag("answers", "Ask questions, get cited answers"),
        tag("conversations", "What was asked and answered"),
        tag("models", "Backends, embedder and plugins"),
        tag("openai", "What OpenAI's clients speak: a collection is a model"),
        tag("ollama", "What Ollama's clients speak, on the port `api.ollama_port`"),
        tag("operation", "Health and metrics"),
    ]
}

/// The same operations under a second path need names of their own.
fn bare(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        for operation in each_operation(item) {
            operation.operation_id = operation.operation_id.take().map(|id| format!("{id}_bare"));
        }
    }
    document
}

fn each_operation(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}

fn add_problem(operation: &mut Operation) {
    let reference = RefOr::Ref(Ref::from_response_name(PROBLEM));
    operation.responses.responses.entry("default".into()).or_insert(reference);
}

fn add_components(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let mut schemas =
        vec![(Problem::name().into(), Problem::schema()), (FieldError::name().into(), FieldError::schema())];
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
    let response = ResponseBuilder::new()
        .description("A problem (RFC 9457); `code` is stable")
        .content("application/problem+json", content)
        .build();
    components.responses.insert(PROBLEM.into(), response.into());
}

/// A key in one of two headers; in local mode none.
fn add_security(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let header = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(header));
    let none: [&str; 0] = [];
    document.security = Some(vec![
        SecurityRequirement::new("bearer", none),
        SecurityRequirement::new("api_key", none),
        SecurityRequirement::default(),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn json() -> Value {
        serde_json::to_value(document()).unwrap()
    }

    fn operations_of(document: &Value) -> Vec<(String, String, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        let methods = ["get", "post", "put", "patch", "delete"];
        let each = paths.iter().flat_map(|(path, item)| {
            let of_item = methods.iter().filter_map(move |method| Some((*method, item.get(*method)?)));
            of_item.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
        });
        each.collect()
    }

    #[test]
    fn the_contract_is_complete() {
        let document = json();
        let found: Vec<String> = operations_of(&document)
            .into_iter()
            .map(|(method, path, _)| format!("{method} {path}"))
            .collect();
        let promised = [
            "POST /sessions",
            "GET /sessions",
            "GET /sessions/{id}",
            "PATCH /sessions/{id}",
            "DELETE /sessions/{id}",
            "GET /sessions/{id}/context",
            "POST /documents/upload",
            "POST /documents",
            "POST /documents/batch",
            "GET /documents",
            "GET /documents/{id}",
            "GET /documents/{id}/content",
            "GET /documents/{id}/text",
            "GET /documents/{id}/chunks",
            "POST /documents/{id}/reprocess",
            "DELETE /documents/{id}",
            "POST /documents/search",
            "POST /search",
            "GET /search/similar/{doc_id}",
            "POST /query",
            "POST /query/stream",
            "POST /embed",
            "POST /enrich",
            "GET /health",
            "GET /health/live",
            "GET /health/ready",
            "GET /metrics",
            "GET /models",
            "GET /models/readiness",
            "GET /plugins",
            "GET /plugins/{name}",
            "POST /admin/optimize",
            "POST /admin/reindex",
            "POST /admin/reload",
            "GET /admin/users",
            "POST /admin/users",
            "DELETE /admin/users/{user_id}",
            "GET /admin/keys",
            "POST /admin/keys",
            "DELETE /admin/keys/{key_id}",
            "GET /collections",
            "GET /events",
            "POST /documents/delete",
            "POST /documents/{id}/cancel",
            "POST /collections",
            "PUT /collections/{name}/grants/{user_id}",
            "POST /admin/backup",
            "GET /admin/backups",
        ];
        for operation in promised {
            let (method, path) = operation.split_once(' ').unwrap();
            assert!(
                found.contains(&format!("{method} {PREFIX}{path}")),
                "{operation} is missing in {found:?}"
            );
        }
        for path in ["/health", "/health/live", "/health/ready", "/metrics"] {
            assert!(found.contains(&format!("GET {path}")), "{path} is missing without the prefix");
        }
    }

    #[test]
    fn names_are_unique_and_failures_are_problems() {
        let document = json();
        let mut ids = std::collections::BTreeSet::new();
        for (method, path, operation) in operations_of(&document) {
            let id = operation["operationId"].as_str().unwrap().to_string();
            assert!(ids.insert(id.clone()), "{id} stands twice");
            assert_eq!(
                operation["responses"]["default"]["$ref"], "#/components/responses/Problem",
                "{method} {path}"
            );
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{method} {path}");
        }
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str));
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = json();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
