use smartrag_native as abi;

use crate::plugins::fault::{broken, fault, shortened, stable_code};
use crate::types::{FaultKind, Limit, PluginError};

/// How a call failed, before the plugin's name is known.
#[derive(Debug)]
pub enum Failure {
    /// The plugin said so.
    Refused {
        /// What the caller can do about it.
        kind: FaultKind,
        /// For people.
        message: String,
        /// Whether the same call can succeed later.
        retryable: bool,
        /// How long to wait first.
        retry_after_ms: Option<u32>,
    },
    /// What came back does not hold.
    Broken(String),
}

impl Failure {
    /// What a call returned.
    pub fn check(status: abi::Status, error: &abi::Error) -> Result<(), Self> {
        if status == abi::status::OK {
            return Ok(());
        }
        let detail = text(&error.detail, error.detail_len);
        let Some(kind) = kind(status, detail) else {
            return Err(Failure::Broken(format!("status {status} is none of smartrag_native.h")));
        };
        let message = text(&error.message, error.message_len);
        Err(Failure::Refused {
            message: if message.is_empty() { format!("failed with {}", kind.code()) } else { message },
            kind,
            retryable: error.retryable != 0,
            retry_after_ms: Some(error.retry_after_ms).filter(|ms| *ms > 0),
        })
    }

    /// The stable code of documents, API and metrics.
    pub fn code(&self) -> &str {
        match self {
            Failure::Refused { kind, .. } => kind.code(),
            Failure::Broken(_) => FaultKind::Internal.code(),
        }
    }

    /// With the plugin's name.
    pub fn of(self, plugin: &str) -> PluginError {
        match self {
            Failure::Broken(what) => broken(plugin, what),
            Failure::Refused { kind, message, retryable, retry_after_ms } => {
                PluginError { retryable, retry_after_ms, ..fault(plugin, kind, message) }
            }
        }
    }
}

fn text(bytes: &[u8], len: u32) -> String {
    let bytes = bytes.get(..len as usize).unwrap_or(bytes);
    shortened(String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned())
}

fn kind(status: abi::Status, detail: String) -> Option<FaultKind> {
    Some(match status {
        abi::status::INVALID_INPUT => FaultKind::InvalidInput,
        abi::status::INVALID_CONFIG => FaultKind::InvalidConfig,
        abi::status::UNSUPPORTED => FaultKind::Unsupported,
        abi::status::LIMIT => FaultKind::Limit(Limit::Named(detail)),
        abi::status::MISSING_MODEL => FaultKind::MissingModel(detail),
        abi::status::UNAVAILABLE => FaultKind::Unavailable,
        abi::status::UPSTREAM => FaultKind::Upstream,
        abi::status::TIMEOUT => FaultKind::Timeout,
        abi::status::INTERNAL => FaultKind::Internal,
        abi::status::OTHER => FaultKind::Other(stable_code(detail)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: u32, error: &abi::Error) -> (String, String) {
        let error = Failure::check(status, error).unwrap_err().of("p");
        (error.kind.code().to_owned(), error.message)
    }

    #[test]
    fn errors_keep_what_the_plugin_says() {
        let mut error = abi::Error::empty();
        error.set_message("the device is busy: try again");
        (error.retryable, error.retry_after_ms) = (1, 250);
        let made = Failure::check(abi::status::UNAVAILABLE, &error).unwrap_err().of("gpu");
        assert_eq!(made.to_string(), "gpu: the device is busy: try again");
        assert_eq!((made.kind.code(), made.retryable), ("backend_unavailable", true));
        assert_eq!(made.retry_after_ms, Some(250));
        assert!(Failure::check(abi::status::OK, &error).is_ok());
    }

    #[test]
    fn nonsense_in_an_error_does_no_harm() {
        let mut error = abi::Error::empty();
        (error.message_len, error.detail_len) = (u32::MAX, u32::MAX);
        error.message = [0xff; 1024];
        let (code_, message) = code(abi::status::OTHER, &error);
        assert_eq!(code_, "plugin_error");
        assert!(message.chars().all(|c| c == '\u{fffd}' || c == '…'));
        assert_eq!(code(99, &error).0, "internal");
        assert_eq!(code(abi::status::INTERNAL, &abi::Error::empty()).1, "failed with internal");
    }
}
