//! Logging and metrics.

mod logging;
mod metrics;
mod process;

pub use logging::{Error, Guard, Logging, start_logging};
pub use metrics::{Metrics, PluginCalls, metrics};
pub use process::{cpu_seconds, resident_bytes};
