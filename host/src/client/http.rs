use std::path::Path;
use std::time::Duration;

use reqwest::{RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Error, Result};
use crate::wire::{List, Problem};

const API: &str = "api/v1";
/// Largest page of a list that the API gives.
const PAGE: usize = 200;
/// Bytes of a foreign answer that we show.
const EXCERPT: usize = 200;

/// On whose behalf requests are made.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// In keys mode.
    pub api_key: Option<String>,
    /// In local mode: the user, where no session says who it is.
    pub user: Option<String>,
    /// The session of requests that carry none in their body.
    pub session: Option<String>,
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5))
}

/// A daemon. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// Its socket, where it is reached by that.
    socket: Option<String>,
    caller: Caller,
}

impl Client {
    /// Makes no connection yet.
    pub fn new(url: &str, caller: Caller) -> Result<Self> {
        let bad = || Error::BadUrl(url.to_owned());
        let mut base = Url::parse(url.trim_end_matches('/')).map_err(|_| bad())?;
        if base.scheme() != "http" || base.host().is_none() {
            return Err(bad());
        }
        base.set_query(None);
        let http = builder().build().map_err(|_| bad())?;
        Ok(Self { http, base, socket: None, caller })
    }

    /// That of a data directory, through its socket. Makes no connection yet.
    pub fn at_socket(path: &Path, caller: Caller) -> Result<Self> {
        let bad = || Error::BadUrl(path.display().to_string());
        let base = Url::parse("http://localhost").map_err(|_| bad())?;
        let http = builder().unix_socket(path).build().map_err(|_| bad())?;
        Ok(Self { http, base, socket: Some(path.display().to_string()), caller })
    }

    /// As people know it: the address that was given, or its socket.
    pub fn url(&self) -> &str {
        self.socket.as_deref().unwrap_or_else(|| self.base())
    }

    fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The session that the caller named.
    pub fn session_id(&self) -> Option<&str> {
        self.caller.session.as_deref()
    }

    /// A native call; `path` begins with a slash.
    pub(super) fn request(
        &self,
        method: reqwest::Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        let url = format!("{}/{API}{path}", self.base());
        let mut request = self.http.request(method, url).query(query);
        if let Some(key) = &self.caller.api_key {
            request = request.bearer_auth(key);
        }
        if let Some(user) = &self.caller.user {
            request = request.header("x-smartrag-user", user);
        }
        request
    }

    /// Sends and sorts out the failures.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| self.broken(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.broken(error))?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(Error::Problem { problem: Box::new(problem), retry_after }),
            Err(_) => Err(self.foreign(format!("{status}: {}", excerpt(&body)))),
        }
    }

    /// What went wrong below HTTP.
    pub(super) fn broken(&self, error: reqwest::Error) -> Error {
        let url = self.url().to_owned();
        if error.is_connect() {
            return Error::NoDaemon(url);
        }
        if error.is_decode() {
            return self.foreign(innermost(&error));
        }
        Error::Broken { url, detail: innermost(&error) }
    }

    pub(super) fn foreign(&self, detail: String) -> Error {
        Error::Foreign { url: self.url().to_owned(), detail }
    }

    fn with_session<'a>(&'a self, query: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let session = self.session_id().map(|id| ("session_id", id));
        query.iter().copied().chain(session).collect()
    }

    /// Any call, as JSON or text as it comes; a session of the caller goes along.
    pub async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<Value> {
        let session = if body.is_none() { self.with_session(&[]) } else { Vec::new() };
        let mut request = self.request(method, path, &session);
        if let Some(mut body) = body {
            if let (Some(fields), Some(session)) = (body.as_object_mut(), self.session_id()) {
                fields.insert("session_id".into(), session.into());
            }
            request = request.json(&body);
        }
        let response = self.send(request).await?;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        match kind.is_some_and(|kind| kind.starts_with("text/")) {
            true => response.text().await.map(Value::String),
            false => response.json().await,
        }
        .map_err(|error| self.broken(error))
    }

    /// `GET`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        self.get_without_session(path, &self.with_session(query)).await
    }

    /// `GET` of what names its session in the path.
    pub(super) async fn get_without_session<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T> {
        let response = self.send(self.request(reqwest::Method::GET, path, query)).await?;
        response.json().await.map_err(|error| self.broken(error))
    }

    /// `GET` of all pages of a list, up to `limit` items.
    pub async fn all<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: Option<usize>,
    ) -> Result<Vec<T>> {
        let most = limit.unwrap_or(usize::MAX);
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = (most - items.len()).min(PAGE).to_string();
            let mut query = query.to_vec();
            query.push(("limit", &page));
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let list: List<T> = self.get(path, &query).await?;
            items.extend(list.items);
            match list.next_cursor {
                Some(next) if items.len() < most => cursor = Some(next),
                _ => return Ok(items),
            }
        }
    }

    /// `POST` of a JSON body.
    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T> {
        self.post_with(path, &[], body).await
    }

    /// `POST` of a JSON body with parameters in the URL.
    pub async fn post_with<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: &B,
    ) -> Result<T> {
        let request = self.request(reqwest::Method::POST, path, query).json(body);
        self.send(request).await?.json().await.map_err(|error| self.broken(error))
    }

    /// `POST` without a body.
    pub async fn post_empty<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let query = self.with_session(&[]);
        let request = self.request(reqwest::Method::POST, path, &query);
        self.send(request).await?.json().await.map_err(|error| self.broken(error))
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Result<Response> {
        let query = self.with_session(&[]);
        self.send(self.request(reqwest::Method::DELETE, path, &query)).await
    }
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().filter(|c| !c.is_control()).take(EXCERPT).collect()
}

/// The cause behind the causes: the outer ones only repeat that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
