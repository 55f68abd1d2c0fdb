use std::fmt;

/// What a plugin does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Bytes to text with structure.
    Parser,
    /// Text to metadata.
    Enricher,
    /// Text to vectors.
    Embedder,
    /// Query and passages to scores.
    Reranker,
    /// Question and passages to an answer.
    Generator,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 5] =
        [Role::Parser, Role::Enricher, Role::Embedder, Role::Reranker, Role::Generator];

    /// The name in manifests and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Parser => "parser",
            Role::Enricher => "enricher",
            Role::Embedder => "embedder",
            Role::Reranker => "reranker",
            Role::Generator => "generator",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which build of which plugin: kept with everything it made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PluginId {
    /// From its manifest.
    pub name: String,
    /// From its manifest.
    pub version: String,
    /// Hex SHA-256 of the component.
    pub sha256: String,
}

/// A limit that a plugin's call ran into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Linear memory.
    Memory,
    /// The deadline of the call.
    Time,
    /// Bytes returned.
    Output,
    /// Depth of calls.
    Stack,
    /// Resources open at once.
    Handles,
    /// Instances at once: all were busy for as long as a call may take.
    Instances,
    /// Calls that wait for an instance.
    Calls,
    /// A limit of the plugin's own, by name.
    Named(String),
}

/// What went wrong in a call, by what the caller can do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum FaultKind {
    InvalidInput,
    InvalidConfig,
    Encrypted,
    Corrupt,
    Unsupported,
    Empty,
    Limit(Limit),
    Denied(String),
    MissingModel(String),
    Unavailable,
    Upstream,
    Timeout,
    /// The guest trapped: a defect of the plugin. Its instance is gone.
    Trap,
    /// The guest called `exit`: as much a defect.
    Exit,
    Internal,
    Other(String),
}

impl FaultKind {
    /// Whether the guest went down by itself.
    pub fn is_crash(&self) -> bool {
        matches!(self, FaultKind::Trap | FaultKind::Exit)
    }

    /// The stable code of documents and of the API.
    pub fn code(&self) -> &str {
        match self {
            FaultKind::InvalidInput => "invalid_input",
            FaultKind::InvalidConfig => "invalid_config",
            FaultKind::Encrypted => "encrypted",
            FaultKind::Corrupt => "corrupt",
            FaultKind::Unsupported => "unsupported_type",
            FaultKind::Empty => "empty",
            FaultKind::Limit(Limit::Memory) => "limit_memory",
            FaultKind::Limit(Limit::Time) => "limit_time",
            FaultKind::Limit(Limit::Output) => "limit_output",
            FaultKind::Limit(Limit::Stack) => "limit_stack",
            FaultKind::Limit(Limit::Handles) => "limit_handles",
            FaultKind::Limit(Limit::Instances) => "limit_instances",
            FaultKind::Limit(Limit::Calls) => "limit_calls",
            FaultKind::Limit(Limit::Named(name)) if name == "archive" => "limit_archive",
            FaultKind::Limit(Limit::Named(_)) => "limit",
            FaultKind::Denied(_) => "denied",
            FaultKind::MissingModel(_) => "missing_model",
            FaultKind::Unavailable => "backend_unavailable",
            FaultKind::Upstream => "backend_error",
            FaultKind::Timeout => "backend_timeout",
            FaultKind::Trap => "trap",
            FaultKind::Exit => "exit",
            FaultKind::Internal => "internal",
            FaultKind::Other(code) => code,
        }
    }

    /// The same for counters: plugins make up codes of their own, and counters must not grow with them.
    pub fn counted_as(&self) -> &str {
        match self {
            FaultKind::Other(code) if code != "cancelled" => "other",
            _ => self.code(),
        }
    }
}

/// A failed call of a plugin.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{plugin}: {message}")]
pub struct PluginError {
    /// Its name.
    pub plugin: String,
    /// What went wrong.
    pub kind: FaultKind,
    /// For people; says what to do.
    pub message: String,
    /// Whether the same call can succeed later.
    pub retryable: bool,
    /// How long to wait first.
    pub retry_after_ms: Option<u32>,
}
