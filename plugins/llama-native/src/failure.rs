use smartrag_native::{Status, status};

/// Why a call failed, in the words of `smartrag_native.h`.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What the caller can do about it.
    pub status: Status,
    /// Names the limit, the file or the code.
    pub detail: String,
    /// For people; says what to do.
    pub message: String,
}

impl Failure {
    fn new(status: Status, detail: &str, message: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), message: message.into() }
    }

    /// The configuration makes no sense.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(status::INVALID_CONFIG, "", message)
    }

    /// The call's arguments make no sense.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(status::INVALID_INPUT, "", message)
    }

    /// The model's file is absent or unusable.
    pub fn model(path: &str, message: impl Into<String>) -> Self {
        Self::new(status::MISSING_MODEL, path, message)
    }

    /// The prompt is longer than the window, as the plugins for model servers say it.
    pub fn context(message: impl Into<String>) -> Self {
        Self::new(status::LIMIT, "context", message)
    }

    /// There is no memory for it.
    pub fn memory(message: impl Into<String>) -> Self {
        Self::new(status::LIMIT, "memory", message)
    }

    /// A model was asked for that is not there.
    pub fn unknown_model(message: impl Into<String>) -> Self {
        Self::new(status::OTHER, "unknown_model", message)
    }

    /// A defect of the plugin or of llama.cpp.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(status::INTERNAL, "", message)
    }
}
