//! One way from what a guest did to a [`PluginError`] that says what to do.

use super::bindings::v0_1_0::imports::types as wit;
use crate::types::{FaultKind, Limit, PluginError};

const MESSAGE_MAX: usize = 2000;

/// A failure that the same call would meet again.
pub fn fault(plugin: &str, kind: FaultKind, message: impl Into<String>) -> PluginError {
    PluginError {
        plugin: plugin.to_owned(),
        kind,
        message: message.into(),
        retryable: false,
        retry_after_ms: None,
    }
}

/// The guest broke the contract of its role: a defect of the plugin.
pub fn broken(plugin: &str, what: impl std::fmt::Display) -> PluginError {
    let message = format!("the plugin broke its contract: {what}; update it or report this to its author");
    fault(plugin, FaultKind::Internal, message)
}

/// An error that the guest returned.
pub fn from_guest(plugin: &str, error: wit::Error) -> PluginError {
    PluginError {
        plugin: plugin.to_owned(),
        kind: kind(error.kind),
        message: shortened(error.message),
        retryable: error.retryable,
        retry_after_ms: error.retry_after_ms,
    }
}

fn kind(kind: wit::ErrorKind) -> FaultKind {
    match kind {
        wit::ErrorKind::InvalidInput => FaultKind::InvalidInput,
        wit::ErrorKind::InvalidConfig => FaultKind::InvalidConfig,
        wit::ErrorKind::Encrypted => FaultKind::Encrypted,
        wit::ErrorKind::Corrupt => FaultKind::Corrupt,
        wit::ErrorKind::Unsupported => FaultKind::Unsupported,
        wit::ErrorKind::Empty => FaultKind::Empty,
        wit::ErrorKind::Limit(name) => FaultKind::Limit(limit(name)),
        wit::ErrorKind::Denied(name) => FaultKind::Denied(shortened(name)),
        wit::ErrorKind::MissingModel(name) => FaultKind::MissingModel(shortened(name)),
        wit::ErrorKind::Unavailable => FaultKind::Unavailable,
        wit::ErrorKind::Upstream => FaultKind::Upstream,
        wit::ErrorKind::Timeout => FaultKind::Timeout,
        wit::ErrorKind::Internal => FaultKind::Internal,
        wit::ErrorKind::Other(code) => FaultKind::Other(stable_code(code)),
    }
}

fn limit(name: String) -> Limit {
    match name.as_str() {
        "memory" => Limit::Memory,
        "time" => Limit::Time,
        "output" => Limit::Output,
        _ => Limit::Named(shortened(name)),
    }
}

/// Codes end up in the API and in metrics: only snake_case of a sane length.
pub fn stable_code(code: String) -> String {
    let ok = (1..=64).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if ok { code } else { "plugin_error".into() }
}

/// Cuts what a guest says of itself to what fits one log line, or one line of a terminal.
pub fn shortened(mut text: String) -> String {
    if text.contains(char::is_control) {
        text = text.replace(char::is_control, " ");
    }
    if text.len() > MESSAGE_MAX {
        text.truncate(text.floor_char_boundary(MESSAGE_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_errors_keep_their_documented_codes() {
        let code = |kind| super::kind(kind).code().to_owned();
        assert_eq!(code(wit::ErrorKind::Encrypted), "encrypted");
        assert_eq!(code(wit::ErrorKind::Corrupt), "corrupt");
        assert_eq!(code(wit::ErrorKind::Unsupported), "unsupported_type");
        assert_eq!(code(wit::ErrorKind::Limit("archive".into())), "limit_archive");
        assert_eq!(code(wit::ErrorKind::Limit("memory".into())), "limit_memory");
        assert_eq!(code(wit::ErrorKind::Other("no_text".into())), "no_text");
        assert_eq!(code(wit::ErrorKind::Other("Bad code\n".into())), "plugin_error");
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let cut = shortened("ä".repeat(MESSAGE_MAX));
        assert!(cut.len() <= MESSAGE_MAX + '…'.len_utf8() && cut.ends_with('…'));
    }

    #[test]
    fn no_message_forges_another_line() {
        assert_eq!(shortened("a\r\nERROR b\u{1b}[2J\u{9b}c".into()), "a  ERROR b [2J c");
    }
}
