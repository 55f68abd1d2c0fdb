//! From what a guest asks for to a request that may be sent. Pure, but for reading secrets.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Uri};
use url::{Host, Url};

use super::secrets::{Secrets, Used};
use super::{Error, Limits};
use crate::plugins::grants::{self, Decision, Grants};

const URL_BYTES_MAX: usize = 16 << 10;

/// Of one hop, or the host's own to set.
const FORBIDDEN: &[&str] = &[
    "connection",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a request may not bring the header, of a name in lower case.
pub fn is_forbidden(name: &str) -> bool {
    FORBIDDEN.contains(&name)
}

/// What goes up: whole, or a stream.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What a guest asks for.
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// In order; a name may come several times. Values may hold `{{secret:NAME}}`.
    pub headers: Vec<(String, String)>,
    /// See [`whole`].
    pub body: Body,
    /// Until the head of the answer; the host's own if absent.
    pub first_byte_timeout: Option<Duration>,
    /// Between two pieces of the body; the host's own if absent.
    pub idle_timeout: Option<Duration>,
}

/// A body that is there already.
pub fn whole(bytes: Vec<u8>) -> Body {
    http_body_util::Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync()
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub https: bool,
    /// Normalised by the rules of URLs: `0x7f.1` is an address here, and lower case.
    pub host: Host<String>,
    pub port: u16,
    path: String,
}

impl Target {
    /// Reads an absolute URL.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |what: &str| Error::Invalid(format!("the URL {what}"));
        if text.len() > URL_BYTES_MAX {
            return Err(invalid(&format!("is longer than {URL_BYTES_MAX} bytes")));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(invalid("has white space or control characters in it: percent-encode them"));
        }
        let url = Url::parse(text).map_err(|error| invalid(&format!("can't be read: {error}")))?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(invalid("must begin with http:// or https://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("must not have a user or password in it: send a header instead"));
        }
        let host = url.host().ok_or_else(|| invalid("has no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| invalid("has no port"))?;
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        Ok(Self { https, host, port, path: format!("{}{query}", url.path()) })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// `host:port`, as it stands in a grant.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether the operator granted exactly this.
    pub fn check(&self, plugin: &str, grants: &Grants) -> Result<(), Error> {
        let host = match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let request = grants::Request::Http { scheme: self.scheme(), host: &host, port: self.port };
        match grants.check(&request) {
            Decision::Allowed => Ok(()),
            Decision::NotAsked => Err(Error::Denied(format!(
                "the plugin.toml of {plugin} does not ask for `http`: add `http = {{ why = \"…\" }}` to [capabilities]"
            ))),
            Decision::OtherComponent => {
                Err(Error::Denied(format!("the grants of {plugin} are for another build of it")))
            }
            Decision::NotGranted => Err(Error::Denied(format!(
                "{self} is not granted: `plugins.grants.{plugin}.http: [\"{}\"]` in the config would grant it",
                self.authority()
            ))),
        }
    }

    /// As the `Host` header has it.
    fn host_header(&self) -> String {
        let default = if self.https { 443 } else { 80 };
        if self.port == default { self.host.to_string() } else { self.authority() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme(), self.host, self.port)
    }
}

/// A request that is ready to be sent.
pub struct Prepared {
    pub request: hyper::Request<Body>,
    /// Bytes of the body that were sent so far.
    pub sent: Arc<AtomicU64>,
}

/// Ready to be sent, and the secrets in it.
pub fn prepare(
    request: Request,
    target: &Target,
    secrets: &Secrets,
    limits: &Limits,
) -> Result<(Prepared, Vec<Used>), Error> {
    let mut used = Vec::new();
    let mut headers = headers(&request.headers, secrets, limits, &mut used)?;
    let host = HeaderValue::try_from(target.host_header())
        .map_err(|_| Error::Invalid("the URL's host can't be sent".into()))?;
    headers.insert(HOST, host);
    let agent = HeaderValue::from_static(concat!("smartrag/", env!("CARGO_PKG_VERSION")));
    headers.entry(USER_AGENT).or_insert(agent);
    let size = hyper::body::Body::size_hint(&request.body).lower();
    if size > limits.request_bytes_max {
        let message = format!("the request's body has more than {} bytes", limits.request_bytes_max);
        return Err(Error::Limit("http-body", message));
    }
    check_length(&mut headers, hyper::body::Body::size_hint(&request.body).exact())?;
    // A stream says only as it comes how long it is.
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let body = Limited::new(request.body, limits.request_bytes_max as usize).inspect_frame(move |frame| {
        counter.fetch_add(frame.data_ref().map_or(0, Bytes::len) as u64, Ordering::Relaxed);
    });
    let mut ready = hyper::Request::new(body.boxed_unsync());
    *ready.method_mut() = method(&request.method)?;
    *ready.uri_mut() = Uri::try_from(&target.path)
        .map_err(|error| Error::Invalid(format!("the URL's path can't be sent: {error}")))?;
    *ready.headers_mut() = headers;
    Ok((Prepared { request: ready, sent }, used))
}

/// A guest may say how long its body is, if it says the truth; where the host knows, the host says it.
fn check_length(headers: &mut HeaderMap, known: Option<u64>) -> Result<(), Error> {
    let told: Vec<_> =
        headers.get_all(CONTENT_LENGTH).iter().map(|value| value.to_str().ok()?.parse().ok()).collect();
    let fits = |told: &Option<u64>| told.is_some() && (known.is_none() || *told == known);
    if told.len() > 1 || !told.iter().all(fits) {
        return Err(Error::Invalid(
            "header \"content-length\" is not the body's length: leave it out".into(),
        ));
    }
    if known.is_some() {
        headers.remove(CONTENT_LENGTH);
    }
    Ok(())
}

fn method(name: &str) -> Result<Method, Error> {
    let refused =
        |why: &str| Error::Invalid(format!("method {:?} {why}", name.chars().take(32).collect::<String>()));
    match Method::from_bytes(name.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) => Err(refused("is not for plugins")),
        Ok(method) if name.len() <= 32 => Ok(method),
        _ => Err(refused("is none: use GET, POST or the like")),
    }
}

fn headers(
    given: &[(String, String)],
    secrets: &Secrets,
    limits: &Limits,
    used: &mut Vec<Used>,
) -> Result<HeaderMap, Error> {
    let mut map = HeaderMap::new();
    let mut bytes = 0;
    for (name, value) in given {
        let shown: String = name.chars().take(64).collect();
        let invalid = |what: &str| Error::Invalid(format!("header {shown:?} {what}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("has no valid name"))?;
        if is_forbidden(name.as_str()) {
            return Err(invalid("is set by the host: leave it out"));
        }
        if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(invalid("has a control character in its value, such as a line break: remove it"));
        }
        let filled = secrets.fill(value, used)?;
        bytes += name.as_str().len() + filled.len() + 4;
        if map.len() == limits.headers_max || bytes > limits.header_bytes_max {
            let Limits { headers_max, header_bytes_max, .. } = limits;
            let message = format!("more than {headers_max} headers or {header_bytes_max} bytes of them");
            return Err(Error::Limit("http-headers", message));
        }
        let mut value = HeaderValue::from_bytes(&filled).map_err(|_| invalid("has no valid value"))?;
        value.set_sensitive(true);
        map.append(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::GrantConfig;
    use crate::plugins::grants::Capability;

    fn allowed(origins: &[&str], url: &str) -> bool {
        let http = origins.iter().map(|text| (*text).to_owned()).collect();
        let grants =
            Grants::new(vec![Capability::Http], Some(&GrantConfig { http, ..GrantConfig::default() }), "");
        Target::parse(url).is_ok_and(|target| target.check("p", &grants).is_ok())
    }

    #[test]
    fn one_address_has_many_spellings() {
        let loopback = ["127.0.0.1:80"];
        for url in [
            "http://127.0.0.1",
            "http://127.0.0.1:80/x?y#z",
            "HTTP://127.0.0.1",
            "http://0x7f.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://%31%32%37.0.0.1/",
            "http://１２７.0.0.1/",
            "http:\\\\127.0.0.1\\x",
        ] {
            assert!(allowed(&loopback, url), "{url} is what was granted");
            assert!(!allowed(&["api.example:80"], url), "{url} is not what was granted");
        }
        for url in [
            "http://[::ffff:127.0.0.1]/",
            "http://[::1]/",
            "http://localhost/",
            "http://127.0.0.1.:81/",
            "http://127.0.0.1:8080/",
            "http://127.0.0.2/",
            "http://127.0.0.1@169.254.169.254/",
            "http://169.254.169.254/#@127.0.0.1:80",
            "https://127.0.0.1/",
            "http://127.0.0.1.example/",
            "http://user@127.0.0.1/",
            "http://:pw@127.0.0.1/",
            "http://256.0.0.1/",
            "ftp://127.0.0.1:80/",
            "file:///etc/passwd",
            "http://",
            "//127.0.0.1/",
            "",
            "http://127.0.0.1\r\nx: y/",
            "http://127.0.0.1/ x",
            "http://127.0.0.1\t/",
        ] {
            assert!(!allowed(&loopback, url), "{url}");
        }
    }

    proptest! {
        #[test]
        fn every_spelling_of_an_address_is_that_address(
            bits in any::<u32>(),
            parts in 1usize..=4,
            radix in prop::collection::vec(0usize..3, 4),
        ) {
            // All parts but the last are one byte, the last is what remains.
            let last = 8 * (5 - parts as u32);
            let mut numbers: Vec<u32> = (1..parts as u32).map(|at| bits >> (32 - 8 * at) & 0xff).collect();
            numbers.push((u64::from(bits) & ((1 << last) - 1)) as u32);
            let spelled = |(number, radix): (&u32, &usize)| match radix {
                0 => format!("{number}"),
                1 => format!("0x{number:x}"),
                _ => format!("0{number:o}"),
            };
            let host = numbers.iter().zip(&radix).map(spelled).collect::<Vec<_>>().join(".");
            let target = Target::parse(&format!("http://{host}:7/")).unwrap();
            prop_assert_eq!(target.host, Host::<String>::Ipv4(bits.into()), "{}", host);
        }
    }

    #[test]
    fn names_match_as_a_whole() {
        let origins =
            ["https://api.example:443", "localhost:80", "[::1]:80", "bücher.example:80", "0x7f.2:80"];
        for (url, expected) in [
            ("https://API.example/v1", true),
            ("https://api.example:443", true),
            ("http://api.example:443", false),
            ("https://api.example./", false),
            ("https://api.example.evil/", false),
            ("https://evil-api.example/", false),
            ("http://localhost", true),
            ("http://localhost.", false),
            ("http://LOCALHOST", true),
            ("http://x.localhost", false),
            ("http://[0:0:0:0:0:0:0:1]/", true),
            ("http://[::1]:81/", false),
            ("http://127.0.0.2/", true),
        ] {
            assert_eq!(allowed(&origins, url), expected, "{url}");
        }
    }

    fn sent(method: &str, headers: &[(&str, &str)]) -> Result<hyper::Request<Body>, Error> {
        let request = Request {
            method: method.into(),
            url: String::new(),
            headers: headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            body: whole(b"12345".to_vec()),
            first_byte_timeout: None,
            idle_timeout: None,
        };
        let target = Target::parse("http://[::1]:8080/a b".replace(' ', "%20").as_str())?;
        let limits =
            Limits { request_bytes_max: 5, header_bytes_max: 200, headers_max: 4, ..Limits::default() };
        prepare(request, &target, &Secrets::default(), &limits).map(|(prepared, _)| prepared.request)
    }

    #[test]
    fn heads_are_whole_and_without_surprises() {
        let request = sent("post", &[("X-A", "1"), ("x-a", "2")]).unwrap();
        assert_eq!(request.uri(), "/a%20b");
        assert_eq!(request.headers()["host"], "[::1]:8080");
        assert_eq!(request.headers().get_all("x-a").iter().count(), 2);
        assert!(sent("GET", &[("content-length", "5")]).unwrap().headers().get("content-length").is_none());
        assert!(sent("GET", &[("content-length", "5"), ("content-length", "5")]).is_err());
        for (method, name, value) in [
            ("GET", "x", "a\r\nhost: evil"),
            ("GET", "x", "a\nb"),
            ("GET", "x", "a\0b"),
            ("GET", "x\r\ny", "a"),
            ("GET", "x y", "a"),
            ("GET", "", "a"),
            ("GET", "Host", "evil"),
            ("GET", "Transfer-Encoding", "chunked"),
            ("GET", "content-length", "4"),
            ("GET", "content-length", "5, 5"),
            ("GET", "content-length", "x"),
            ("GET", "Connection", "keep-alive"),
            ("GET", "upgrade", "h2c"),
            ("GET / HTTP/1.1\r\nx:", "x", "a"),
            ("CONNECT", "x", "a"),
            ("", "x", "a"),
        ] {
            let error = sent(method, &[(name, value)]).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{method} {name} {value}: {error}");
        }
        let long = "x".repeat(200);
        assert!(matches!(sent("GET", &[("x", &long)]), Err(Error::Limit("http-headers", _))));
        assert!(matches!(sent("GET", &[("x", "1"); 5]), Err(Error::Limit("http-headers", _))));
    }
}
