use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: `code` tells the kinds apart.
    #[serde(rename = "type")]
    pub kind: String,
    /// The phrase of the HTTP status.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable, snake_case: what programs look at.
    pub code: String,
    /// For people; says what to do.
    pub detail: String,
    /// Also in the header `x-request-id` and in the log.
    pub request_id: String,
    /// What is wrong with which part of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// A fault of one part of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, such as `/top_k`; `?name` for a parameter of the URL; the name of a header.
    pub pointer: String,
    /// For people; says what to do.
    pub detail: String,
}
