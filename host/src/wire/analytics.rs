use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Timestamp, time};
use crate::types;

/// Queries of one day (UTC).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnalyticsDay {
    /// `2026-01-31`.
    pub day: String,
    /// Searches.
    pub searches: u64,
    /// Questions.
    pub questions: u64,
    /// Of both, those that found nothing.
    pub no_hit: u64,
    /// Questions that the documents did not answer.
    pub abstained: u64,
    /// Of both, those that failed.
    pub failed: u64,
}

/// How long queries took, in milliseconds; failures are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatencyQuantiles {
    /// Queries.
    pub count: u64,
    /// Half of them took no longer.
    pub p50: f32,
    /// 95 of 100 took no longer.
    pub p95: f32,
    /// 99 of 100 took no longer.
    pub p99: f32,
    /// The slowest.
    pub max: f32,
}

/// A document that was in results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsedDocument {
    /// Its id.
    pub document_id: String,
    /// Its name.
    pub filename: String,
    /// The collection it is in.
    pub collection: String,
    /// Results that it was among the first of.
    pub uses: u64,
}

/// A query that found nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueryWithoutHit {
    /// What was asked.
    pub query: String,
    /// How often.
    pub count: u64,
}

/// What was asked within a time, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Analytics {
    /// From this time on.
    pub from: Timestamp,
    /// To this time.
    pub to: Timestamp,
    /// Whose; null for everybody's.
    #[schema(required = true)]
    pub user_id: Option<String>,
    /// Searches and questions.
    pub queries: u64,
    /// Days with queries, oldest first.
    pub days: Vec<AnalyticsDay>,
    /// By `search` and `question`.
    pub latency_ms: BTreeMap<String, LatencyQuantiles>,
    /// Most used first.
    pub top_documents: Vec<UsedDocument>,
    /// Most frequent first; empty where texts are not logged.
    pub without_hit: Vec<QueryWithoutHit>,
    /// Answers by backend.
    pub backends: BTreeMap<String, u64>,
}

/// A search or a question of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueryRecord {
    /// Its id.
    pub query_id: String,
    /// Who asked.
    pub user_id: String,
    /// `search` or `question`.
    pub kind: String,
    /// What was asked; null where texts are not logged.
    #[schema(required = true)]
    pub query: Option<String>,
    /// The collection; null for all.
    #[schema(required = true)]
    pub collection: Option<String>,
    /// When it began.
    pub at: Timestamp,
    /// All of it, in milliseconds.
    pub took_ms: f32,
    /// Passages that were found.
    pub results: u32,
    /// Their documents, best first.
    pub document_ids: Vec<String>,
    /// The backend that answered; null for searches.
    #[schema(required = true)]
    pub backend: Option<String>,
    /// `answered`, `no_hit`, `abstained`, `interrupted` or `failed`.
    pub outcome: String,
}

impl From<types::LoggedQuery> for QueryRecord {
    fn from(query: types::LoggedQuery) -> Self {
        Self {
            query_id: query.id.to_string(),
            user_id: query.user.to_string(),
            kind: query.kind.as_str().into(),
            query: query.text,
            collection: query.collection,
            at: time(query.at),
            took_ms: query.took_ms,
            results: query.results,
            document_ids: query.documents.iter().map(ToString::to_string).collect(),
            backend: query.backend,
            outcome: query.outcome.as_str().into(),
        }
    }
}

/// Figures of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Resident memory of the process.
    pub memory_bytes: u64,
    /// Processor time of the process since its start.
    pub cpu_seconds: f64,
    /// Free below the data directory.
    pub disk_free_bytes: u64,
    /// Size of the database file.
    pub database_bytes: u64,
    /// All documents.
    pub documents: u64,
    /// Those that are worked on.
    pub documents_queued: u64,
    /// Those that failed.
    pub documents_failed: u64,
    /// Chunks that searches find.
    pub chunks: u64,
    /// Sessions.
    pub sessions: u64,
    /// Backends.
    pub backends: u32,
    /// Of these, those that can be used.
    pub backends_ready: u32,
}

impl From<types::Sample> for Sample {
    fn from(sample: types::Sample) -> Self {
        Self {
            at: time(sample.at),
            memory_bytes: sample.memory_bytes,
            cpu_seconds: sample.cpu_seconds,
            disk_free_bytes: sample.disk_free_bytes,
            database_bytes: sample.database_bytes,
            documents: sample.documents,
            documents_queued: sample.documents_queued,
            documents_failed: sample.documents_failed,
            chunks: sample.chunks,
            sessions: sample.sessions,
            backends: sample.backends,
            backends_ready: sample.backends_ready,
        }
    }
}
