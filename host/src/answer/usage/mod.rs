//! What was asked and what came of it: a log that the store keeps for a while, and figures from it.

mod figures;
mod log;

pub(super) use figures::Adder;
pub use figures::{Day, Figures, Latency};
pub(super) use log::Note;
pub(super) use log::UsageLog;
