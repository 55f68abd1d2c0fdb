use super::{DocumentId, QueryId, TimestampMs, UserId};

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum QueryKind {
    Search,
    Question,
}

impl QueryKind {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Question => "question",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Search, Self::Question].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum QueryOutcome {
    Answered,
    /// Nothing was found.
    NoHit,
    /// The documents did not hold an answer.
    Abstained,
    /// The client left before the end.
    Interrupted,
    Failed,
}

impl QueryOutcome {
    const ALL: [Self; 5] = [Self::Answered, Self::NoHit, Self::Abstained, Self::Interrupted, Self::Failed];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoHit => "no_hit",
            Self::Abstained => "abstained",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// A search or a question as the log keeps it.
#[derive(Clone, PartialEq, Debug)]
pub struct LoggedQuery {
    /// Ordered by time.
    pub id: QueryId,
    /// Who asked.
    pub user: UserId,
    /// What for.
    pub kind: QueryKind,
    /// What was asked; `None` where texts are not kept.
    pub text: Option<String>,
    /// What the user calls the collection; `None` for all.
    pub collection: Option<String>,
    /// When it began.
    pub at: TimestampMs,
    /// All of it, in milliseconds.
    pub took_ms: f32,
    /// Passages that were found.
    pub results: u32,
    /// Their documents, best first, without repetitions.
    pub documents: Vec<DocumentId>,
    /// The backend that answered.
    pub backend: Option<String>,
    /// What came of it.
    pub outcome: QueryOutcome,
}

/// Figures of one moment.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
#[allow(missing_docs)]
pub struct Sample {
    pub at: TimestampMs,
    pub memory_bytes: u64,
    /// Of the process since its start.
    pub cpu_seconds: f64,
    pub disk_free_bytes: u64,
    pub database_bytes: u64,
    pub documents: u64,
    pub documents_queued: u64,
    pub documents_failed: u64,
    pub chunks: u64,
    pub sessions: u64,
    pub backends: u32,
    /// Of these.
    pub backends_ready: u32,
}
