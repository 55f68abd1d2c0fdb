//! `/plugins`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use super::access::Principal;
use super::blocking::blocking;
use super::error::{ApiError, Result};
use super::extract::NamePath;
use crate::app::App;
use crate::plugins::{ModelFile, PluginInfo, PluginState, Reload, Traffic};
use crate::wire;

/// List plugins
#[utoipa::path(get, path = "/plugins", tag = "models", operation_id = "list_plugins",
    responses((status = 200, description = "By role and name", body = wire::List<wire::PluginRecord>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    principal: Principal,
) -> Result<Answer<wire::List<wire::PluginRecord>>> {
    let plugins = blocking(move || Ok::<_, ApiError>(app.plugins.list())).await?;
    Ok(Answer(wire::List::whole(plugins.into_iter().map(|plugin| record_for(&principal, plugin)))))
}

/// Show a plugin
#[utoipa::path(get, path = "/plugins/{name}", tag = "models", operation_id = "get_plugin",
    params(("name" = String, Path, description = "From its manifest")),
    responses((status = 200, description = "The plugin", body = wire::PluginRecord)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    principal: Principal,
    NamePath(name): NamePath,
) -> Result<Answer<wire::PluginRecord>> {
    let plugin = blocking(move || {
        let plugin = app.plugins.list().into_iter().find(|plugin| plugin.id.name == name);
        plugin.ok_or_else(|| ApiError::not_found(format!("plugin {name:?}")))
    });
    Ok(Answer(record_for(&principal, plugin.await?)))
}

/// Its calls would tell what others do.
fn record_for(principal: &Principal, plugin: PluginInfo) -> wire::PluginRecord {
    told(plugin, principal.is_admin())
}

/// Reload plugins
///
/// Takes up what changed in the plugin directories while everything runs on, and ends quarantines. A new build is tried
/// out first; one that fails is refused, and the old one stays in use.
#[utoipa::path(post, path = "/plugins/reload", tag = "models", operation_id = "reload_plugins",
    responses((status = 200, description = "What became of each plugin", body = wire::PluginReload)))]
pub(super) async fn reload(State(app): State<Arc<App>>) -> Result<Answer<wire::PluginReload>> {
    let report = blocking(move || app.plugins.reload().map_err(|error| ApiError::internal(&error))).await?;
    Ok(Answer(reloaded(report)))
}

/// What the API tells of a reload.
pub(super) fn reloaded(report: Reload) -> wire::PluginReload {
    let Reload { loaded, unchanged, removed, refused } = report;
    wire::PluginReload { loaded, unchanged, removed, refused }
}

/// What the API tells of a plugin.
pub(crate) fn record(plugin: PluginInfo) -> wire::PluginRecord {
    told(plugin, true)
}

/// All, or what is no figure.
fn told(plugin: PluginInfo, all: bool) -> wire::PluginRecord {
    let (state, problem) = match plugin.state {
        PluginState::Ready => ("ready", None),
        PluginState::Ungranted(reason) => ("ungranted", Some(reason)),
        PluginState::Failed(reason) => ("failed", Some(reason)),
    };
    wire::PluginRecord {
        name: plugin.id.name,
        version: plugin.id.version,
        role: plugin.role.as_str().into(),
        description: plugin.description,
        kind: plugin.kind.as_str().into(),
        wit: plugin.wit,
        sha256: plugin.id.sha256,
        size_bytes: plugin.size_bytes,
        file_types: plugin.file_types,
        imports: plugin.imports,
        capabilities: wire::Capabilities { asked: plugin.asked, granted: plugin.granted },
        limits: plugin.limits,
        models: plugin.models.into_iter().map(model_file).collect(),
        state: state.into(),
        problem,
        notice: plugin.notice,
        calls: all.then_some(plugin.calls),
        traps: all.then_some(plugin.traps),
        breaches: all.then_some(plugin.breaches),
        log_lines_dropped: all.then_some(plugin.log_lines_dropped),
        busy_us: all.then_some(plugin.busy_us),
        memory_peak_bytes: all.then_some(plugin.memory_peak_bytes),
        egress: all.then(|| plugin.egress.into_iter().map(traffic).collect()),
        egress_refused: all.then_some(plugin.egress_refused),
    }
}

fn traffic((origin, traffic): (String, Traffic)) -> wire::PluginTraffic {
    let Traffic { requests, sent_bytes, received_bytes } = traffic;
    wire::PluginTraffic { origin, requests, sent_bytes, received_bytes }
}

fn model_file(file: ModelFile) -> wire::PluginModelFile {
    wire::PluginModelFile {
        name: file.name,
        sha256: file.sha256,
        present: file.found.is_some(),
        problem: file.problem,
    }
}
