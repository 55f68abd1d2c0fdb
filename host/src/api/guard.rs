//! `Host` and `Origin` against an allow-list: no DNS rebinding, no requests from foreign pages.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowHeaders, CorsLayer};

use super::envelope::REQUEST_ID;
use super::error::{ApiError, Result};
use crate::config::ApiConfig;

/// How long a browser need not ask again.
const PREFLIGHT: Duration = Duration::from_secs(3600);

/// Who may be named as host and as origin.
#[derive(Debug)]
pub(super) struct Guard {
    /// Lower-case, `name` (any port) or `name:port`.
    hosts: Vec<String>,
    /// Lower-case, `scheme://host[:port]`.
    origins: Vec<String>,
}

impl Guard {
    pub fn new(config: &ApiConfig) -> Self {
        let lower = |list: &[String]| {
            list.iter().map(|entry| entry.trim_end_matches('/').to_ascii_lowercase()).collect::<Vec<_>>()
        };
        let mut hosts = lower(&config.allowed_hosts);
        for bind in [config.bind, config.ui_bind] {
            if !bind.ip().is_unspecified() {
                hosts.push(name_of_ip(bind.ip()));
            }
        }
        Self { hosts, origins: lower(&config.allowed_origins) }
    }

    /// What browsers want to hear before pages of the allowed origins may call and read; `None` without any.
    pub fn cors(&self) -> Option<CorsLayer> {
        let origins: Vec<HeaderValue> =
            self.origins.iter().filter_map(|origin| origin.parse().ok()).collect();
        let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let told =
            [header::ETAG, header::LOCATION, header::RETRY_AFTER, header::CONTENT_DISPOSITION, REQUEST_ID];
        (!origins.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(origins)
                .allow_methods(methods)
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers(told)
                .max_age(PREFLIGHT)
        })
    }

    /// Whether a request with these headers may pass.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<()> {
        let host =
            uri.authority().map(|authority| authority.as_str()).or_else(|| text(headers, header::HOST));
        match host {
            Some(host) if self.allows_host(host) => {}
            _ => return Err(host_not_allowed(host)),
        }
        match text(headers, header::ORIGIN) {
            Some(origin) if !self.allows_origin(origin) => Err(origin_not_allowed(origin)),
            _ => Ok(()),
        }
    }

    fn allows_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let name = without_port(&host);
        is_loopback(name) || self.hosts.iter().any(|entry| *entry == host || *entry == name)
    }

    fn allows_origin(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        self.origins.contains(&origin) || host.is_some_and(|host| self.allows_host(host))
    }
}

/// Lets a request pass or answers 403.
pub(super) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    // what is no text is no name that could be allowed
    headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"))
}

/// `[::1]:80` and `name:80` without the port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            if name.contains(':') && !name.starts_with('[') {
                host
            } else {
                name
            }
        }
        _ => host,
    }
}

fn is_loopback(name: &str) -> bool {
    let ip = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn name_of_ip(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn host_not_allowed(host: Option<&str>) -> ApiError {
    let got = host.map_or("no Host header".into(), |host| format!("Host {host:?}"));
    let detail = format!("{got} is not allowed: use localhost, or add the name to api.allowed_hosts");
    ApiError::new(StatusCode::FORBIDDEN, "host_not_allowed", detail)
}

fn origin_not_allowed(origin: &str) -> ApiError {
    let detail = format!("Origin {origin:?} is not allowed: add it to api.allowed_origins");
    ApiError::new(StatusCode::FORBIDDEN, "origin_not_allowed", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard {
            hosts: vec!["rag.lan".into(), "box:9000".into(), "192.168.1.5".into()],
            origins: vec!["https://notes.example".into()],
        }
    }

    #[test]
    fn hosts() {
        let allowed = [
            "localhost",
            "LocalHost:8765",
            "127.0.0.1:1",
            "127.8.8.8",
            "[::1]",
            "[::1]:8765",
            "rag.lan",
            "rag.lan:80",
            "box:9000",
            "192.168.1.5:8765",
        ];
        let refused = [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "box",
            "box:9001",
            "[::2]",
            "evil.example:localhost",
            "localhost:80:90",
            "user@localhost",
            "192.168.1.50",
        ];
        for host in allowed {
            assert!(guard().allows_host(host), "{host}");
        }
        for host in refused {
            assert!(!guard().allows_host(host), "{host}");
        }
    }

    #[test]
    fn origins() {
        for origin in
            ["http://localhost:8501", "https://127.0.0.1", "http://rag.lan", "https://notes.example"]
        {
            assert!(guard().allows_origin(origin), "{origin}");
        }
        for origin in
            ["null", "", "https://evil.example", "http://notes.example", "file://localhost", "localhost"]
        {
            assert!(!guard().allows_origin(origin), "{origin}");
        }
    }
}
