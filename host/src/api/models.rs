//! `/models`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use super::access::Principal;
use super::admin::migration;
use super::blocking::blocking;
use super::error::{ApiError, Result};
use crate::answer::ModelStatus;
use crate::app::App;
use crate::plugins::{PluginInfo, PluginKind, PluginState};
use crate::types::Role;
use crate::wire::{self, OfflineFeature, Readiness, Requirement};

/// List backends and embedder
#[utoipa::path(get, path = "/models", tag = "models", operation_id = "list_models",
    responses((status = 200, description = "Every backend and the embedder", body = wire::List<wire::ModelRecord>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    principal: Principal,
) -> Result<Answer<wire::List<wire::ModelRecord>>> {
    let (models, migrations) =
        blocking(move || Ok::<_, ApiError>((app.answers.models(), app.ingest.migrations()?))).await?;
    // They count the documents of all users.
    let migrations = if principal.is_admin() { migrations } else { Vec::new() };
    let migrations: Vec<_> = migrations.into_iter().map(migration).collect();
    let with_migrations = |model: ModelStatus| {
        let migrations = if model.role == Role::Embedder { migrations.clone() } else { Vec::new() };
        wire::ModelRecord { migrations, ..record(model) }
    };
    Ok(Answer(wire::List::whole(models.into_iter().map(with_migrations))))
}

/// What the API tells of a backend.
pub(super) fn record(model: ModelStatus) -> wire::ModelRecord {
    wire::ModelRecord {
        migrations: Vec::new(),
        name: model.name,
        role: model.role.as_str().into(),
        plugin: model.plugin,
        model: model.model,
        default: model.is_default,
        ready: model.problem.is_none(),
        problem: model.problem,
    }
}

/// Check what is needed to work offline
#[utoipa::path(get, path = "/models/readiness", tag = "models", operation_id = "models_readiness",
    responses((status = 200, description = "Each plugin and model file by hash", body = wire::Readiness)))]
pub(super) async fn readiness(State(app): State<Arc<App>>) -> Result<Answer<wire::Readiness>> {
    let readiness =
        blocking(move || Ok::<_, ApiError>(check(&app.plugins.list(), &app.answers.models()))).await?;
    Ok(Answer(readiness))
}

/// What is needed of these, and what works without a network.
pub(crate) fn check(plugins: &[PluginInfo], models: &[ModelStatus]) -> Readiness {
    let missing = models.iter().filter(|model| !plugins.iter().any(|plugin| plugin.id.name == model.plugin));
    // What nobody granted anything is not meant to be used.
    let used = plugins.iter().filter(|plugin| !matches!(plugin.state, PluginState::Ungranted(_)));
    let items = used.flat_map(requirements).chain(missing.map(missing_plugin));
    let items: Vec<Requirement> = items.collect();
    let networked = plugins.iter().filter(|plugin| is_networked(plugin));
    Readiness {
        ready: items.iter().all(|item| item.present),
        networked_plugins: networked.map(|plugin| plugin.id.name.clone()).collect(),
        features: features(plugins, models),
        items,
    }
}

fn requirements(plugin: &PluginInfo) -> impl Iterator<Item = Requirement> {
    let problem = plugin.state.problem().map(str::to_owned);
    let name = &plugin.id.name;
    let itself = Requirement {
        kind: "plugin".into(),
        name: name.clone(),
        plugin: name.clone(),
        sha256: plugin.id.sha256.clone(),
        present: problem.is_none(),
        problem,
    };
    let files = plugin.models.iter().map(move |file| Requirement {
        kind: "model_file".into(),
        name: file.name.clone(),
        plugin: name.clone(),
        sha256: file.sha256.clone(),
        present: file.found.is_some(),
        problem: file.problem.clone(),
    });
    std::iter::once(itself).chain(files)
}

/// A plugin that the config names and nobody has installed.
fn missing_plugin(model: &ModelStatus) -> Requirement {
    Requirement {
        kind: "plugin".into(),
        name: model.plugin.clone(),
        plugin: model.plugin.clone(),
        sha256: String::new(),
        present: false,
        problem: model.problem.clone().or_else(|| Some("is not installed".into())),
    }
}

/// Whether the config lets the plugin leave the guest for an HTTP origin.
fn is_networked(plugin: &PluginInfo) -> bool {
    plugin.granted.iter().any(|grant| grant.starts_with("http"))
}

fn features(plugins: &[PluginInfo], models: &[ModelStatus]) -> Vec<OfflineFeature> {
    let feature =
        |name: &str, offline: bool, detail: String| OfflineFeature { name: name.into(), offline, detail };
    let parsers = plugins.iter().filter(|plugin| plugin.role == Role::Parser);
    let mut types: Vec<&str> = parsers
        .filter(|parser| parser.state == PluginState::Ready && !is_networked(parser))
        .flat_map(|parser| parser.file_types.iter().map(String::as_str))
        .collect();
    types.sort_unstable();
    types.dedup();
    let by_model = |name: &str, role: Role| {
        let model =
            models.iter().find(|model| model.role == role && (model.is_default || role == Role::Embedder));
        let (offline, detail) = model_offline(model, plugins);
        feature(name, offline, detail)
    };
    vec![
        feature("keyword_search", true, "part of the host".into()),
        by_model("vector_search", Role::Embedder),
        by_model("answers", Role::Generator),
        feature("ingestion", !types.is_empty(), types.join(" ")),
    ]
}

fn model_offline(model: Option<&ModelStatus>, plugins: &[PluginInfo]) -> (bool, String) {
    let Some(model) = model else { return (false, "none is configured".into()) };
    if let Some(problem) = &model.problem {
        return (false, problem.clone());
    }
    match plugins.iter().find(|plugin| plugin.id.name == model.plugin) {
        Some(plugin) if is_networked(plugin) => (false, format!("{} uses the network", model.plugin)),
        Some(plugin) if plugin.kind == PluginKind::Native => {
            (true, format!("by {}, native code that nothing keeps from the network", model.plugin))
        }
        _ => (true, format!("by {}", model.plugin)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::ModelFile;
    use crate::types::PluginId;

    fn plugin(name: &str, role: Role, granted: &[&str]) -> PluginInfo {
        PluginInfo {
            id: PluginId { name: name.into(), version: "1".into(), sha256: "ab".into() },
            kind: PluginKind::Wasm,
            role,
            description: String::new(),
            wit: "0.1.0".into(),
            size_bytes: 1,
            dir: "x".into(),
            file_types: vec!["md".into()],
            imports: vec![],
            asked: vec![],
            granted: granted.iter().map(ToString::to_string).collect(),
            limits: Default::default(),
            models: vec![],
            state: PluginState::Ready,
            calls: 0,
            traps: 0,
            breaches: Default::default(),
            log_lines_dropped: 0,
            busy_us: 0,
            memory_peak_bytes: 0,
            egress: Default::default(),
            egress_refused: 0,
            notice: None,
        }
    }

    fn backend(plugin: &str) -> ModelStatus {
        ModelStatus {
            models: Vec::new(),
            role: Role::Generator,
            name: "llm".into(),
            plugin: plugin.into(),
            model: None,
            is_default: true,
            problem: None,
        }
    }

    #[test]
    fn a_backend_on_the_network_is_no_offline_answer() {
        let plugins =
            [plugin("ollama", Role::Generator, &["http:127.0.0.1:11434"]), plugin("md", Role::Parser, &[])];
        let readiness = check(&plugins, &[backend("ollama")]);
        let offline =
            |name: &str| readiness.features.iter().find(|feature| feature.name == name).unwrap().offline;
        assert_eq!(readiness.networked_plugins, ["ollama"]);
        assert!(!offline("answers") && !offline("vector_search") && offline("ingestion"));
        assert!(readiness.ready);
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut embedder = plugin("static", Role::Embedder, &[]);
        embedder.models.push(ModelFile {
            name: "weights".into(),
            path: "w".into(),
            sha256: "cd".into(),
            found: None,
            problem: Some("run fetch".into()),
        });
        let readiness = check(&[embedder], &[backend("extractive")]);
        let absent: Vec<&str> =
            readiness.items.iter().filter(|item| !item.present).map(|item| item.name.as_str()).collect();
        assert_eq!((readiness.ready, absent), (false, vec!["weights", "extractive"]));
    }
}
