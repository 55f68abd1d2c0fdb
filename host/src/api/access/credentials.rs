use axum::http::{HeaderMap, header};

use super::unauthenticated;
use crate::api::error::Result;

const KEY_HEADER: &str = "x-api-key";
const SCHEME: &str = "bearer";

/// The key that a request shows, as it stands there.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<String>> {
    let unreadable = || unauthenticated("the key has characters that no key has");
    if let Some(value) = headers.get(KEY_HEADER) {
        return Ok(Some(value.to_str().map_err(|_| unreadable())?.trim().to_owned()));
    }
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| unreadable())?;
    match text.trim().split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(SCHEME) => Ok(Some(key.trim().to_owned())),
        // Of another scheme, which a proxy in front may want: it names nobody here.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn shown(name: &'static str, value: &'static [u8]) -> Option<Option<String>> {
        let value = HeaderValue::from_bytes(value).unwrap();
        of(&HeaderMap::from_iter([(HeaderName::from_static(name), value)])).ok()
    }

    #[test]
    fn keys_stand_in_two_headers() {
        assert_eq!(shown("authorization", b"Bearer abc"), Some(Some("abc".into())));
        assert_eq!(shown("authorization", b"bearer  abc "), Some(Some("abc".into())));
        assert_eq!(shown("x-api-key", b"abc"), Some(Some("abc".into())));
        assert_eq!(shown("authorization", b"Basic abc"), Some(None));
        assert_eq!(shown("authorization", b"abc"), Some(None));
        assert_eq!(shown("accept", b"abc"), Some(None));
        assert_eq!(shown("x-api-key", b"\xff"), None);
    }
}
