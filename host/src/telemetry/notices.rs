//! What operators want to be told at once, for whoever listens.

use std::sync::OnceLock;

use tokio::sync::broadcast;

/// Notices that wait for a slow listener; it misses the oldest ones beyond that, and learns how many.
const WAITING_MAX: usize = 256;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NoticeKind {
    BackendDown,
    BackendUp,
    PluginQuarantined,
    DiskLow,
    ConfigReloaded,
    ConfigRefused,
    BackupDone,
    BackupFailed,
}

impl NoticeKind {
    /// Whether it is of use to whoever asks questions, and tells nothing of others: of backups, settings and the machine
    /// administrators hear.
    pub fn is_for_everybody(self) -> bool {
        matches!(self, Self::BackendDown | Self::BackendUp | Self::PluginQuarantined)
    }

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BackendDown => "backend_down",
            Self::BackendUp => "backend_up",
            Self::PluginQuarantined => "plugin_quarantined",
            Self::DiskLow => "disk_low",
            Self::ConfigReloaded => "config_reloaded",
            Self::ConfigRefused => "config_refused",
            Self::BackupDone => "backup_done",
            Self::BackupFailed => "backup_failed",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub kind: NoticeKind,
    /// To which backend, plugin or backup; empty where it is the whole.
    pub subject: String,
    /// For people.
    pub detail: String,
    /// Milliseconds since 1970.
    pub at: i64,
}

fn channel() -> &'static broadcast::Sender<Notice> {
    static CHANNEL: OnceLock<broadcast::Sender<Notice>> = OnceLock::new();
    CHANNEL.get_or_init(|| broadcast::Sender::new(WAITING_MAX))
}

/// Tells all who listen.
pub fn notify(kind: NoticeKind, subject: &str, detail: impl Into<String>) {
    let at = jiff::Timestamp::now().as_millisecond();
    // Nobody listens: nobody has to be told.
    let _ = channel().send(Notice { kind, subject: subject.to_owned(), detail: detail.into(), at });
}

/// Everything from now on.
pub fn notices() -> broadcast::Receiver<Notice> {
    channel().subscribe()
}
