//! Names of plugins, against those that are installed: what the file alone can't tell.

use std::collections::BTreeMap;

use super::load::Loaded;
use super::problem::{Origin, Problem, suggestion};
use super::tree::nearest;
use super::{Config, PluginRef};
use crate::types::Role;

/// Plugins by name, with the role of each where it is known.
pub type Known = BTreeMap<String, Option<Role>>;

/// Places of the config that somebody set and that name no plugin of their role. `installed` are those of the plugin
/// directories; native ones stand in the config itself.
pub fn unknown_plugins(loaded: &Loaded, installed: &Known) -> Vec<Problem> {
    let known = with_natives(&loaded.config, installed);
    let uses = uses(&loaded.config).into_iter();
    uses.filter_map(|(key, role, used)| {
        let origin = nearest(&loaded.origins, &format!("{key}.plugin"))?.clone();
        Some(Problem { message: objection(&used.plugin, role, &known)?, origin, key })
    })
    .collect()
}

/// What is said for plugins that are not there: no mistake, as it may come before them.
pub fn idle_names(loaded: &Loaded, installed: &Known) -> Vec<Problem> {
    let Config { plugins, .. } = &loaded.config;
    let known = with_natives(&loaded.config, installed);
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let grants = plugins.grants.keys().map(|name| ("grants", name));
    let settings = plugins.settings.keys().map(|name| ("settings", name));
    let idle = grants.chain(settings).filter(|(_, name)| !known.contains_key(*name));
    idle.map(|(section, name)| {
        let key = format!("plugins.{section}.{name}");
        let message = format!("no plugin {name:?} is installed; {}", suggestion(name, &names));
        Problem { origin: below(loaded, &key), key, message }
    })
    .collect()
}

fn with_natives(config: &Config, installed: &Known) -> Known {
    let natives = config.plugins.native.iter().map(|(name, native)| (name.clone(), Some(native.role)));
    installed.clone().into_iter().chain(natives).collect()
}

/// Where the config names a plugin, and for what.
pub fn uses(config: &Config) -> Vec<(String, Role, &PluginRef)> {
    let mut uses = vec![("embedder".to_owned(), Role::Embedder, &config.embedder)];
    let backends = config.backends.named.iter();
    uses.extend(
        backends.map(|(name, backend)| (format!("backends.{name}"), Role::Generator, &backend.plugin)),
    );
    let enrichers = config.ingest.enrichers.iter().flatten().enumerate();
    uses.extend(enrichers.map(|(at, used)| (format!("ingest.enrichers[{at}]"), Role::Enricher, used)));
    let reranker = config.search.reranker.iter();
    uses.extend(reranker.map(|used| ("search.reranker".to_owned(), Role::Reranker, used)));
    uses
}

fn objection(name: &str, role: Role, known: &Known) -> Option<String> {
    let fits = |found: &Option<Role>| found.is_none_or(|found| found == role);
    let said = match known.get(name) {
        Some(found) if fits(found) => return None,
        Some(_) => format!("the plugin {name:?} is no {role}"),
        None => format!("no {role} {name:?} is installed"),
    };
    let fitting = known.iter().filter(|(_, found)| fits(found));
    let fitting: Vec<&str> = fitting.map(|(name, _)| name.as_str()).collect();
    Some(match fitting.is_empty() {
        true => said,
        false => format!("{said}; {}", suggestion(name, &fitting)),
    })
}

/// Where a section was set, by the first value in it.
fn below(loaded: &Loaded, key: &str) -> Origin {
    let prefix = format!("{key}.");
    let inner = loaded.origins.iter().filter(|(other, _)| other.starts_with(&prefix));
    inner.map(|(_, origin)| origin).min().cloned().unwrap_or(Origin::Default)
}

#[cfg(test)]
mod tests {
    use super::super::load::{Options, load_with};
    use super::*;

    fn installed() -> Known {
        let named = [
            ("static-embed", Some(Role::Embedder)),
            ("openai", Some(Role::Generator)),
            ("language", Some(Role::Enricher)),
            ("lexical", Some(Role::Reranker)),
            ("pdf", Some(Role::Parser)),
            // Its manifest can't be read.
            ("broken", None),
        ];
        named.into_iter().map(|(name, role)| (name.to_owned(), role)).collect()
    }

    fn told(text: &str, of: fn(&Loaded, &Known) -> Vec<Problem>) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.yaml");
        std::fs::write(&file, text).unwrap();
        let env = [("HOME".to_owned(), "/h".to_owned())].into();
        let loaded = load_with(&Options { file: Some(file), overrides: vec![] }, &env).unwrap();
        let place = format!("{}/", dir.path().display());
        of(&loaded, &installed()).iter().map(|problem| problem.to_string().replace(&place, "")).collect()
    }

    #[test]
    fn a_name_that_nothing_has_is_told_with_its_line_and_the_nearest() {
        let text = "embedder: statc-embed\nbackends:\n  llm:\n    plugin: opnai\n  odd: {plugin: pdf}\n\
                    ingest: {enrichers: [language, langage]}\nsearch: {reranker: {plugin: zzz}}\n";
        assert_eq!(
            told(text, unknown_plugins),
            [
                "c.yaml:1: embedder: no embedder \"statc-embed\" is installed; did you mean `static-embed`?",
                "c.yaml:4: backends.llm: no generator \"opnai\" is installed; did you mean `openai`?",
                "c.yaml:5: backends.odd: the plugin \"pdf\" is no generator; known are broken, openai",
                "c.yaml:6: ingest.enrichers[1]: no enricher \"langage\" is installed; did you mean `language`?",
                "c.yaml:7: search.reranker: no reranker \"zzz\" is installed; known are broken, lexical",
            ]
        );
    }

    #[test]
    fn what_is_there_or_was_set_by_nobody_is_no_mistake() {
        let hash = "0".repeat(64);
        let native =
            format!("plugins: {{native: {{gpu: {{role: embedder, path: /l.so, sha256: {hash:?}}}}}}}\n");
        for text in [
            "{}\n".to_owned(),
            "ingest: {enrichers: auto, chunker: {plugin: structure}}\nsearch: {reranker: null}\n".to_owned(),
            "embedder: {plugin: static-embed}\nsearch: {reranker: lexical}\ningest: {enrichers: []}\n"
                .to_owned(),
            "backends: {default: a, a: {plugin: openai, base_url: \"http://127.0.0.1:1\"}, b: broken}\n"
                .to_owned(),
            format!("embedder: gpu\n{native}"),
        ] {
            assert_eq!(told(&text, unknown_plugins), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_grant_for_nobody_is_told_with_its_line() {
        let text = "plugins:\n  grants:\n    pfd: {deadline: 9s}\n    pdf: {deadline: 9s}\n";
        let expected = "c.yaml:3: plugins.grants.pfd: no plugin \"pfd\" is installed; did you mean `pdf`?";
        assert_eq!(told(text, idle_names), [expected]);
    }
}
