//! Logging, traces and metrics.

mod log_file;
mod logging;
mod metrics;
mod notices;
mod process;
mod seldom;
mod traces;

pub use logging::{Error, Guard, Logging, set_log_filter, start_logging};
pub use metrics::{Metrics, PluginCalls, metrics};
pub use notices::{Notice, NoticeKind, notices, notify};
pub use process::{cpu_seconds, resident_bytes};
pub use seldom::Seldom;
pub use traces::continue_trace;
