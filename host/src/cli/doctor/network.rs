//! Who could leave the machine: by grants, by `base_url` of the config, or because nothing fences it.

use std::net::IpAddr;

use super::check::Check;
use crate::config::Config;
use crate::plugins::not_public;
use crate::wire::PluginRecord;

/// How far an origin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Machine,
    Private,
    Elsewhere,
}

impl Reach {
    fn shown(self) -> &'static str {
        match self {
            Reach::Machine => "on this machine",
            Reach::Private => "in a private network",
            Reach::Elsewhere => "elsewhere",
        }
    }
}

/// All that can be told in one line; its last words are the verdict.
pub(super) fn check(config: &Config, installed: &[PluginRecord]) -> Check {
    let asking = installed.iter().flat_map(|plugin| asking(config, plugin));
    let traces = config.log.traces.as_deref().map(|url| ("log.traces", url, reach(url)));
    let asking: Vec<_> = asking.chain(traces).collect();
    let natives: Vec<&str> =
        installed.iter().filter(|plugin| is_unfenced(plugin)).map(|plugin| plugin.name.as_str()).collect();
    let told =
        asking.iter().map(|(name, origin, reach)| format!("{name} may ask {origin}, {}", reach.shown()));
    let told = told.chain(
        natives.iter().map(|name| format!("{name} is native code: nothing keeps it from the network")),
    );
    let mut told: Vec<String> = told.collect();
    let leaving = asking.iter().filter(|(_, _, reach)| *reach != Reach::Machine);
    let mut names: Vec<&str> = leaving.map(|(name, ..)| *name).chain(natives.iter().copied()).collect();
    names.dedup();
    if names.is_empty() {
        told.push("nothing may leave this machine".to_owned());
        return Check::ok("network", told.join("; "));
    }
    told.push(format!("what may leave this machine: {}", names.join(", ")));
    let hint = "to stay offline remove their `base_url`, `plugins.grants.NAME.http` or `plugins.native.NAME` from \
                the config, and `log.traces`";
    Check::warn("network", told.join("; "), hint)
}

/// Native plugins have all rights of the daemon.
pub(super) fn is_unfenced(plugin: &PluginRecord) -> bool {
    plugin.kind == "native" && plugin.problem.is_none()
}

/// Granted origins, where the plugin asks for the network at all. A `base_url` of the config is such a grant.
fn asking<'a>(config: &'a Config, plugin: &'a PluginRecord) -> Vec<(&'a str, &'a str, Reach)> {
    let asks = plugin.capabilities.asked.iter().any(|asked| asked == "http");
    let grant = config.plugins.grants.get(&plugin.name).filter(|_| asks);
    let origins = grant.iter().flat_map(|grant| &grant.http);
    origins.map(|origin| (plugin.name.as_str(), origin.as_str(), reach(origin))).collect()
}

/// Of `host:port` or `scheme://host:port`. A name may lead anywhere.
fn reach(origin: &str) -> Reach {
    let address = origin.rsplit_once("//").map_or(origin, |(_, address)| address);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    if host == "localhost" {
        return Reach::Machine;
    }
    match host.parse::<IpAddr>().ok().map(not_public) {
        Some(Some("loopback")) => Reach::Machine,
        Some(Some(_)) => Reach::Private,
        Some(None) | None => Reach::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::check::Level;
    use super::super::plugins::tests::{plugin, usual};
    use super::*;

    #[test]
    fn origins_are_told_apart() {
        for (origin, expected) in [
            ("127.0.0.1:11434", Reach::Machine),
            ("http://[::1]:80", Reach::Machine),
            ("localhost:1", Reach::Machine),
            ("10.0.0.5:80", Reach::Private),
            ("http://[fd00::1]:80", Reach::Private),
            ("https://api.example.com:443", Reach::Elsewhere),
            ("1.1.1.1:443", Reach::Elsewhere),
        ] {
            assert_eq!(reach(origin), expected, "{origin}");
        }
    }

    #[test]
    fn a_grant_counts_only_for_a_plugin_that_asks() {
        let mut config = Config::with_data_dir(Path::new("/d"));
        let http = vec!["127.0.0.1:1".to_owned(), "10.0.0.5:80".to_owned()];
        let grant = crate::config::GrantConfig { http, ..Default::default() };
        config.plugins.grants.insert("openai".into(), grant);
        let mut openai = plugin("openai", "generator");
        let told = check(&config, std::slice::from_ref(&openai));
        assert_eq!((told.level, told.detail.as_str()), (Level::Ok, "nothing may leave this machine"));
        openai.capabilities.asked = vec!["http".into()];
        let told = check(&config, std::slice::from_ref(&openai));
        assert_eq!(told.level, Level::Warn);
        assert_eq!(
            told.detail,
            "openai may ask 127.0.0.1:1, on this machine; openai may ask 10.0.0.5:80, in a private network; \
             what may leave this machine: openai"
        );
    }

    #[test]
    fn servers_of_this_machine_leave_nothing() {
        let mut config = Config::with_data_dir(Path::new("/d"));
        let grant =
            crate::config::GrantConfig { http: vec!["http://127.0.0.1:1".into()], ..Default::default() };
        config.plugins.grants.insert("openai".into(), grant);
        let mut openai = plugin("openai", "generator");
        openai.capabilities.asked = vec!["http".into()];
        let told = check(&config, &[openai]);
        assert_eq!(told.level, Level::Ok);
        assert!(told.detail.ends_with("; nothing may leave this machine"), "{}", told.detail);
    }

    #[test]
    fn traces_go_to_their_collector() {
        let mut config = Config::with_data_dir(Path::new("/d"));
        config.log.traces = Some("http://127.0.0.1:4318".into());
        assert_eq!(check(&config, &usual()).level, Level::Ok);
        config.log.traces = Some("http://collector.lan:4318/otlp".into());
        let told = check(&config, &usual());
        assert_eq!(told.level, Level::Warn);
        assert!(told.detail.ends_with("what may leave this machine: log.traces"), "{}", told.detail);
    }

    #[test]
    fn native_plugins_are_never_sure_to_stay() {
        let config = Config::with_data_dir(Path::new("/d"));
        let mut installed = usual();
        installed.push(PluginRecord { kind: "native".into(), ..plugin("gpu", "embedder") });
        let told = check(&config, &installed);
        assert_eq!(told.level, Level::Warn);
        assert!(told.detail.contains("native code") && told.detail.ends_with(": gpu"), "{}", told.detail);
        installed[3].problem = Some("gone".into());
        assert_eq!(check(&config, &installed).level, Level::Ok);
    }
}
