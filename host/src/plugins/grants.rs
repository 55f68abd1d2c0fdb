//! What a plugin may do: asked by its manifest ∩ granted by the operator. Pure, so that it is tested without a guest.

use url::Host;

use crate::config::GrantConfig;
use crate::types::Role;

/// Something that a plugin can't do unless it asked for it and was granted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Requests to listed origins.
    Http,
}

impl Capability {
    /// All capabilities.
    pub const ALL: [Capability; 1] = [Capability::Http];

    /// The name in manifests and in config.
    pub fn as_str(self) -> &'static str {
        match self {
            Capability::Http => "http",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.as_str() == name)
    }

    /// Whether the role's world has it at all.
    pub fn fits(self, role: Role) -> bool {
        match self {
            Capability::Http => matches!(role, Role::Embedder | Role::Generator),
        }
    }
}

/// What a guest wants to do.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// Run at all.
    Load,
    /// Import the capability's interface.
    Import(Capability),
    /// Send a request to an origin.
    Http {
        /// `http` or `https`.
        scheme: &'a str,
        /// Name or address as URLs normalise it, without brackets.
        host: &'a str,
        /// Always present; the caller fills in the scheme's default.
        port: u16,
    },
}

/// The gatekeeper's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allowed,
    /// The manifest does not ask for it: the plugin's author has to.
    NotAsked,
    /// The config does not grant it: the operator has to.
    NotGranted,
    /// The config's grants are for a component with another hash.
    OtherComponent,
}

/// The effective capabilities of one build of a plugin.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    asked: Vec<Capability>,
    http: Vec<Origin>,
    other_component: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: Option<String>,
    /// Normalised like the host of a URL, so that there is one spelling of an address.
    host: Host<String>,
    port: u16,
}

impl Grants {
    /// From a manifest's wishes and the operator's grants for this plugin; `sha256` is that of its component, in hex.
    pub fn new(asked: Vec<Capability>, granted: Option<&GrantConfig>, sha256: &str) -> Self {
        let origins = granted.map_or(&[] as &[_], |grant| grant.http.as_slice());
        let pinned = granted.and_then(|grant| grant.sha256.as_deref());
        Self {
            asked,
            http: origins.iter().filter_map(|text| Origin::parse(text)).collect(),
            other_component: pinned.is_some_and(|pinned| pinned != sha256),
        }
    }

    /// Whether the request is both asked for and granted.
    pub fn check(&self, request: &Request<'_>) -> Decision {
        if self.other_component {
            return Decision::OtherComponent;
        }
        let (capability, granted) = match *request {
            Request::Load => return Decision::Allowed,
            Request::Import(Capability::Http) => (Capability::Http, !self.http.is_empty()),
            Request::Http { scheme, host, port } => {
                (Capability::Http, self.http.iter().any(|origin| origin.covers(scheme, host, port)))
            }
        };
        match (self.asked.contains(&capability), granted) {
            (false, _) => Decision::NotAsked,
            (true, false) => Decision::NotGranted,
            (true, true) => Decision::Allowed,
        }
    }

    /// Names of what the manifest asks for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.iter().map(|capability| capability.as_str().to_owned()).collect()
    }

    /// Names of what is both asked for and granted.
    pub fn granted(&self) -> Vec<String> {
        let allowed =
            |capability: &&Capability| self.check(&Request::Import(**capability)) == Decision::Allowed;
        self.asked.iter().filter(allowed).map(|capability| capability.as_str().to_owned()).collect()
    }
}

impl Origin {
    /// `host:port` or `scheme://host:port`; anything else grants nothing.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        let (host, port) = rest.rsplit_once(':')?;
        Some(Self { scheme, host: Host::parse(host).ok()?, port: port.parse().ok()? })
    }

    fn covers(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.scheme.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(scheme))
            && self.port == port
            && match &self.host {
                Host::Domain(name) => name == host,
                Host::Ipv4(address) => host.parse() == Ok(*address),
                Host::Ipv6(address) => host.parse() == Ok(*address),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(asked: &[Capability], origins: &[&str]) -> Grants {
        let config = GrantConfig {
            http: origins.iter().map(|text| (*text).to_owned()).collect(),
            ..GrantConfig::default()
        };
        Grants::new(asked.to_vec(), Some(&config), "ab12")
    }

    #[test]
    fn grants_for_one_component_are_for_no_other() {
        let config = |pin: Option<&str>| GrantConfig {
            http: vec!["127.0.0.1:80".into()],
            sha256: pin.map(str::to_owned),
            ..GrantConfig::default()
        };
        let requests = [
            Request::Load,
            Request::Import(Capability::Http),
            Request::Http { scheme: "http", host: "127.0.0.1", port: 80 },
        ];
        for (pin, expected) in [
            (None, Decision::Allowed),
            (Some("ab12"), Decision::Allowed),
            (Some("ab13"), Decision::OtherComponent),
            (Some(""), Decision::OtherComponent),
        ] {
            let grants = Grants::new(vec![Capability::Http], Some(&config(pin)), "ab12");
            requests.iter().for_each(|request| assert_eq!(grants.check(request), expected, "{pin:?}"));
            assert_eq!(grants.granted().is_empty(), expected != Decision::Allowed);
        }
    }

    #[test]
    fn effective_is_asked_and_granted() {
        let http = [Capability::Http];
        let table = [
            (grants(&[], &[]), Decision::NotAsked),
            (grants(&[], &["127.0.0.1:80"]), Decision::NotAsked),
            (grants(&http, &[]), Decision::NotGranted),
            (grants(&http, &["nonsense"]), Decision::NotGranted),
            (grants(&http, &["127.0.0.1:80"]), Decision::Allowed),
        ];
        for (grants, expected) in table {
            assert_eq!(grants.check(&Request::Import(Capability::Http)), expected, "{grants:?}");
            assert_eq!(grants.granted().is_empty(), expected != Decision::Allowed);
        }
    }

    #[test]
    fn origins_match_exactly() {
        let grants = grants(
            &[Capability::Http],
            &["127.0.0.1:11434", "https://API.example:443", "[::1]:80", "0x7f.2:80"],
        );
        let table = [
            ("http", "127.0.0.1", 11434, true),
            ("https", "127.0.0.1", 11434, true),
            ("http", "127.0.0.1", 11435, false),
            ("http", "127.0.0.1.evil.example", 11434, false),
            ("https", "api.example", 443, true),
            ("http", "api.example", 443, false),
            ("https", "sub.api.example", 443, false),
            ("http", "::1", 80, true),
            ("http", "127.0.0.2", 80, true),
            ("http", "::ffff:127.0.0.1", 11434, false),
        ];
        for (scheme, host, port, allowed) in table {
            let decision = grants.check(&Request::Http { scheme, host, port });
            assert_eq!(decision == Decision::Allowed, allowed, "{scheme}://{host}:{port}");
        }
    }
}
