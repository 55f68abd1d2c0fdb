//! The failures of each operation: those that follow from what it is, in the form of its dialect. What an operation has
//! beyond these stands at its handler.

use std::collections::BTreeSet;

use utoipa::PartialSchema;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{
    Components, Content, ContentBuilder, Header, HeaderBuilder, OpenApi, Ref, RefOr, Response,
    ResponseBuilder, Schema,
};

use super::{Method, each_operation};
use crate::api::mcp;
use crate::api::openai;
use crate::api::router::PREFIX;
use crate::wire::{FieldError, OllamaFailure, OpenAiError, OpenAiFailure, Problem};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const TEXT: &str = "text/plain";

/// In whose form failures are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Native,
    OpenAi,
    Ollama,
    /// Those of the protocol come as text, ours as problems.
    Mcp,
}

impl Form {
    fn of(path: &str) -> Self {
        match path {
            _ if path.starts_with(openai::PREFIX) => Self::OpenAi,
            _ if path.starts_with("/api/") && !path.starts_with(PREFIX) => Self::Ollama,
            mcp::PATH => Self::Mcp,
            _ => Self::Native,
        }
    }

    fn schema(self) -> &'static str {
        match self {
            Self::Native | Self::Mcp => "Problem",
            Self::OpenAi => "OpenAiFailure",
            Self::Ollama => "OllamaFailure",
        }
    }

    fn content(self) -> impl Iterator<Item = (&'static str, Content)> {
        let own = ContentBuilder::new().schema(Some(Ref::from_schema_name(self.schema()))).build();
        let media = if self.schema() == "Problem" { PROBLEM } else { JSON };
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let text = ContentBuilder::new().schema(Some(text)).build();
        [(media, own)].into_iter().chain((self == Self::Mcp).then_some((TEXT, text)))
    }
}

/// Adds to each operation what it may fail with, and to each answer what all answers have.
pub(super) fn complete(document: &mut OpenApi) {
    let mut components = document.components.take().unwrap_or_default();
    add_schemas(&mut components);
    let mut used = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        let form = Form::of(path);
        for (method, operation) in each_operation(item) {
            fill(operation, form);
            for status in common(path, method, operation, form, &components) {
                let responses = &mut operation.responses.responses;
                let reference = || Ref::from_response_name(name(form, status)).into();
                responses.entry(status.to_string()).or_insert_with(|| {
                    used.insert((form.schema(), status));
                    reference()
                });
            }
        }
    }
    for form in [Form::Native, Form::OpenAi, Form::Ollama] {
        for (_, status) in used.iter().filter(|(schema, _)| *schema == form.schema()) {
            components.responses.insert(name(form, *status), failure(form, *status).into());
        }
    }
    document.components = Some(components);
}

fn add_schemas(components: &mut Components) {
    let schemas: [(&str, RefOr<Schema>); 5] = [
        ("Problem", Problem::schema()),
        ("FieldError", FieldError::schema()),
        ("OpenAiFailure", OpenAiFailure::schema()),
        ("OpenAiError", OpenAiError::schema()),
        ("OllamaFailure", OllamaFailure::schema()),
    ];
    components.schemas.extend(schemas.map(|(name, schema)| (name.to_owned(), schema)));
}

fn name(form: Form, status: u16) -> String {
    format!("{}{status}", form.schema())
}

/// What follows from what an operation is.
fn common(
    path: &str,
    method: Method,
    operation: &Operation,
    form: Form,
    components: &Components,
) -> BTreeSet<u16> {
    // The caller is looked up for every request: its key, its user's name, its rate; and the store may be closing.
    let mut statuses = BTreeSet::from([401, 403, 422, 429, 500, 503]);
    let has = |place: &ParameterIn| parameters(operation).any(|(_, of)| of == place);
    if has(&ParameterIn::Query) {
        statuses.insert(400);
    }
    let names_session = names_session(operation, components);
    if names_session || has(&ParameterIn::Path) {
        statuses.insert(404);
    }
    if let Some(media) = body_type(operation) {
        statuses.extend([400, 413]);
        // Ollama's programs do not say what they send.
        if form != Form::Ollama {
            statuses.insert(415);
        }
        // Its lines have limits, the whole has none.
        if media == "application/x-ndjson" {
            statuses.remove(&413);
        }
    }
    // A session is written down when it is used.
    if names_session || (method != Method::Get && form == Form::Native) {
        statuses.insert(507);
    }
    if method == Method::Post && asks_plugins(path, operation) {
        statuses.extend([502, 504]);
    }
    statuses
}

/// Whether a backend, the embedder, an enricher or a reranker has a part in the answer.
fn asks_plugins(path: &str, operation: &Operation) -> bool {
    let tags = operation.tags.iter().flatten();
    let works = |tag: &String| matches!(tag.as_str(), "answers" | "search" | "openai" | "ollama");
    tags.into_iter().any(works) || path.ends_with("/embed")
}

fn parameters(operation: &Operation) -> impl Iterator<Item = (&str, &ParameterIn)> {
    operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some((parameter.name.as_str(), &parameter.parameter_in)),
        RefOr::Ref(_) => None,
    })
}

fn body_type(operation: &Operation) -> Option<&str> {
    match operation.request_body.as_ref()? {
        RefOr::T(body) => body.content.keys().next().map(String::as_str),
        RefOr::Ref(_) => None,
    }
}

/// Whether the URL or the body may name a session.
fn names_session(operation: &Operation, components: &Components) -> bool {
    let body = match operation.request_body.as_ref() {
        Some(RefOr::T(body)) => body.content.values().next(),
        _ => None,
    };
    let schema = match body {
        Some(RefOr::T(content)) => content.schema.as_ref(),
        _ => None,
    };
    parameters(operation).any(|(name, _)| name == "session_id")
        || schema.is_some_and(|schema| has_session(schema, components))
}

fn has_session(schema: &RefOr<Schema>, components: &Components) -> bool {
    match schema {
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next().unwrap_or_default();
            components.schemas.get(name).is_some_and(|schema| has_session(schema, components))
        }
        RefOr::T(Schema::Object(object)) => object.properties.contains_key("session_id"),
        RefOr::T(Schema::OneOf(either)) => either.items.iter().any(|item| has_session(item, components)),
        RefOr::T(_) => false,
    }
}

/// Gives an operation's own failures their form, and each answer the header that all have.
fn fill(operation: &mut Operation, form: Form) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with(['4', '5']) && response.content.is_empty() {
            let content = form.content().map(|(media, content)| (media.to_owned(), content.into()));
            response.content.extend(content);
        }
        response.headers.insert("x-request-id".into(), request_id().into());
    }
}

fn failure(form: Form, status: u16) -> Response {
    let mut response =
        ResponseBuilder::new().description(reason(status)).header("x-request-id", request_id());
    for (media, content) in form.content() {
        response = response.content(media, content);
    }
    match status {
        401 => response.header("www-authenticate", header(Type::String, "`Bearer`, with the realm")),
        429 | 503 => {
            response.header("retry-after", header(Type::Integer, "Seconds to wait, where they are known"))
        }
        _ => response,
    }
    .build()
}

fn request_id() -> Header {
    header(Type::String, "Names the request in the log; the client's own where it sent one")
}

fn header(kind: Type, description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

/// The codes of a status, and what they mean.
fn reason(status: u16) -> &'static str {
    match status {
        400 => {
            "`invalid_json`, `unknown_field`, `unknown_filter_key`, `invalid_cursor`: it can't be read as what it should be"
        }
        401 => "`unauthenticated`: a key is wanted, or this one is unknown or revoked",
        403 => "`forbidden`: the key may not do that; `host_not_allowed`, `origin_not_allowed`",
        404 => "`not_found`: it is not there, or it is somebody else's",
        413 => "`payload_too_large`",
        415 => "`unsupported_media_type`",
        422 => {
            "`invalid_value`, `unknown_backend`, `unknown_collection` and others: it can be read, but not be done; `errors` names the part"
        }
        429 => "`rate_limited`, `queue_full`: try again after `Retry-After`",
        500 => "`internal`: the log says more under the request id",
        502 => "`backend_error`: a model or plugin failed",
        503 => "`not_ready`, `backend_unavailable`: nobody is there to answer now",
        504 => "`backend_timeout`: a model or plugin took too long",
        507 => "`storage_full`: there is no room to write",
        _ => "It failed; `code` says why",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_a_form_of_its_own() {
        let cases = [
            ("/api/v1/search", Form::Native),
            ("/health", Form::Native),
            ("/ws/v1/notifications", Form::Native),
            ("/v1/rerank", Form::OpenAi),
            ("/api/chat", Form::Ollama),
            ("/mcp", Form::Mcp),
        ];
        for (path, form) in cases {
            assert_eq!(Form::of(path), form, "{path}");
        }
    }
}
