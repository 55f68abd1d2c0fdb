//! Plugins and model files: those that are there, and those that the config needs.

use std::collections::BTreeSet;

use super::Check;
use crate::config::Config;
use crate::wire::{PluginModelFile, PluginRecord};

const BRING: &str = "build the plugins with `./scripts/build-plugins.sh`, or set plugins.dir";

pub(super) fn checks(config: &Config, installed: &[PluginRecord]) -> Vec<Check> {
    let needed = needed(config);
    let mut checks = vec![overview(installed)];
    checks.extend(installed.iter().filter_map(|plugin| broken(plugin, &needed)));
    checks.extend(installed.iter().filter_map(unfenced));
    checks.extend(absent(&needed, installed));
    checks.push(parsers(installed));
    for plugin in installed {
        let is_needed = needed.contains(plugin.name.as_str());
        checks.extend(plugin.models.iter().map(|file| model(plugin, file, is_needed)));
    }
    checks
}

/// Plugins that the config names.
fn needed(config: &Config) -> BTreeSet<&str> {
    let backends = config.backends.named.values().map(|backend| &backend.plugin);
    let enrichers = config.ingest.enrichers.iter().flatten();
    let rest = std::iter::once(&config.embedder).chain(&config.search.reranker);
    backends.chain(enrichers).chain(rest).map(|plugin| plugin.plugin.as_str()).collect()
}

fn overview(installed: &[PluginRecord]) -> Check {
    let ready = installed.iter().filter(|plugin| plugin.problem.is_none()).count();
    let ungranted = installed.iter().filter(|plugin| plugin.state == "ungranted").count();
    let said = format!("{ready} of {} ready, {ungranted} without a grant", installed.len());
    if installed.is_empty() { Check::fail("plugins", said, BRING) } else { Check::ok("plugins", said) }
}

/// A broken plugin that nobody needs is a warning.
fn broken(plugin: &PluginRecord, needed: &BTreeSet<&str>) -> Option<Check> {
    let is_needed = needed.contains(plugin.name.as_str());
    // What nobody granted anything is not meant to be used.
    let problem = plugin.problem.as_ref().filter(|_| is_needed || plugin.state != "ungranted")?;
    let said = format!("{}: {problem}", plugin.name);
    let hint = match plugin.kind.as_str() {
        "native" => format!("see plugins.native.{} in the config", plugin.name),
        _ => format!("rebuild or remove the plugin {}", plugin.name),
    };
    Some(if is_needed { Check::fail("plugin", said, hint) } else { Check::warn("plugin", said, hint) })
}

/// Native plugins are listed one by one: each has all rights of the daemon.
fn unfenced(plugin: &PluginRecord) -> Option<Check> {
    let is_running = plugin.kind == "native" && plugin.problem.is_none();
    let said = || format!("{} {} runs unfenced, sha256:{}", plugin.name, plugin.version, plugin.sha256);
    is_running.then(|| Check::ok("native", said()))
}

fn absent<'a>(needed: &'a BTreeSet<&str>, installed: &'a [PluginRecord]) -> impl Iterator<Item = Check> + 'a {
    let is_there = |name: &&str| installed.iter().any(|plugin| plugin.name == *name);
    let gone = needed.iter().filter(move |name| !is_there(name));
    gone.map(|name| Check::fail("plugin", format!("{name} is named in the config but not installed"), BRING))
}

fn parsers(installed: &[PluginRecord]) -> Check {
    let ready = installed.iter().filter(|plugin| plugin.problem.is_none());
    let types: BTreeSet<&str> = ready.flat_map(|plugin| &plugin.file_types).map(String::as_str).collect();
    if types.is_empty() {
        return Check::fail("parsers", "no parser is ready: no document can be read", BRING);
    }
    Check::ok("parsers", format!("{} file types", types.len()))
}

fn model(plugin: &PluginRecord, file: &PluginModelFile, is_needed: bool) -> Check {
    let name = format!("{} of {}", file.name, plugin.name);
    let Some(problem) = file.problem.as_ref().filter(|_| !file.present) else {
        return Check::ok("model", name);
    };
    let said = format!("{name}: {problem}");
    let hint = "fetch it, or see `models.dir` in the config";
    if is_needed { Check::fail("model", said, hint) } else { Check::warn("model", said, hint) }
}

/// Everything by hash, and who may leave the machine.
pub(super) fn inventory(config: &Config, installed: &[PluginRecord]) -> Vec<Check> {
    let mut checks = Vec::new();
    for plugin in installed {
        let said = format!("plugin {} {} sha256:{}", plugin.name, plugin.version, plugin.sha256);
        checks.push(Check::ok("offline", said));
        for file in &plugin.models {
            let state = if file.present { "" } else { " (missing)" };
            checks.push(Check::ok("offline", format!("model {} sha256:{}{state}", file.name, file.sha256)));
        }
    }
    let leaving: Vec<_> = installed.iter().flat_map(|plugin| leaving(config, plugin)).collect();
    checks.extend(leaving.iter().map(|(name, origin)| {
        let said = format!("{name} may leave this machine: {origin}");
        Check::warn("offline", said, format!("remove it from plugins.grants.{name}.http to stay offline"))
    }));
    let natives: Vec<_> = installed.iter().filter(|plugin| unfenced(plugin).is_some()).collect();
    checks.extend(natives.iter().map(|plugin| {
        let said = format!("{} is native code: nothing keeps it from the network", plugin.name);
        Check::warn("offline", said, format!("remove plugins.native.{} to be sure", plugin.name))
    }));
    if leaving.is_empty() && natives.is_empty() {
        checks.push(Check::ok("offline", "no plugin has a grant to leave this machine"));
    }
    checks
}

/// Granted origins of other machines, where the plugin asks for the network at all.
fn leaving<'a>(config: &'a Config, plugin: &'a PluginRecord) -> Vec<(&'a str, &'a str)> {
    let asks = plugin.capabilities.asked.iter().any(|asked| asked == "http");
    let grant = config.plugins.grants.get(&plugin.name).filter(|_| asks);
    let origins = grant.iter().flat_map(|grant| &grant.http).filter(|origin| !is_loopback(origin));
    origins.map(|origin| (plugin.name.as_str(), origin.as_str())).collect()
}

/// `host:port` or `scheme://host:port` of this machine.
fn is_loopback(origin: &str) -> bool {
    let address = origin.rsplit_once("//").map_or(origin, |(_, address)| address);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Level;
    use super::*;
    use crate::types::JsonMap;
    use crate::wire::Capabilities;

    fn plugin(name: &str, role: &str) -> PluginRecord {
        PluginRecord {
            name: name.into(),
            version: "0.1.0".into(),
            role: role.into(),
            description: String::new(),
            kind: "wasm".into(),
            wit: "0.1.0".into(),
            sha256: "ab".into(),
            size_bytes: 1,
            file_types: if role == "parser" { vec!["txt".into()] } else { vec![] },
            imports: vec![],
            capabilities: Capabilities::default(),
            limits: JsonMap::new(),
            models: vec![],
            state: "ready".into(),
            problem: None,
            calls: 0,
            traps: 0,
            breaches: Default::default(),
            log_lines_dropped: 0,
            notice: None,
            busy_us: 0,
            memory_peak_bytes: 0,
            egress: Vec::new(),
            egress_refused: 0,
        }
    }

    fn usual() -> Vec<PluginRecord> {
        vec![plugin("static-embed", "embedder"), plugin("extractive", "generator"), plugin("text", "parser")]
    }

    fn worst(installed: &[PluginRecord]) -> (Level, String) {
        let checks = checks(&Config::with_data_dir(Path::new("/d")), installed);
        let worst = checks.into_iter().max_by_key(|check| check.level).unwrap();
        (worst.level, worst.detail)
    }

    #[test]
    fn the_defaults_need_an_embedder_a_generator_and_a_parser() {
        assert_eq!(worst(&usual()).0, Level::Ok);
        for gone in 0..3 {
            let mut installed = usual();
            installed.remove(gone);
            assert_eq!(worst(&installed).0, Level::Fail, "without {:?}", usual()[gone].name);
        }
    }

    #[test]
    fn a_missing_model_fails_only_where_it_is_needed() {
        let file = PluginModelFile {
            name: "weights".into(),
            sha256: "cd".into(),
            present: false,
            problem: Some("run fetch".into()),
        };
        let mut installed = usual();
        installed.push(PluginRecord { models: vec![file.clone()], ..plugin("other", "embedder") });
        assert_eq!(worst(&installed), (Level::Warn, "weights of other: run fetch".into()));
        installed[0].models.push(file);
        assert_eq!(worst(&installed).0, Level::Fail);
    }

    #[test]
    fn native_plugins_are_listed_and_never_sure_to_stay() {
        let config = Config::with_data_dir(Path::new("/d"));
        let native = PluginRecord { kind: "native".into(), ..plugin("gpu", "embedder") };
        let mut installed = usual();
        installed.push(native);
        let listed = checks(&config, &installed).into_iter().find(|check| check.name == "native").unwrap();
        assert_eq!((listed.level, listed.detail), (Level::Ok, "gpu 0.1.0 runs unfenced, sha256:ab".into()));
        let told = inventory(&config, &installed);
        assert!(told.iter().any(|check| check.level == Level::Warn && check.detail.contains("native code")));
        assert!(!told.iter().any(|check| check.detail.contains("no plugin has a grant")));
        installed[3].problem = Some("gone".into());
        let broken =
            checks(&config, &installed).into_iter().find(|check| check.level == Level::Warn).unwrap();
        assert!(broken.hint.unwrap().contains("plugins.native.gpu"));
    }

    #[test]
    fn only_grants_to_other_machines_leave() {
        for stays in ["127.0.0.1:11434", "http://[::1]:80", "localhost:1"] {
            assert!(is_loopback(stays), "{stays}");
        }
        for goes in ["10.0.0.5:80", "https://api.example.com:443"] {
            assert!(!is_loopback(goes), "{goes}");
        }
    }

    #[test]
    fn a_grant_counts_only_for_a_plugin_that_asks() {
        let mut config = Config::with_data_dir(Path::new("/d"));
        let http = vec!["api.example.com:443".to_owned(), "127.0.0.1:1".to_owned()];
        let grant = crate::config::GrantConfig { http, ..Default::default() };
        config.plugins.grants.insert("openai".into(), grant);
        let mut openai = plugin("openai", "generator");
        let worst = |openai: &PluginRecord| {
            let checks = inventory(&config, std::slice::from_ref(openai));
            checks.into_iter().map(|check| check.level).max()
        };
        assert_eq!(worst(&openai), Some(Level::Ok));
        openai.capabilities.asked = vec!["http".into()];
        assert_eq!(leaving(&config, &openai), [("openai", "api.example.com:443")]);
        assert_eq!(worst(&openai), Some(Level::Warn));
    }
}
