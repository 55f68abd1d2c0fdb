use crate::bindings::shared::types::{Error, ErrorKind, Warning};

/// One constructor a kind; `message` is for people and says what to do.
impl Error {
    /// An error of `kind` that the same call would meet again.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retryable: false, retry_after_ms: None }
    }

    /// The call's arguments make no sense for this plugin.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// The configuration does not fit.
    pub fn invalid_config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidConfig, message)
    }

    /// The input is protected by a password.
    pub fn encrypted(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Encrypted, message)
    }

    /// The input is damaged.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// The input is of a kind, or uses a feature, that this plugin does not read.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// The input holds nothing to work on.
    pub fn empty(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Empty, message)
    }

    /// A limit of the plugin's own, by name.
    pub fn limit(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit(name.into()), message)
    }

    /// A capability that was not granted, by name.
    pub fn denied(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied(name.into()), message)
    }

    /// A model file that is absent or unusable, by name.
    pub fn missing_model(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::MissingModel(name.into()), message)
    }

    /// The service behind the plugin can't be reached or is starting. Retryable.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message).retryable(None)
    }

    /// The service behind the plugin answered with a failure.
    pub fn upstream(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Upstream, message)
    }

    /// The service behind the plugin took too long. Retryable.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Timeout, message).retryable(None)
    }

    /// A defect of the plugin.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Anything else, by a stable snake_case code.
    pub fn other(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Other(code.into()), message)
    }

    /// Marks that the same call can succeed later, and when.
    pub fn retryable(mut self, after_ms: Option<u32>) -> Self {
        self.retryable = true;
        self.retry_after_ms = after_ms;
        self
    }
}

impl Warning {
    /// A warning of the whole file; `code` is stable snake_case.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), page: None }
    }

    /// A warning of one page, counted from 0.
    pub fn on_page(mut self, page: u32) -> Self {
        self.page = Some(page);
        self
    }
}
