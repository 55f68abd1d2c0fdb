use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Error, Result, user};
use crate::store::{Collection, Generation};
use crate::types::*;

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct CollectionRecord {
    pub id: u32,
    #[serde(default)]
    pub embedder: Option<String>,
    #[serde(default)]
    pub dimension: Option<usize>,
    #[serde(default)]
    pub documents: u64,
    #[serde(default)]
    pub chunks: u64,
    #[serde(default)]
    pub last_seq: u64,
    /// Row numbers that were given out.
    #[serde(default)]
    pub next_row: u32,
    /// Lines of deletions up to here may be gone from the journal.
    #[serde(default)]
    pub purged_seq: u64,
    /// Of the vectors that searches use.
    #[serde(default)]
    pub generation: u32,
    /// The highest there ever was.
    #[serde(default)]
    pub generations: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextRecord>,
}

/// Vectors of another embedder that are being made.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct NextRecord {
    pub generation: u32,
    pub fingerprint: String,
    pub dimension: usize,
    /// Documents that have them.
    pub done: u64,
}

/// How an embedder can be had again.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct EmbedderRecord {
    pub dimension: usize,
    pub plugin: String,
    #[serde(default)]
    pub settings: JsonMap,
}

impl CollectionRecord {
    pub(in crate::store) fn new(id: u32) -> Self {
        Self {
            id,
            embedder: None,
            dimension: None,
            documents: 0,
            chunks: 0,
            last_seq: 0,
            next_row: 0,
            purged_seq: 0,
            generation: 0,
            generations: 0,
            next: None,
        }
    }

    pub(in crate::store) fn collection(self, key: CollectionKey) -> Collection {
        Collection {
            id: CollectionId(self.id),
            key,
            embedder: self.embedder,
            dimension: self.dimension,
            documents: self.documents,
            chunks: self.chunks,
            last_seq: self.last_seq,
            purged_seq: self.purged_seq,
            next: self.next.map(|next| Generation {
                fingerprint: next.fingerprint,
                dimension: next.dimension,
                done: next.done,
            }),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct SessionRecord {
    pub user: String,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub context: JsonMap,
    pub created_at: TimestampMs,
    pub last_active: TimestampMs,
}

impl SessionRecord {
    pub(in crate::store) fn of(session: &Session) -> Self {
        Self {
            user: session.user.to_string(),
            title: session.title.clone(),
            context: session.context.clone(),
            created_at: session.created_at,
            last_active: session.last_active,
        }
    }

    pub(in crate::store) fn session(self, id: SessionId) -> Result<Session> {
        Ok(Session {
            id,
            user: user(&self.user)?,
            title: self.title,
            context: self.context,
            created_at: self.created_at,
            last_active: self.last_active,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct ConversationRecord {
    pub user: String,
    #[serde(default)]
    pub session: Option<String>,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub metadata: JsonMap,
    pub created_at: TimestampMs,
    pub updated_at: TimestampMs,
}

impl ConversationRecord {
    pub(in crate::store) fn of(conversation: &Conversation) -> Self {
        Self {
            user: conversation.user.to_string(),
            session: conversation.session.as_ref().map(SessionId::to_string),
            title: conversation.title.clone(),
            metadata: conversation.metadata.clone(),
            created_at: conversation.created_at,
            updated_at: conversation.updated_at,
        }
    }

    pub(in crate::store) fn conversation(self, id: ConversationId) -> Result<Conversation> {
        let session = self.session.map(SessionId::new).transpose();
        Ok(Conversation {
            id,
            user: user(&self.user)?,
            session: session.map_err(|error| Error::Corrupt(error.to_string()))?,
            title: self.title,
            metadata: self.metadata,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "MessageRole")]
enum MessageRoleRecord {
    System,
    User,
    Assistant,
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct MessageRecord {
    pub id: Uuid,
    #[serde(with = "MessageRoleRecord")]
    pub role: MessageRole,
    pub content: String,
    #[serde(default)]
    pub metadata: JsonMap,
    pub created_at: TimestampMs,
}

impl MessageRecord {
    pub(in crate::store) fn of(message: &Message) -> Self {
        Self {
            id: message.id.0,
            role: message.role,
            content: message.content.clone(),
            metadata: message.metadata.clone(),
            created_at: message.created_at,
        }
    }

    pub(in crate::store) fn message(self) -> Message {
        Message {
            id: MessageId(self.id),
            role: self.role,
            content: self.content,
            metadata: self.metadata,
            created_at: self.created_at,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct IdempotencyRecord {
    pub fingerprint: String,
    pub documents: Vec<Uuid>,
    /// Which of them were there already; empty in records of before.
    #[serde(default)]
    pub duplicates: Vec<bool>,
    pub at: TimestampMs,
}
