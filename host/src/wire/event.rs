use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DocumentFailure, Timestamp};

/// Something that happened to a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DocumentEvent {
    /// `document.queued`, `.parsing`, `.chunking`, `.enriching`, `.embedding`, `.indexing`, `.ready`, `.failed` or `.deleted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Goes up; `after` with the last one seen goes on behind it.
    pub seq: u64,
    /// Which.
    pub document_id: String,
    /// Null where it is gone.
    #[schema(required = true)]
    pub filename: Option<String>,
    /// The collection it is in.
    pub collection: String,
    /// Share of the work that is done, 0 to 1.
    pub progress: f32,
    /// Set exactly when it failed.
    #[schema(required = true)]
    pub error: Option<DocumentFailure>,
    /// When it happened; of what is told again later: when it was told.
    pub at: Timestamp,
}
