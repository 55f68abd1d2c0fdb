//! Plugins: those that are there, and those that the config needs.

use std::collections::BTreeSet;

use super::check::Check;
use super::network::is_unfenced;
use crate::config::{self, Config};
use crate::wire::PluginRecord;

const BRING: &str = "build the plugins with `./scripts/build-plugins.sh`, or set plugins.dir";

pub(super) fn checks(config: &Config, installed: &[PluginRecord]) -> Vec<Check> {
    let needed = needed(config);
    let mut checks = vec![overview(installed)];
    checks.extend(installed.iter().filter_map(|plugin| broken(plugin, &needed)));
    checks.extend(installed.iter().filter_map(unfenced));
    checks.extend(absent(&needed, installed));
    checks.push(parsers(installed));
    checks
}

/// Plugins that the config names.
pub(super) fn needed(config: &Config) -> BTreeSet<&str> {
    config::uses(config).into_iter().map(|(_, _, used)| used.plugin.as_str()).collect()
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
    let said = || format!("{} {} runs unfenced, sha256:{}", plugin.name, plugin.version, plugin.sha256);
    is_unfenced(plugin).then(|| Check::ok("native", said()))
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

/// Everything by hash.
pub(super) fn inventory(installed: &[PluginRecord]) -> Vec<Check> {
    let mut checks = Vec::new();
    for plugin in installed {
        let said = format!("plugin {} {} sha256:{}", plugin.name, plugin.version, plugin.sha256);
        checks.push(Check::ok("offline", said));
        for file in &plugin.models {
            let state = if file.present { "" } else { " (missing)" };
            checks.push(Check::ok("offline", format!("model {} sha256:{}{state}", file.name, file.sha256)));
        }
    }
    checks
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::super::check::Level;
    use super::*;
    use crate::types::JsonMap;
    use crate::wire::Capabilities;

    pub fn plugin(name: &str, role: &str) -> PluginRecord {
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
            notice: None,
            calls: None,
            traps: None,
            breaches: None,
            log_lines_dropped: None,
            busy_us: None,
            memory_peak_bytes: None,
            egress: None,
            egress_refused: None,
        }
    }

    pub fn usual() -> Vec<PluginRecord> {
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
    fn native_plugins_are_listed() {
        let config = Config::with_data_dir(Path::new("/d"));
        let native = PluginRecord { kind: "native".into(), ..plugin("gpu", "embedder") };
        let mut installed = usual();
        installed.push(native);
        let listed = checks(&config, &installed).into_iter().find(|check| check.name == "native").unwrap();
        assert_eq!((listed.level, listed.detail), (Level::Ok, "gpu 0.1.0 runs unfenced, sha256:ab".into()));
        installed[3].problem = Some("gone".into());
        let broken =
            checks(&config, &installed).into_iter().find(|check| check.level == Level::Warn).unwrap();
        assert!(broken.hint.unwrap().contains("plugins.native.gpu"));
    }
}
