//! `/`, `/health`, `/health/live`, `/health/ready`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;

use super::access::Principal;
use super::blocking::blocking;
use super::error::{ApiError, Result};
use super::router::PREFIX;
use super::sample::{self, Room};
use crate::app::App;
use crate::ingest::Migration;
use crate::plugins::PluginState;
use crate::store::{Collection, Totals};
use crate::telemetry::resident_bytes;
use crate::wire::{
    About, BareHealth, Component, Components, Health, HealthAnswer, HealthMetrics, HealthStatus, Probe,
};

const MIB: u64 = 1024 * 1024;
/// Below it uploads will fail soon.
const DISK_LOW_BYTES: u64 = 1024 * MIB;
/// Below it nothing can be written safely.
const DISK_OUT_BYTES: u64 = 64 * MIB;
/// Below this share of the machine's memory the system begins to kill.
const MEMORY_LOW_PERCENT: u64 = 5;

/// Say who answers here, and where to go on
#[utoipa::path(get, path = "/", tag = "operation", operation_id = "about",
    responses((status = 200, description = "Who it is", body = About)))]
pub(super) async fn about() -> Answer<About> {
    Answer(About {
        name: "SmartRAG".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        api: PREFIX.into(),
        docs: "/docs".into(),
        openapi: "/openapi.json".into(),
    })
}

/// Ends the path of the probe that wants a status code.
pub(super) const READY: &str = "/health/ready";

/// How well everything is
///
/// Always 200: look at `status`. Probes that want a status code use `/health/ready`. Parts and figures are for
/// administrators.
#[utoipa::path(get, path = "/health", tag = "operation", operation_id = "health",
    responses((status = 200, description = "How it is", body = HealthAnswer)))]
pub(super) async fn health(
    State(app): State<Arc<App>>,
    principal: Principal,
) -> Result<Answer<HealthAnswer>> {
    let health = blocking(move || Ok::<_, ApiError>(look(&app))).await?;
    Ok(Answer(match principal.is_admin() {
        true => HealthAnswer::Whole(Box::new(health)),
        false => HealthAnswer::Bare(BareHealth { status: health.status }),
    }))
}

/// Whether the process answers
#[utoipa::path(get, path = "/health/live", tag = "operation", operation_id = "health_live",
    responses((status = 200, description = "It does", body = Probe)))]
pub(super) async fn live() -> Answer<Probe> {
    Answer(Probe { status: "live".into() })
}

/// Whether questions can be answered
///
/// 200 while degraded, 503 only when nothing can be answered.
#[utoipa::path(get, path = "/health/ready", tag = "operation", operation_id = "health_ready",
    responses((status = 200, description = "They can", body = Probe)))]
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<Answer<Probe>> {
    let health = blocking(move || Ok::<_, ApiError>(look(&app))).await?;
    let status = match health.status {
        HealthStatus::Healthy => "healthy",
        HealthStatus::Degraded => "degraded",
        HealthStatus::Unhealthy => return Err(not_ready(&health.components)),
    };
    Ok(Answer(Probe { status: status.into() }))
}

fn not_ready(components: &Components) -> ApiError {
    let broken = components.all().into_iter().filter(|part| part.status == HealthStatus::Unhealthy);
    let details: Vec<&str> = broken.map(|part| part.detail.as_str()).collect();
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", details.join("; ")).retry_after(5)
}

/// Looks at every part. Blocks.
fn look(app: &App) -> Health {
    let totals = app.store.totals();
    let collections = app.store.collections(None).unwrap_or_default();
    let disk = sample::room(&app.config.data_dir);
    let components = Components {
        database: database(totals.as_ref().err().map(ToString::to_string), app.store.damage()),
        keyword_index: index(app, &collections, |(keyword, _)| keyword),
        vector_index: vectors(app, &collections),
        plugins: plugins(app),
        models: models(app),
        disk_space: disk_space(disk),
        memory: memory(),
    };
    Health {
        status: overall(&components),
        version: env!("CARGO_PKG_VERSION").into(),
        metrics: figures(app, &totals.unwrap_or_default(), disk),
        components,
    }
}

/// Without the database nothing can be answered; everything else costs something, not all.
fn overall(components: &Components) -> HealthStatus {
    if components.database.status == HealthStatus::Unhealthy {
        return HealthStatus::Unhealthy;
    }
    let worst = components.all().into_iter().map(|part| part.status).max();
    worst.unwrap_or(HealthStatus::Healthy).min(HealthStatus::Degraded)
}

fn part(status: HealthStatus, detail: impl Into<String>) -> Component {
    Component { status, detail: detail.into() }
}

fn database(error: Option<String>, damage: Option<&str>) -> Component {
    match (error, damage) {
        (Some(error), _) => part(HealthStatus::Unhealthy, error),
        // What is not in the damaged pages is still there.
        (None, Some(damage)) => {
            let detail = format!("pages are damaged ({damage}): stop the daemon and restore the last backup");
            part(HealthStatus::Degraded, detail)
        }
        (None, None) => part(HealthStatus::Healthy, "reads"),
    }
}

/// Compares what an index holds with what the store holds.
fn index(app: &App, collections: &[Collection], side: fn((u64, u64)) -> u64) -> Component {
    let stored: u64 = collections.iter().map(|collection| collection.chunks).sum();
    let indexed: u64 = collections.iter().map(|collection| side(app.search.counts(collection.id))).sum();
    let detail = format!("{indexed} of {stored} chunks in {} collections", collections.len());
    let status = if indexed < stored { HealthStatus::Degraded } else { HealthStatus::Healthy };
    part(status, detail)
}

fn plugins(app: &App) -> Component {
    let plugins = app.plugins.list();
    let failed = plugins.iter().filter_map(|plugin| match &plugin.state {
        PluginState::Ready | PluginState::Ungranted(_) => None,
        PluginState::Failed(reason) => Some(format!("{}: {reason}", plugin.id.name)),
    });
    let failed: Vec<String> = failed.collect();
    match failed.len() {
        0 => part(HealthStatus::Healthy, format!("{} loaded", plugins.len())),
        n if n == plugins.len() => part(HealthStatus::Unhealthy, failed.join("; ")),
        _ => part(HealthStatus::Degraded, failed.join("; ")),
    }
}

fn models(app: &App) -> Component {
    let models = app.answers.models();
    let broken =
        models.iter().filter_map(|model| Some(format!("{}: {}", model.name, model.problem.as_ref()?)));
    let broken: Vec<String> = broken.collect();
    match broken.len() {
        0 => part(HealthStatus::Healthy, format!("{} ready", models.len())),
        _ => part(HealthStatus::Degraded, broken.join("; ")),
    }
}

/// While a collection is embedded anew its present vectors serve; where they can't, that is a loss.
fn vectors(app: &App, collections: &[Collection]) -> Component {
    let whole = index(app, collections, |(_, vector)| vector);
    let migrations = app.ingest.migrations().unwrap_or_default();
    let mut told = whole.detail;
    for Migration { event, problem } in &migrations {
        let problem = problem.as_ref().map(|problem| format!(" ({problem})")).unwrap_or_default();
        let name = &event.collection.name;
        told.push_str(&format!(
            "; {name}: {} of {} documents embedded anew{problem}",
            event.done, event.total
        ));
    }
    let hindered = migrations.iter().any(|migration| migration.problem.is_some());
    part(if hindered { whole.status.max(HealthStatus::Degraded) } else { whole.status }, told)
}

fn disk_space(room: Option<Room>) -> Component {
    let Some(room) = room else {
        return part(HealthStatus::Degraded, "the free space of the data directory can't be read");
    };
    let detail = format!("{} of {} MiB free", room.free_bytes / MIB, room.total_bytes / MIB);
    match room.free_bytes {
        0..DISK_OUT_BYTES => part(HealthStatus::Unhealthy, format!("{detail}: free some space now")),
        DISK_OUT_BYTES..DISK_LOW_BYTES => part(HealthStatus::Degraded, format!("{detail}: free some space")),
        _ => part(HealthStatus::Healthy, detail),
    }
}

fn memory() -> Component {
    let used = resident_bytes().unwrap_or_default() / MIB;
    let Some(room) = sample::machine_memory() else {
        return part(HealthStatus::Healthy, format!("{used} MiB used"));
    };
    let detail = format!("{used} MiB used, {} MiB available", room.free_bytes / MIB);
    let low = room.free_bytes < room.total_bytes / 100 * MEMORY_LOW_PERCENT;
    part(if low { HealthStatus::Degraded } else { HealthStatus::Healthy }, detail)
}

fn figures(app: &App, totals: &Totals, disk: Option<Room>) -> HealthMetrics {
    HealthMetrics {
        uptime_seconds: app.started.elapsed().as_secs(),
        documents: totals.documents,
        documents_ready: totals.ready,
        documents_failed: totals.failed,
        documents_queued: totals.queued,
        chunks: totals.chunks,
        sessions: totals.sessions,
        database_bytes: totals.database_bytes,
        disk_free_bytes: disk.map_or(0, |room| room.free_bytes),
        memory_bytes: resident_bytes().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(database: HealthStatus, models: HealthStatus) -> Components {
        let fine = || part(HealthStatus::Healthy, "");
        Components {
            database: part(database, ""),
            keyword_index: fine(),
            vector_index: fine(),
            plugins: fine(),
            models: part(models, ""),
            disk_space: fine(),
            memory: fine(),
        }
    }

    #[test]
    fn only_vital_parts_make_it_unhealthy() {
        use HealthStatus::{Degraded, Healthy, Unhealthy};
        assert_eq!(overall(&components(Healthy, Healthy)), Healthy);
        assert_eq!(overall(&components(Healthy, Unhealthy)), Degraded);
        assert_eq!(overall(&components(Unhealthy, Healthy)), Unhealthy);
    }

    #[test]
    fn a_full_disk_says_so() {
        let status = |free_bytes| disk_space(Some(Room { free_bytes, total_bytes: 4096 * MIB })).status;
        assert_eq!(status(0), HealthStatus::Unhealthy);
        assert_eq!(status(DISK_OUT_BYTES), HealthStatus::Degraded);
        assert_eq!(status(DISK_LOW_BYTES), HealthStatus::Healthy);
    }
}
