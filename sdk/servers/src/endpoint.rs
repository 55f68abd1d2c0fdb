use serde::Serialize;
use serde::de::DeserializeOwned;
use smartrag_sdk::http::{Request, Response};
use smartrag_sdk::{Error, Result};

use crate::failure::{failure, not_json};

/// Bytes of an answer that is read whole.
const BODY_MAX: usize = 32 << 20;

/// Waits for a server, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until the head of the answer; a model reads the whole prompt before.
    pub first_byte: u32,
    /// Between two pieces of it.
    pub idle: u32,
}

/// A server of models.
#[derive(Clone, Debug)]
pub struct Endpoint {
    base: String,
    secret: Option<String>,
}

impl Endpoint {
    /// At a URL such as `http://127.0.0.1:8080/v1`. `secret` names the one that goes along as a bearer token.
    ///
    /// # Errors
    /// A URL that is none.
    pub fn new(base: &str, secret: Option<&str>) -> Result<Self> {
        let base = base.trim().trim_end_matches('/');
        let host = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
        if host.is_none_or(str::is_empty) {
            return Err(Error::invalid_config(format!(
                "base_url {base:?} is no URL: it looks like http://127.0.0.1:8080"
            )));
        }
        Ok(Self { base: base.to_owned(), secret: secret.map(str::to_owned) })
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The same server without a last part of the path such as `/v1`.
    pub fn without(&self, part: &str) -> Self {
        let base = self.base.strip_suffix(part).unwrap_or(&self.base).to_owned();
        Self { base, secret: self.secret.clone() }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// Those of [`failure`]; an answer of another form.
    pub fn get<T: DeserializeOwned>(&self, path: &str, timeouts: Timeouts) -> Result<T> {
        let response = self.send(Request::get(self.url(path)), timeouts)?;
        self.whole(response)
    }

    /// Sends something and reads the answer whole.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        timeouts: Timeouts,
    ) -> Result<T> {
        self.whole(self.start(path, body, timeouts)?)
    }

    /// Sends something; the answer comes as it is made.
    ///
    /// # Errors
    /// Those of [`failure`].
    pub fn start(&self, path: &str, body: &impl Serialize, timeouts: Timeouts) -> Result<Response> {
        self.send(Request::post(self.url(path)).json(body)?, timeouts)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn send(&self, request: Request, timeouts: Timeouts) -> Result<Response> {
        let mut request = request.timeouts_ms(timeouts.first_byte, timeouts.idle);
        if let Some(secret) = &self.secret {
            request = request.header("authorization", format!("Bearer {{{{secret:{secret}}}}}"));
        }
        let response = request.send()?;
        if response.is_success() { Ok(response) } else { Err(failure(&self.base, response)) }
    }

    fn whole<T: DeserializeOwned>(&self, response: Response) -> Result<T> {
        let body = response.bytes(BODY_MAX)?;
        serde_json::from_slice(&body).map_err(|error| not_json(&self.base, &body, &error))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use smartrag_sdk::testing::{Answer, on_http};

    use super::*;

    const TIMEOUTS: Timeouts = Timeouts { first_byte: 1000, idle: 500 };

    #[test]
    fn requests_carry_the_key_and_the_waits() {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let sink = seen.clone();
        on_http(move |request| {
            sink.borrow_mut().push(request.clone());
            Ok(Answer { status: 200, pieces: vec![Ok(b"[1]".to_vec())], ..Answer::default() })
        });
        let endpoint = Endpoint::new("http://127.0.0.1:8080/v1/", Some("api_key")).unwrap();
        assert_eq!(endpoint.get::<Vec<u8>>("/models", TIMEOUTS).unwrap(), [1]);
        endpoint.without("/v1").post::<Vec<u8>>("/tokenize", &"x", TIMEOUTS).unwrap();
        let seen = seen.borrow();
        assert_eq!(
            (seen[0].method.as_str(), seen[0].url.as_str()),
            ("GET", "http://127.0.0.1:8080/v1/models")
        );
        assert_eq!((seen[0].first_byte_timeout_ms, seen[0].idle_timeout_ms), (Some(1000), Some(500)));
        assert!(seen[0].headers.iter().any(|header| header.value == "Bearer {{secret:api_key}}"));
        assert_eq!(seen[1].url, "http://127.0.0.1:8080/tokenize");
    }

    #[test]
    fn a_base_that_is_no_url_is_refused() {
        for wrong in ["", "127.0.0.1:8080", "http://", "ftp://host"] {
            assert!(Endpoint::new(wrong, None).unwrap_err().message.contains("no URL"), "{wrong}");
        }
    }
}
