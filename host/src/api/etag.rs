//! `ETag`, `If-None-Match` and `If-Match` (RFC 9110) of what can be changed.

use axum::Json as Answer;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::Serialize;

use super::error::{ApiError, Result};

/// Held from the look at a tag to the end of the change, so that of two changes with the same tag one is refused.
static CHANGES: Mutex<()> = Mutex::new(());

/// The tag of a state, with its quotes.
fn tag(state: &impl Serialize) -> String {
    let bytes = serde_json::to_vec(state).unwrap_or_default();
    format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..32])
}

/// The state with its tag, or 304 where the client has it already.
pub(super) fn tagged<T: Serialize>(headers: &HeaderMap, state: T) -> Response {
    let tag = tag(&state);
    let mut response = match is_known(headers, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Answer(state).into_response(),
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Whether the client has what is tagged so.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    names(headers, header::IF_NONE_MATCH, tag) == Some(true)
}

/// Changes something; with `If-Match` only while it has that tag. `state` is read before the change. Blocks.
pub(super) fn guarded<S: Serialize, T>(
    headers: &HeaderMap,
    state: impl FnOnce() -> Result<S>,
    change: impl FnOnce() -> Result<T>,
) -> Result<T> {
    if !headers.contains_key(header::IF_MATCH) {
        return change();
    }
    let _alone = CHANGES.lock();
    if names(headers, header::IF_MATCH, &tag(&state()?)) == Some(true) {
        return change();
    }
    let detail = "it was changed since you read it: read it again, and decide anew";
    Err(ApiError::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail))
}

/// Whether a header names this tag; `None` where there is no such header. Weak tags count as strong ones: ours are all strong.
fn names(headers: &HeaderMap, name: HeaderName, tag: &str) -> Option<bool> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let mut named = values.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    Some(named.any(|one| matches!(one.trim(), "*") || one.trim().trim_start_matches("W/") == tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let first = tagged(&HeaderMap::new(), "a");
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".into()] {
            let again = tagged(&with(header::IF_NONE_MATCH, &known), "a");
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
        }
        assert_eq!(tagged(&with(header::IF_NONE_MATCH, &tag), "b").status(), StatusCode::OK);
    }

    #[test]
    fn a_change_wants_the_tag_that_it_was_read_with() {
        let change = |headers: &HeaderMap| guarded(headers, || Ok("a"), || Ok(1));
        assert_eq!(change(&HeaderMap::new()).unwrap(), 1);
        assert_eq!(change(&with(header::IF_MATCH, &tag(&"a"))).unwrap(), 1);
        assert_eq!(change(&with(header::IF_MATCH, "*")).unwrap(), 1);
        assert_eq!(change(&with(header::IF_MATCH, &tag(&"b"))).unwrap_err().code, "precondition_failed");
    }
}
