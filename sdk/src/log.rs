//! Lines for the daemon's log: `log::info(format_args!("{n} pages"))`. The host bounds their number and length.

use std::fmt::Display;

pub use crate::bindings::shared::log::Level;

/// For following single steps.
pub fn trace(message: impl Display) {
    write(Level::Trace, message);
}

/// For finding defects.
pub fn debug(message: impl Display) {
    write(Level::Debug, message);
}

/// Worth knowing.
pub fn info(message: impl Display) {
    write(Level::Info, message);
}

/// Worth looking at.
pub fn warn(message: impl Display) {
    write(Level::Warn, message);
}

/// Something failed.
pub fn error(message: impl Display) {
    write(Level::Error, message);
}

#[cfg(target_arch = "wasm32")]
fn write(level: Level, message: impl Display) {
    crate::bindings::shared::log::write(level, &message.to_string());
}

#[cfg(not(target_arch = "wasm32"))]
fn write(level: Level, message: impl Display) {
    eprintln!("{level:?}: {message}");
}
