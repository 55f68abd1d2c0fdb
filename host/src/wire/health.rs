use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How well something is, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// All is well.
    Healthy,
    /// It works with losses; the detail says which.
    Degraded,
    /// It does not work.
    Unhealthy,
}

/// A part of the product and how well it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Component {
    /// How well.
    pub status: HealthStatus,
    /// Figures, or what is wrong and what to do.
    pub detail: String,
}

/// The parts of the product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Components {
    /// The store.
    pub database: Component,
    /// Keyword search.
    pub keyword_index: Component,
    /// Vector search.
    pub vector_index: Component,
    /// All plugins.
    pub plugins: Component,
    /// Backends and embedder.
    pub models: Component,
    /// Room below the data directory.
    pub disk_space: Component,
    /// Of the process and of the machine.
    pub memory: Component,
}

impl Components {
    /// All of them.
    pub fn all(&self) -> [&Component; 7] {
        [
            &self.database,
            &self.keyword_index,
            &self.vector_index,
            &self.plugins,
            &self.models,
            &self.disk_space,
            &self.memory,
        ]
    }
}

/// Figures of a running daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthMetrics {
    /// Since start.
    pub uptime_seconds: u64,
    /// All documents.
    pub documents: u64,
    /// Those that searches find.
    pub documents_ready: u64,
    /// Those that failed.
    pub documents_failed: u64,
    /// Those still worked on.
    pub documents_queued: u64,
    /// Chunks that searches find.
    pub chunks: u64,
    /// Sessions.
    pub sessions: u64,
    /// Size of the database file.
    pub database_bytes: u64,
    /// Free for the daemon's user below the data directory.
    pub disk_free_bytes: u64,
    /// Resident memory of the process.
    pub memory_bytes: u64,
}

/// How well the product is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Of the whole.
    pub status: HealthStatus,
    /// Of the program.
    pub version: String,
    /// Of each part.
    pub components: Components,
    /// Figures.
    pub metrics: HealthMetrics,
}

/// What `/health` tells: administrators everything, others how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum HealthAnswer {
    Whole(Box<Health>),
    Bare(BareHealth),
}

/// How well the product is, without figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BareHealth {
    /// Of the whole.
    pub status: HealthStatus,
}

/// The answer of `/health/live` and `/health/ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Probe {
    /// `live`, or of the whole as in `/health`.
    pub status: String,
}

/// Who answers here and where to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct About {
    /// `SmartRAG`.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// Prefix of the native API.
    pub api: String,
    /// The API to browse.
    pub docs: String,
    /// The API as OpenAPI 3.1.
    pub openapi: String,
}
