//! Which imports a component may have: those of its role's world, as far as they are granted. Pure.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::plugins::grants::{Capability, Decision, Grants, Request};
use crate::plugins::info::PluginState;
use crate::plugins::manifest::WIT_VERSION;
use crate::types::Role;

const PACKAGE: &str = "smartrag:plugin/";
/// The packages that make up the empty machine of a plugin with `wasi = true`.
const MACHINE: [&str; 6] = ["io", "cli", "clocks", "random", "filesystem", "sockets"];
/// `http` as WASI has it.
const WASI_HTTP: [&str; 2] = ["types", "outgoing-handler"];

/// Interfaces of a role's world that every plugin of the role may import.
fn world(role: Role) -> &'static [&'static str] {
    match role {
        Role::Parser => &["types", "log", "config", "sources"],
        Role::Enricher => &["types", "log", "config"],
        Role::Embedder | Role::Reranker | Role::Generator => &["types", "log", "config", "model-files"],
    }
}

/// What an import asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Import {
    /// An interface of this host that is free to use.
    Own,
    /// A part of the empty machine.
    Machine,
    /// An interface that has to be granted.
    Granted { capability: Capability, wasi: bool },
}

impl Import {
    /// `None` for what no plugin of the role can have.
    fn of(role: Role, import: &str) -> Option<Self> {
        let (name, version) = import.split_once('@')?;
        let granted = |capability: Capability, wasi| {
            capability.fits(role).then_some(Import::Granted { capability, wasi })
        };
        if let Some(interface) = name.strip_prefix(PACKAGE).filter(|_| version == WIT_VERSION) {
            let own = world(role).contains(&interface).then_some(Import::Own);
            return own.or_else(|| granted(Capability::parse(interface)?, false));
        }
        let (package, interface) = name.strip_prefix("wasi:")?.split_once('/')?;
        match package {
            _ if !version.starts_with("0.2.") => None,
            "http" if WASI_HTTP.contains(&interface) => granted(Capability::Http, true),
            _ => MACHINE.contains(&package).then_some(Import::Machine),
        }
    }

    fn is_wasi(self) -> bool {
        matches!(self, Import::Machine | Import::Granted { wasi: true, .. })
    }
}

/// Names of everything that a component imports.
pub fn of(engine: &Engine, component: &Component) -> Vec<String> {
    component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// Whose imports are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Importer<'a> {
    /// The plugin's name.
    pub name: &'a str,
    /// Its role.
    pub role: Role,
    /// Whether its manifest says `wasi = true`.
    pub wasi: bool,
    /// What it may do.
    pub grants: &'a Grants,
}

impl Importer<'_> {
    /// Refuses the first import that the role's world, the manifest or the grants do not allow; the sentence names it.
    pub fn check(&self, imports: &[String]) -> Result<(), PluginState> {
        imports.iter().try_for_each(|import| self.check_one(import))
    }

    fn check_one(&self, import: &str) -> Result<(), PluginState> {
        let Self { name, role, wasi, grants } = *self;
        let Some(kind) = Import::of(role, import) else {
            return Err(format!(
                "it imports `{import}`, which the world of a {role} does not have: build it against wit/{WIT_VERSION}, \
                 world `{role}-plugin`, and look for a dependency that brings the import in"
            )
            .into());
        };
        if kind.is_wasi() && !wasi {
            return Err(format!(
                "it imports `{import}`, but its plugin.toml does not ask for WASI: add `wasi = true` if the plugin is \
                 made from Python or JavaScript; else look for the dependency that brings the import in"
            )
            .into());
        }
        let Import::Granted { capability, .. } = kind else { return Ok(()) };
        let capability_name = capability.as_str();
        match grants.check(&Request::Import(capability)) {
            Decision::Allowed => Ok(()),
            Decision::NotAsked => Err(format!(
                "it imports `{import}`, but its plugin.toml does not ask for it: add \
                 `{capability_name} = {{ why = \"…\" }}` to [capabilities]"
            )
            .into()),
            Decision::OtherComponent => {
                Err(format!("it imports `{import}`, which another build was granted").into())
            }
            Decision::NotGranted => Err(PluginState::Ungranted(format!(
                "it imports `{import}`, which is not granted: \
                 `plugins.grants.{name}.{capability_name}: [\"host:port\"]` in the config would grant it, or a `base_url` \
                 where the plugin is named"
            ))),
        }
    }
}

/// Whether a plugin of the role can have the import at all, granted or not.
pub fn in_world(role: Role, import: &str) -> bool {
    Import::of(role, import).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GrantConfig;

    fn refusal(role: Role, asked: &[Capability], granted: bool, import: &str) -> Option<String> {
        refusal_with(role, asked, granted, false, import)
    }

    fn refusal_with(
        role: Role,
        asked: &[Capability],
        granted: bool,
        wasi: bool,
        import: &str,
    ) -> Option<String> {
        let http = if granted { vec!["localhost:80".to_owned()] } else { Vec::new() };
        let grants = Grants::new(asked.to_vec(), Some(&GrantConfig { http, ..GrantConfig::default() }), "");
        let checked = Importer { name: "p", role, wasi, grants: &grants }.check(&[import.to_owned()]);
        let lacks_grant = matches!(checked, Err(PluginState::Ungranted(_)));
        let reason = checked.err()?.problem()?.to_owned();
        assert_eq!(lacks_grant, reason.contains("plugins.grants.p.http"), "{reason}");
        Some(reason)
    }

    #[test]
    fn worlds_have_the_least_imports() {
        let table = [
            (Role::Parser, "sources", true),
            (Role::Parser, "model-files", false),
            (Role::Enricher, "sources", false),
            (Role::Embedder, "model-files", true),
            (Role::Reranker, "http", false),
        ];
        for (role, interface, allowed) in table {
            let import = format!("smartrag:plugin/{interface}@0.1.0");
            assert_eq!(refusal(role, &[], false, &import).is_none(), allowed, "{role} {interface}");
        }
    }

    #[test]
    fn foreign_imports_are_named() {
        for import in [
            "wasi:cli/environment@0.3.0",
            "wasi:nn/graph@0.2.0",
            "wasi:cli@0.2.0",
            "smartrag:plugin/log@0.2.0",
            "evil:plugin/log@0.1.0",
            "log",
            "env",
        ] {
            let refusal = refusal(Role::Parser, &[], false, import).unwrap();
            assert!(refusal.contains(&format!("`{import}`")), "{refusal}");
        }
    }

    #[test]
    fn http_says_who_has_to_act() {
        let import = "smartrag:plugin/http@0.1.0";
        let http = [Capability::Http];
        let refused = |asked: &[Capability], granted| {
            refusal(Role::Generator, asked, granted, import).unwrap_or_default()
        };
        assert!(refused(&[], true).contains("plugin.toml does not ask"));
        assert!(refused(&http, false).contains("plugins.grants.p.http"));
        assert_eq!(refused(&http, true), "");
        assert!(refusal(Role::Parser, &http, true, import).unwrap().contains("world of a parser"));
    }

    #[test]
    fn wasi_is_for_those_who_say_so() {
        for import in ["wasi:cli/environment@0.2.0", "wasi:io/poll@0.2.12", "wasi:sockets/tcp@0.2.6"] {
            let refused = |wasi| refusal_with(Role::Parser, &[], false, wasi, import);
            let refusal = refused(false).unwrap();
            assert!(refusal.contains(import) && refusal.contains("`wasi = true`"), "{refusal}");
            assert_eq!(refused(true), None);
        }
    }

    #[test]
    fn wasi_http_is_granted_like_our_own() {
        let import = "wasi:http/outgoing-handler@0.2.0";
        let http = [Capability::Http];
        let refused = |role, asked: &[Capability], granted, wasi| {
            refusal_with(role, asked, granted, wasi, import).unwrap_or_default()
        };
        assert!(refused(Role::Generator, &http, true, false).contains("`wasi = true`"));
        assert!(refused(Role::Generator, &[], true, true).contains("plugin.toml does not ask"));
        assert!(refused(Role::Generator, &http, false, true).contains("plugins.grants.p.http"));
        assert_eq!(refused(Role::Generator, &http, true, true), "");
        assert!(refused(Role::Parser, &http, true, true).contains("world of a parser"));
        let incoming = "wasi:http/incoming-handler@0.2.0";
        assert!(refusal_with(Role::Generator, &http, true, true, incoming).is_some());
    }
}
