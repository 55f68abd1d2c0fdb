use std::time::Instant;

use super::{ConversationId, JsonMap, MessageId, SessionId, TimestampMs, UserId, UserRole};

/// Who is calling: decided once at the door, passed down everywhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// On whose behalf.
    pub user: UserId,
    /// What it may do.
    pub role: UserRole,
    /// When it was let in: what it begins is not kept if its user was deleted since.
    pub since: Instant,
}

/// A session.
#[derive(Clone, PartialEq, Debug)]
pub struct Session {
    /// Its id; clients may choose it.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// For people.
    pub title: Option<String>,
    /// The client's own data.
    pub context: JsonMap,
    /// When it began.
    pub created_at: TimestampMs,
    /// Last use.
    pub last_active: TimestampMs,
}

/// A conversation.
#[derive(Clone, PartialEq, Debug)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Whose it is.
    pub user: UserId,
    /// The session it belongs to; deleted with it.
    pub session: Option<SessionId>,
    /// From the first question, or given.
    pub title: Option<String>,
    /// The client's own data.
    pub metadata: JsonMap,
    /// When it began.
    pub created_at: TimestampMs,
    /// Last message.
    pub updated_at: TimestampMs,
}

/// Who said a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum MessageRole {
    System,
    User,
    Assistant,
}

impl MessageRole {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            MessageRole::System => "system",
            MessageRole::User => "user",
            MessageRole::Assistant => "assistant",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        [Self::System, Self::User, Self::Assistant].into_iter().find(|role| role.as_str() == name)
    }
}

/// A message of a conversation.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Who said it.
    pub role: MessageRole,
    /// What was said.
    pub content: String,
    /// Sources, backend, usage, and whether it was interrupted.
    pub metadata: JsonMap,
    /// When.
    pub created_at: TimestampMs,
}

/// Tokens that a generation used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// In the prompt.
    pub prompt_tokens: u32,
    /// In the answer.
    pub completion_tokens: u32,
}

/// Why a generation ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum FinishReason {
    Stop,
    Length,
    Cancelled,
    Filtered,
    /// The evidence was too weak to answer.
    Abstained,
}

impl FinishReason {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::Cancelled => "cancelled",
            FinishReason::Filtered => "filtered",
            FinishReason::Abstained => "abstained",
        }
    }
}
