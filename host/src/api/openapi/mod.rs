//! OpenAPI 3.1 of all of it, generated from the handlers, and the page to browse it without a network.

mod failures;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::get;
use utoipa::PartialSchema;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::server::{ServerBuilder, ServerVariableBuilder};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Server, Tag};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::mcp;
use super::router::{PREFIX, beside, contents, dialects, ollama, operations, sockets};
use crate::app::App;
use crate::config::AuthMode;
use crate::wire::texts::UserId;

const USER: &str = "User";
/// Where the key of OpenAI's clients names a model that has slashes in its name.
const REST: &str = "{*";

/// The OpenAPI document of a daemon with `auth.mode: local`.
pub fn document() -> OpenApi {
    document_of(AuthMode::Local)
}

/// The OpenAPI document, by who is let in.
fn document_of(mode: AuthMode) -> OpenApi {
    let mut document =
        OpenApiBuilder::new().info(info()).servers(Some([Server::new("/")])).tags(Some(tags())).build();
    document = document.nest(PREFIX, contents().into_openapi());
    document.merge(bare(operations().into_openapi()));
    document.merge(beside().into_openapi());
    document.merge(mcp::documented());
    document.merge(sockets().into_openapi());
    document.merge(dialects().into_openapi());
    document.merge(elsewhere(ollama().into_openapi()));
    name_rests(&mut document);
    add_user(&mut document);
    failures::complete(&mut document);
    add_security(&mut document, mode);
    document
}

/// Where the document and its page are found, with and without the prefix.
pub(super) fn routes(mode: AuthMode) -> Router<Arc<App>> {
    let text = Bytes::from(serde_json::to_vec(&document_of(mode)).unwrap_or_default());
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

fn tags() -> [Tag; 10] {
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
        tag("mcp", "What MCP's clients speak"),
        tag("operation", "Health and metrics"),
    ]
}

/// The same operations under a second path need names of their own.
fn bare(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        for (_, operation) in each_operation(item) {
            operation.operation_id = operation.operation_id.take().map(|id| format!("{id}_bare"));
        }
    }
    document
}

/// Ollama's API has a port of its own.
fn elsewhere(mut document: OpenApi) -> OpenApi {
    let port = ServerVariableBuilder::new().default_value("11434").description(Some("`api.ollama_port`"));
    let server = ServerBuilder::new().url("http://127.0.0.1:{port}").parameter("port", port).build();
    for item in document.paths.paths.values_mut() {
        item.servers = Some(vec![server.clone()]);
    }
    document
}

/// OpenAPI knows no parameter that spans slashes: clients escape them.
fn name_rests(document: &mut OpenApi) {
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace(REST, "{"), item)).collect();
}

/// The header that names a user, which every operation hears.
fn add_user(document: &mut OpenApi) {
    let header = ParameterBuilder::new()
        .name("X-SmartRAG-User")
        .parameter_in(ParameterIn::Header)
        .description(Some("On whose behalf, where no session says so: in local mode, and for administrators"))
        .schema(Some(UserId::schema()))
        .build();
    document.components.get_or_insert_default().parameters.insert(USER.into(), header.into());
    for item in document.paths.paths.values_mut() {
        let reference = Ref::new(format!("#/components/parameters/{USER}"));
        item.parameters.get_or_insert_default().push(RefOr::Ref(reference));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

fn each_operation(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let each = [
        (Method::Get, &mut item.get),
        (Method::Post, &mut item.post),
        (Method::Put, &mut item.put),
        (Method::Patch, &mut item.patch),
        (Method::Delete, &mut item.delete),
    ];
    each.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A key in one of two headers; in local mode none is wanted, and nowhere of what monitors look for.
fn add_security(document: &mut OpenApi, mode: AuthMode) {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let header = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(header));
    let none: [&str; 0] = [];
    let mut with_key =
        vec![SecurityRequirement::new("bearer", none), SecurityRequirement::new("api_key", none)];
    let open = [&with_key[..], &[SecurityRequirement::default()]].concat();
    if mode == AuthMode::Local {
        with_key.push(SecurityRequirement::default());
    }
    document.security = Some(with_key);
    for (path, item) in &mut document.paths.paths {
        if path.strip_prefix(PREFIX).unwrap_or(path).starts_with("/health") {
            each_operation(item).for_each(|(_, operation)| operation.security = Some(open.clone()));
        }
    }
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
    fn names_are_unique_and_outcomes_are_told() {
        let document = json();
        let mut ids = std::collections::BTreeSet::new();
        for (method, path, operation) in operations_of(&document) {
            let id = operation["operationId"].as_str().unwrap().to_string();
            assert!(ids.insert(id.clone()), "{id} stands twice");
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(!responses.contains_key("default"), "{method} {path} promises anything");
            assert!(responses.keys().any(|status| status < &"300".to_owned()), "{method} {path}");
            for status in ["401", "403", "422", "429", "500", "503"] {
                assert!(responses.contains_key(status), "{method} {path} has no {status}");
            }
            for (status, response) in responses {
                let response = match response["$ref"].as_str() {
                    Some(place) => document.pointer(place.strip_prefix('#').unwrap()).unwrap(),
                    None => response,
                };
                assert!(!response["description"].as_str().unwrap().is_empty(), "{method} {path} {status}");
                assert!(response["headers"]["x-request-id"].is_object(), "{method} {path} {status}");
                if status.starts_with(['4', '5']) {
                    let form = response["content"].as_object().unwrap().values().next().unwrap();
                    assert!(form["schema"]["$ref"].is_string(), "{method} {path} {status}");
                }
            }
        }
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn statuses_follow_from_what_an_operation_is() {
        let document = json();
        let statuses = |method: &str, path: &str| -> Vec<String> {
            document["paths"][path][method]["responses"].as_object().unwrap().keys().cloned().collect()
        };
        let health = ["200", "401", "403", "422", "429", "500", "503"];
        assert_eq!(statuses("get", "/health/live"), health);
        assert!(
            statuses("get", "/api/v1/sessions").contains(&"404".into()),
            "its user may be named by a session"
        );
        assert!(statuses("post", "/api/v1/enrich").contains(&"404".into()));
        assert!(!statuses("get", "/api/v1/plugins").contains(&"404".into()));
        assert!(statuses("post", "/api/v1/search").contains(&"502".into()));
        assert!(!statuses("post", "/api/v1/sessions").contains(&"502".into()));
        assert!(statuses("post", "/v1/rerank").contains(&"415".into()));
        assert!(!statuses("post", "/api/chat").contains(&"415".into()));
        let failure = &document["paths"]["/v1/rerank"]["post"]["responses"]["422"]["$ref"];
        assert_eq!(failure, "#/components/responses/OpenAiFailure422");
    }

    #[test]
    fn every_route_is_documented() {
        let document = json();
        let sources = [include_str!("../router.rs"), include_str!("../mcp.rs")];
        let mut handlers = Vec::new();
        for source in sources {
            let source = source.split("#[cfg(test)]").next().unwrap();
            // Whatever `routes!` names is in the document; of the rest each must be found there.
            handlers.extend(source.match_indices(".route(\"").map(|(at, start)| &source[at + start.len()..]));
        }
        for path in handlers.iter().map(|rest| rest.split('"').next().unwrap()).chain([mcp::PATH]) {
            assert!(document["paths"][path].is_object(), "{path}");
        }
    }

    /// Requests refuse what they do not know, but where a client has data of its own, or a dialect says otherwise.
    #[test]
    fn requests_are_closed_and_answers_are_open() {
        let document = json();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let is_closed = |schema: &Value| schema["additionalProperties"] == false;
        let resolve = |schema: &Value| -> Vec<String> {
            let each = schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
            let name = |one: &Value| Some(one["$ref"].as_str()?.rsplit('/').next()?.to_owned());
            each.iter().filter_map(name).collect()
        };
        let mut bodies = std::collections::BTreeSet::new();
        for (_, path, operation) in operations_of(&document) {
            let Some(body) = operation["requestBody"]["content"]["application/json"].get("schema") else {
                continue;
            };
            if path.starts_with(PREFIX) {
                bodies.extend(resolve(body).into_iter().flat_map(|name| match resolve(&schemas[&name]) {
                    each if each.is_empty() => vec![name],
                    each => each,
                }));
            }
        }
        assert!(bodies.len() > 12, "{bodies:?}");
        for name in &bodies {
            assert!(is_closed(&schemas[name]), "{name} takes what it does not know");
        }
        // Also a part of several bodies, closed by its keys.
        assert!(schemas["FilterBody"]["propertyNames"].is_object());
        let mut closed: Vec<_> =
            schemas.iter().filter(|(_, schema)| is_closed(schema)).map(|(name, _)| name).collect();
        // Sent by clients, too: the lines of a batch, the parts of a form. The last is told apart from a whole report by having nothing more.
        let others = ["DocumentCreate", "UploadForm", "BareHealth"];
        closed.retain(|name| !bodies.contains(*name) && !others.contains(&name.as_str()));
        assert!(closed.is_empty(), "{closed:?} may never say more than today");
    }

    #[test]
    fn who_wants_a_key_says_so() {
        let document = serde_json::to_value(document_of(AuthMode::Keys)).unwrap();
        assert_eq!(document["security"].as_array().unwrap().len(), 2);
        assert_eq!(document["paths"]["/health"]["get"]["security"].as_array().unwrap().len(), 3);
        assert_eq!(json()["security"].as_array().unwrap().len(), 3);
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
