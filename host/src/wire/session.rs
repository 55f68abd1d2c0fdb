use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DocumentRecord, Timestamp, time};
use crate::types::{self, JsonMap};

/// A new session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionCreate {
    /// Chosen by the client, who needs the role admin for that where there are keys; else a new UUIDv7.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::SessionId>)]
    pub session_id: Option<String>,
    /// Whose session it is; `anonymous` where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::UserId>)]
    pub user_id: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub title: Option<String>,
    /// The client's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub context: Option<JsonMap>,
}

/// Changes of a session; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionPatch {
    /// For people; `null` removes it.
    #[serde(default, deserialize_with = "super::given", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub title: Option<Option<String>>,
    /// Replaces the client's own data as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub context: Option<JsonMap>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its id.
    pub session_id: String,
    /// Whose it is.
    pub user_id: String,
    /// For people.
    #[schema(required = true)]
    pub title: Option<String>,
    /// The client's own data.
    #[schema(value_type = Object)]
    pub context: JsonMap,
    /// When it began.
    pub created_at: Timestamp,
    /// Last use, to about a minute.
    pub last_active: Timestamp,
}

impl From<types::Session> for Session {
    fn from(session: types::Session) -> Self {
        Self {
            session_id: session.id.to_string(),
            user_id: session.user.to_string(),
            title: session.title,
            context: session.context,
            created_at: time(session.created_at),
            last_active: time(session.last_active),
        }
    }
}

/// What a client needs to go on with a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionContext {
    /// The latest conversation of the session.
    #[schema(required = true)]
    pub conversation_id: Option<String>,
    /// Its last messages, oldest first.
    pub messages: Vec<Message>,
    /// The user's latest documents, newest first.
    pub documents: Vec<DocumentRecord>,
    /// How many documents of the user searches can find.
    pub document_count: u64,
    /// The object `preferences` of the session's context.
    #[schema(value_type = Object)]
    pub preferences: JsonMap,
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Its id.
    pub message_id: String,
    /// `user`, `assistant` or `system`.
    pub role: String,
    /// What was said.
    pub content: String,
    /// Sources, backend, usage, and whether it was interrupted.
    #[schema(value_type = Object)]
    pub metadata: JsonMap,
    /// When.
    pub created_at: Timestamp,
}

impl From<types::Message> for Message {
    fn from(message: types::Message) -> Self {
        Self {
            message_id: message.id.to_string(),
            role: message.role.as_str().into(),
            content: message.content,
            metadata: message.metadata,
            created_at: time(message.created_at),
        }
    }
}
