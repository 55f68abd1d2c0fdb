use serde_json::Value;
use smartrag_sdk::http::Response;
use smartrag_sdk::{Error, ErrorKind};

/// Bytes of an error that are read.
const ERROR_MAX: usize = 64 << 10;
/// Characters of it that are shown.
const SHOWN_MAX: usize = 300;
/// When a server that is starting is asked again, in milliseconds, unless it says when.
const STARTING_MS: u32 = 500;

/// What an answer with an error status means.
pub fn failure(base: &str, response: Response) -> Error {
    let status = response.status();
    let retry_after = response.header("retry-after").and_then(milliseconds);
    let body = response.bytes(ERROR_MAX).unwrap_or_default();
    let said = said(&body);
    let shown = if said.is_empty() { String::new() } else { format!(": {said}") };
    match status {
        401 | 403 => Error::upstream(format!(
            "{base} wants a key or refused the one it got (HTTP {status}){shown}; name the secret with api_key_secret"
        )),
        _ if is_unknown_model(status, &said) => {
            Error::other("unknown_model", format!("{base} does not have that model{shown}"))
        }
        404 => {
            Error::upstream(format!("{base} does not know this call (HTTP 404){shown}; is base_url right?"))
        }
        400 | 413 | 422 | 500 if is_too_long(status, &said) => {
            Error::limit("context", format!("the prompt is longer than the model's window{shown}"))
        }
        408 | 504 => Error::timeout(format!("{base} took too long (HTTP {status}){shown}")),
        429 => {
            Error::unavailable(format!("{base} has too much to do (HTTP 429){shown}")).retryable(retry_after)
        }
        502 | 503 => Error::unavailable(format!("{base} is not ready (HTTP {status}){shown}"))
            .retryable(retry_after.or(Some(STARTING_MS))),
        _ => Error::upstream(format!("{base} answered with HTTP {status}{shown}")),
    }
}

/// What an answer means that should have been JSON.
pub fn not_json(base: &str, body: &[u8], error: &serde_json::Error) -> Error {
    let what =
        if is_page(body) { "a page for people".to_owned() } else { format!("something else ({error})") };
    Error::new(ErrorKind::Upstream, format!("{base} answered with {what}, not with JSON; is base_url right?"))
}

fn is_unknown_model(status: u16, said: &str) -> bool {
    let said = said.to_lowercase();
    matches!(status, 400 | 404)
        && said.contains("model")
        && ["not found", "not exist", "not_found", "unknown", "no such"]
            .iter()
            .any(|word| said.contains(word))
}

fn is_too_long(status: u16, said: &str) -> bool {
    let said = said.to_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if status == 500 {
        // llama.cpp, of a text that it is to make a vector of.
        return names(&["too large to process", "larger than the max context"]);
    }
    names(&["context"]) && names(&["exceed", "length", "too long", "maximum"])
        || names(&["input"]) && names(&["tokens"]) && names(&["less than", "too long", "too large", "exceed"])
}

/// The message of an error, in whichever of the usual places it stands; nothing of a page for people.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let message = match serde_json::from_slice::<Value>(body) {
        Ok(value) => message_of(&value).unwrap_or_default(),
        Err(_) if is_page(body) => String::new(),
        Err(_) => text.into_owned(),
    };
    short(&message)
}

fn short(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// What a server says in place of an answer: the value of `error` or all of it.
pub(crate) fn told(error: &Value) -> Option<String> {
    (!error.is_null()).then(|| short(&message_of(error).unwrap_or_else(|| error.to_string())))
}

/// `{"error": {"message", "code"}}`, `{"error": "…"}`, `{"message": "…"}`, `{"detail": "…"}`.
fn message_of(value: &Value) -> Option<String> {
    let error = value.get("error").unwrap_or(value);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    text(error)
        .or_else(|| error.get("message").and_then(text))
        .or_else(|| error.get("detail").map(|detail| text(detail).unwrap_or_else(|| detail.to_string())))
}

fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// A date is not worth a calendar here: the usual pause follows.
fn milliseconds(retry_after: &str) -> Option<u32> {
    let seconds: f32 = retry_after.trim().parse().ok()?;
    (0.0..=86_400.0).contains(&seconds).then_some((seconds * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use smartrag_sdk::http::{Header, Request};
    use smartrag_sdk::testing::{Answer, on_http};

    use super::*;

    fn of(status: u16, body: &str, retry_after: Option<&str>) -> Error {
        let headers = retry_after.map(|value| Header { name: "Retry-After".into(), value: value.into() });
        let answer = Answer {
            status,
            headers: headers.into_iter().collect(),
            pieces: vec![Ok(body.as_bytes().to_vec())],
        };
        on_http(move |_| Ok(answer.clone()));
        failure("http://h", Request::get("http://h/").send().unwrap())
    }

    #[test]
    fn a_failure_is_told_by_what_can_be_done_about_it() {
        let starting =
            of(503, r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#, None);
        assert_eq!((starting.kind, starting.retry_after_ms), (ErrorKind::Unavailable, Some(STARTING_MS)));
        assert!(starting.retryable && starting.message.ends_with("Loading model"), "{}", starting.message);
        let busy = of(429, r#"{"error":"slow down"}"#, Some("2.5"));
        assert_eq!(
            (busy.kind, busy.retryable, busy.retry_after_ms),
            (ErrorKind::Unavailable, true, Some(2500))
        );
        let dated = of(429, "", Some("Wed, 21 Oct 2026 07:28:00 GMT"));
        assert_eq!((dated.retryable, dated.retry_after_ms), (true, None));
        let long = r#"{"error":{"message":"the request exceeds the available context size"}}"#;
        assert_eq!(of(400, long, None).kind, ErrorKind::Limit("context".into()));
        for (status, long) in [
            (
                500,
                r#"{"error":{"message":"input (600 tokens) is too large to process. increase the physical batch size"}}"#,
            ),
            (
                413,
                r#"{"error":"Input validation error: `inputs` must have less than 512 tokens. Given: 600"}"#,
            ),
            (400, r#"{"error":"the input length exceeds the context length"}"#),
        ] {
            assert_eq!(of(status, long, None).kind, ErrorKind::Limit("context".into()), "{long}");
        }
        let memory = r#"{"error":{"message":"no memory: a context of this length exceeds it"}}"#;
        assert_eq!(of(500, memory, None).kind, ErrorKind::Upstream);
        let model = r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#;
        assert_eq!(of(404, model, None).kind, ErrorKind::Other("unknown_model".into()));
        assert!(of(404, "", None).message.contains("base_url"));
        assert!(of(401, "", None).message.contains("api_key_secret"));
        assert_eq!(of(504, "", None).kind, ErrorKind::Timeout);
        assert_eq!(of(500, "", None).kind, ErrorKind::Upstream);
    }

    #[test]
    fn what_the_server_said_is_shown_in_short() {
        let page = of(500, "<html><body>Oops</body></html>", None);
        assert_eq!(page.message, "http://h answered with HTTP 500");
        let endless = of(500, &"x\n".repeat(10_000), None);
        assert!(endless.message.chars().count() < SHOWN_MAX + 50);
        assert!(of(422, r#"{"detail":[{"msg":"bad"}]}"#, None).message.contains("bad"));
    }
}
