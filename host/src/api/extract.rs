//! Extractors that fail with problems that say what to do.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::error::{ApiError, Result};
use crate::app::App;
use crate::types::DocumentId;

/// A JSON body of at most `body_bytes_max`.
pub(super) struct Json<T>(pub T);

/// The same from programs that do not say that it is JSON, as those of Ollama.
pub(super) struct LooseJson<T>(pub T);

/// A JSON body that carries a document's text: of at most the upload limit and what stands around it.
pub(super) struct TextJson<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        read_json(request, app.config.api.body_bytes_max).await.map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for LooseJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        parse_json(&read_all(request.into_body(), app.config.api.body_bytes_max).await?).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for TextJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        let api = &app.config.api;
        read_json(request, api.upload_bytes_max.saturating_add(api.body_bytes_max)).await.map(Self)
    }
}

async fn read_json<T: DeserializeOwned>(request: Request, bytes_max: u64) -> Result<T> {
    require_json(request.headers())?;
    parse_json(&read_all(request.into_body(), bytes_max).await?)
}

fn require_json(headers: &HeaderMap) -> Result<()> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    let detail = format!("the body must be JSON: send Content-Type: application/json (got {content_type:?})");
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// The whole body; refused as soon as it is known to be too large.
async fn read_all(body: Body, bytes_max: u64) -> Result<Bytes> {
    let too_large = || ApiError::too_large("the body", bytes_max);
    if body.size_hint().lower() > bytes_max {
        return Err(too_large());
    }
    let mut stream = body.into_data_stream();
    let mut whole: Vec<u8> = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| broken_body(&error))?;
        if (whole.len() + part.len()) as u64 > bytes_max {
            return Err(too_large());
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.into())
}

/// A body that ended before its end.
pub(super) fn broken_body(error: &axum::Error) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", format!("the body could not be read: {error}"))
}

/// JSON to a request; faults name the field.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(first, Some(byte) if *byte != b'{')
        && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
    {
        return Err(ApiError::invalid("", "the body must be a JSON object"));
    }
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| json_fault(&pointer(error.path()), error.inner()))?;
    reader.end().map_err(|error| json_fault("", &error))?;
    Ok(value)
}

fn json_fault(pointer: &str, error: &serde_json::Error) -> ApiError {
    let sentence = error.to_string();
    if !error.is_data() {
        let detail = format!("the body is no valid JSON: {sentence}");
        return ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", detail);
    }
    // serde_json appends the position, which helps nobody where the field is named
    let sentence = sentence.rsplit_once(" at line ").map_or(sentence.as_str(), |(front, _)| front);
    data_fault(pointer, sentence)
}

/// The sentences of serde: the only way to learn which field it was.
fn data_fault(pointer: &str, sentence: &str) -> ApiError {
    if let Some(name) = quoted_after(sentence, "unknown field `") {
        let mut fault = ApiError::invalid(join(pointer, name), sentence);
        fault.status = StatusCode::BAD_REQUEST;
        fault.code = "unknown_field".into();
        fault.detail = sentence.into();
        return fault;
    }
    match quoted_after(sentence, "missing field `") {
        Some(name) => ApiError::invalid(join(pointer, name), "is missing"),
        None => ApiError::invalid(pointer, plain(sentence)),
    }
}

/// What serde and the parsers of numbers say, for people who know neither.
fn plain(sentence: &str) -> &str {
    match sentence {
        _ if sentence.starts_with("data did not match any variant") => "is of a type that is not taken here",
        "invalid digit found in string" => "must be a whole number",
        "number too large to fit in target type" => "is too large",
        sentence => sentence,
    }
}

fn quoted_after<'a>(sentence: &'a str, start: &str) -> Option<&'a str> {
    sentence.split_once(start)?.1.split('`').next()
}

/// Adds the field unless the path has it already.
fn join(pointer: &str, name: &str) -> String {
    match pointer {
        "?" => format!("?{name}"),
        _ if pointer.ends_with(&format!("/{name}")) => pointer.into(),
        _ => format!("{pointer}/{name}"),
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}

/// The parameters of the URL.
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(query_fault(&rejection.body_text())),
        }
    }
}

fn query_fault(text: &str) -> ApiError {
    let sentence = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    match sentence.split_once(": ") {
        Some((name, detail)) if !name.contains(' ') => data_fault_of_parameter(name, detail),
        _ => data_fault("?", sentence),
    }
}

fn data_fault_of_parameter(name: &str, detail: &str) -> ApiError {
    if detail.starts_with("unknown field") {
        return data_fault("?", detail);
    }
    ApiError::invalid(format!("?{name}"), plain(detail))
}

/// The `{id}` of a document in the path. What can't be an id is nobody's document.
pub(super) struct DocumentPath(pub DocumentId);

impl<S: Send + Sync> FromRequestParts<S> for DocumentPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let NamePath::<String>(text) = NamePath::from_request_parts(parts, state).await?;
        DocumentId::parse(&text).map(Self).ok_or_else(|| ApiError::not_found(format!("document {text:?}")))
    }
}

/// The name in the path, or several. What is no text is the name of nothing.
pub(super) struct NamePath<T = String>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for NamePath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(name)) => Ok(Self(name)),
            Err(rejection) => Err(ApiError::not_found(format!("such path: {}", rejection.body_text()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{QueryBody, SearchBody};

    fn fault(body: &str) -> (u16, String, String) {
        let error = parse_json::<SearchBody>(body.as_bytes()).unwrap_err();
        let pointer = error.errors.first().map(|error| error.pointer.clone()).unwrap_or_default();
        (error.status.as_u16(), error.code.to_string(), pointer)
    }

    fn expect(body: &str, status: u16, code: &str, pointer: &str) {
        assert_eq!(fault(body), (status, code.into(), pointer.into()), "{body}");
    }

    #[test]
    fn faults_of_bodies_name_code_and_field() {
        expect("", 400, "invalid_json", "");
        expect("{\"query\": ", 400, "invalid_json", "");
        expect("{\"query\": \"x\"} x", 400, "invalid_json", "");
        expect("[\"x\"]", 422, "invalid_value", "");
        expect("\"x\"", 422, "invalid_value", "");
        expect("{}", 422, "invalid_value", "/query");
        expect("{\"query\": 3}", 422, "invalid_value", "/query");
        expect("{\"query\": \"x\", \"topk\": 3}", 400, "unknown_field", "/topk");
        expect("{\"query\": \"x\", \"top_k\": -1}", 422, "invalid_value", "/top_k");
        expect("{\"query\": \"x\", \"mode\": \"magic\"}", 422, "invalid_value", "/mode");
        expect("{\"query\": \"x\", \"filter\": []}", 422, "invalid_value", "/filter");
        for (name, detail, said) in [
            ("limit", "invalid digit found in string", "must be a whole number"),
            (
                "wait",
                "provided string was not `true` or `false`",
                "provided string was not `true` or `false`",
            ),
        ] {
            let error = query_fault(&format!("Failed to deserialize query string: {name}: {detail}"));
            assert!(error.detail.contains(said) && error.detail.contains(name), "{}", error.detail);
        }
    }

    #[test]
    fn options_take_what_a_backend_may_know() {
        let body = br#"{"query": "x", "options": {"temperature": 0.5, "mirostat": 2}}"#;
        let options = parse_json::<QueryBody>(body).unwrap().options.unwrap();
        assert_eq!(options.temperature, Some(0.5));
        assert_eq!(options.extra["mirostat"], 2);
    }

    #[test]
    fn faults_of_parameters_name_them() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Page {
            #[allow(dead_code)]
            limit: Option<u32>,
        }
        let fault = |uri: &str| {
            let uri: axum::http::Uri = uri.parse().unwrap();
            let rejection = axum::extract::Query::<Page>::try_from_uri(&uri).unwrap_err();
            let error = query_fault(&rejection.body_text());
            (error.code.to_string(), error.errors[0].pointer.clone())
        };
        assert_eq!(fault("/x?limit=many"), ("invalid_value".into(), "?limit".into()));
        assert_eq!(fault("/x?lim=3"), ("unknown_field".into(), "?lim".into()));
    }
}
