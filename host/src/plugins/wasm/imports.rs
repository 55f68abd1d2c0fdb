//! Which imports a component may have: those of its role's world, as far as they are granted. Pure.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::plugins::grants::{Capability, Decision, Grants, Request};
use crate::plugins::manifest::WIT_VERSION;
use crate::types::Role;

const PACKAGE: &str = "smartrag:plugin/";

/// Interfaces of a role's world that every plugin of the role may import.
fn world(role: Role) -> &'static [&'static str] {
    match role {
        Role::Parser => &["types", "log", "config", "sources"],
        Role::Enricher => &["types", "log", "config"],
        Role::Embedder | Role::Reranker | Role::Generator => &["types", "log", "config", "model-files"],
    }
}

/// Names of everything that a component imports.
pub fn of(engine: &Engine, component: &Component) -> Vec<String> {
    component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// Refuses the first import that the role's world or the grants do not allow; the sentence names it.
pub fn check(name: &str, role: Role, grants: &Grants, imports: &[String]) -> Result<(), String> {
    imports.iter().try_for_each(|import| check_one(name, role, grants, import))
}

/// Whether the role's world has the import at all, granted or not.
pub fn in_world(role: Role, import: &str) -> bool {
    interface(import).is_some_and(|interface| {
        world(role).contains(&interface)
            || Capability::parse(interface).is_some_and(|capability| capability.fits(role))
    })
}

/// `log` of `smartrag:plugin/log@0.1.0`; `None` for any other package or version.
fn interface(import: &str) -> Option<&str> {
    let (interface, version) = import.strip_prefix(PACKAGE)?.split_once('@')?;
    (version == WIT_VERSION).then_some(interface)
}

fn check_one(name: &str, role: Role, grants: &Grants, import: &str) -> Result<(), String> {
    if !in_world(role, import) {
        return Err(format!(
            "it imports `{import}`, which the world of a {role} does not have: build it against wit/{WIT_VERSION}, \
             world `{role}-plugin`, and look for a dependency that brings the import in"
        ));
    }
    let Some(capability) = interface(import).and_then(Capability::parse) else { return Ok(()) };
    let capability_name = capability.as_str();
    match grants.check(&Request::Import(capability)) {
        Decision::Allowed => Ok(()),
        Decision::NotAsked => Err(format!(
            "it imports `{import}`, but its plugin.toml does not ask for it: add \
             `{capability_name} = {{ why = \"…\" }}` to [capabilities]"
        )),
        Decision::OtherComponent => Err(format!("it imports `{import}`, which another build was granted")),
        Decision::NotGranted => Err(format!(
            "it imports `{import}`, which is not granted: \
             `plugins.grants.{name}.{capability_name}: [\"host:port\"]` in the config would grant it"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GrantConfig;

    fn refusal(role: Role, asked: &[Capability], granted: bool, import: &str) -> Option<String> {
        let http = if granted { vec!["localhost:80".to_owned()] } else { Vec::new() };
        let grants = Grants::new(asked.to_vec(), Some(&GrantConfig { http, ..GrantConfig::default() }), "");
        check("p", role, &grants, &[import.to_owned()]).err()
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
        for import in
            ["wasi:cli/environment@0.2.0", "smartrag:plugin/log@0.2.0", "evil:plugin/log@0.1.0", "log", "env"]
        {
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
}
