use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Error, Result, user};
use crate::types::*;

/// A logged query; its key is its id.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct QueryRecord {
    pub user: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    pub at: TimestampMs,
    pub took_ms: f32,
    pub results: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    pub outcome: String,
}

impl QueryRecord {
    pub(in crate::store) fn of(query: &LoggedQuery) -> Self {
        Self {
            user: query.user.to_string(),
            kind: query.kind.as_str().into(),
            text: query.text.clone(),
            collection: query.collection.clone(),
            at: query.at,
            took_ms: query.took_ms,
            results: query.results,
            documents: query.documents.iter().map(|id| id.0).collect(),
            backend: query.backend.clone(),
            outcome: query.outcome.as_str().into(),
        }
    }

    pub(in crate::store) fn query(self, id: QueryId) -> Result<LoggedQuery> {
        let unknown = |what: &str| Error::Corrupt(format!("a logged query is {what:?}"));
        Ok(LoggedQuery {
            id,
            user: user(&self.user)?,
            kind: QueryKind::parse(&self.kind).ok_or_else(|| unknown(&self.kind))?,
            text: self.text,
            collection: self.collection,
            at: self.at,
            took_ms: self.took_ms,
            results: self.results,
            documents: self.documents.into_iter().map(DocumentId).collect(),
            backend: self.backend,
            outcome: QueryOutcome::parse(&self.outcome).ok_or_else(|| unknown(&self.outcome))?,
        })
    }
}

/// A sample; its key is its time.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Sample")]
pub(in crate::store) struct SampleRecord {
    at: TimestampMs,
    memory_bytes: u64,
    cpu_seconds: f64,
    disk_free_bytes: u64,
    database_bytes: u64,
    documents: u64,
    documents_queued: u64,
    documents_failed: u64,
    chunks: u64,
    sessions: u64,
    backends: u32,
    backends_ready: u32,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredSample(#[serde(with = "SampleRecord")] pub Sample);
