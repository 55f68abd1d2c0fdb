//! Logging and metrics.

mod logging;
mod metrics;
mod notices;
mod process;

pub use logging::{Error, Guard, Logging, start_logging};
pub use metrics::{Metrics, PluginCalls, metrics};
pub use notices::{Notice, NoticeKind, notices, notify};
pub use process::{cpu_seconds, resident_bytes};
