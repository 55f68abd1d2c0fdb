use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;

/// Something that operators want to be told at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Notification {
    /// `backend_down`, `backend_up`, `config_reloaded`, `config_refused`, `plugin_quarantined`, `disk_low`, `backup_done` or
    /// `backup_failed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The backend, the plugin or the backup.
    #[schema(required = true)]
    pub subject: Option<String>,
    /// For people.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

/// What a client is told that reads too slowly, before its socket is closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lagged {
    /// `lagged`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Messages that it did not get, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
}

impl Lagged {
    /// So many were missed.
    pub fn new(missed: Option<u64>) -> Self {
        Self { kind: "lagged".into(), missed }
    }
}
