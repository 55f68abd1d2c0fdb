use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Message, Timestamp, time};
use crate::types::{self, JsonMap};

/// A new conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversationCreate {
    /// The session that it belongs to and is deleted with; an unknown one is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::SessionId>)]
    pub session_id: Option<String>,
    /// For people; else the first question.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub title: Option<String>,
    /// The client's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<JsonMap>,
}

/// Changes of a conversation; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversationPatch {
    /// For people; `null` removes it.
    #[serde(default, deserialize_with = "super::given", skip_serializing_if = "Option::is_none")]
    pub title: Option<Option<String>>,
    /// Replaces the client's own data as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<JsonMap>,
}

/// A conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    /// Its id.
    pub conversation_id: String,
    /// The session it belongs to.
    #[schema(required = true)]
    pub session_id: Option<String>,
    /// For people.
    #[schema(required = true)]
    pub title: Option<String>,
    /// The client's own data.
    #[schema(value_type = Object)]
    pub metadata: JsonMap,
    /// When it began.
    pub created_at: Timestamp,
    /// Last message.
    pub updated_at: Timestamp,
}

/// A conversation with its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WholeConversation {
    /// The conversation.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// Oldest first; the last 200, in an export all.
    pub messages: Vec<Message>,
}

/// A message to add.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageCreate {
    /// `user`, `assistant` or `system`.
    #[schema(value_type = super::texts::Speaker)]
    pub role: String,
    /// What was said.
    #[schema(value_type = super::texts::SomeText)]
    pub content: String,
    /// The client's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<JsonMap>,
}

impl From<types::Conversation> for Conversation {
    fn from(conversation: types::Conversation) -> Self {
        Self {
            conversation_id: conversation.id.to_string(),
            session_id: conversation.session.map(|session| session.to_string()),
            title: conversation.title,
            metadata: conversation.metadata,
            created_at: time(conversation.created_at),
            updated_at: time(conversation.updated_at),
        }
    }
}
