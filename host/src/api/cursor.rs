//! Cursors of lists: opaque to clients, so that what they hold may change.

use std::fmt::Write;

use serde::Deserialize;
use utoipa::IntoParams;

use super::error::{ApiError, Result};
use crate::wire::List;
use crate::wire::texts::SessionId as SessionIdText;
use axum::http::StatusCode;

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// On whose behalf, and which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Names the user by one of its sessions.
    #[param(value_type = Option<SessionIdText>, inline)]
    pub session_id: Option<String>,
    /// Items at most, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// From the page before.
    pub cursor: Option<String>,
}

/// The `limit` of a list, checked.
pub(super) fn limit(asked: Option<u32>) -> Result<usize> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit as usize),
        _ => Err(ApiError::invalid("?limit", format!("must be 1 to {LIMIT_MAX}"))),
    }
}

/// Where a list of this kind goes on: behind `position`.
pub(super) fn encode(kind: &str, position: &str) -> String {
    format!("{kind}:{position}").bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The position in a cursor of this kind.
pub(super) fn decode(kind: &str, cursor: &str) -> Result<String> {
    let plain = unhex(cursor).and_then(|bytes| String::from_utf8(bytes).ok());
    plain.and_then(|text| text.strip_prefix(kind)?.strip_prefix(':').map(Into::into)).ok_or_else(invalid)
}

/// For a cursor that reads well but leads nowhere.
pub(super) fn invalid() -> ApiError {
    let detail = "this cursor belongs to another list or order: begin without one";
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_cursor", detail)
}

/// A page of a list; `position` tells where its last item stands.
pub(super) fn page<S, T>(
    items: Vec<S>,
    more: bool,
    kind: &str,
    position: impl Fn(&S) -> String,
    convert: impl FnMut(S) -> T,
) -> List<T> {
    let next_cursor = items.last().filter(|_| more).map(|last| encode(kind, &position(last)));
    List { items: items.into_iter().map(convert).collect(), next_cursor }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cursors_read_back_and_only_for_their_list(position in ".*") {
            let cursor = encode("documents-", &position);
            prop_assert_eq!(decode("documents-", &cursor).unwrap(), position);
            prop_assert!(decode("documents", &cursor).is_err());
        }

        #[test]
        fn no_cursor_panics(cursor in ".*") {
            let _ = decode("sessions", &cursor);
        }
    }
}
