use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Timestamp, time};
use crate::types;

/// A new user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserCreate {
    /// Its name.
    #[schema(value_type = super::texts::UserId)]
    pub user_id: String,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UserRecord {
    /// Its name.
    pub user_id: String,
    /// Null for one who came without being created, as users do in local mode.
    #[schema(required = true)]
    pub created_at: Option<Timestamp>,
    /// Keys that are not revoked.
    pub keys: u64,
    /// Its sessions.
    pub sessions: u64,
    /// Its conversations, within these and without a session.
    pub conversations: u64,
    /// Its collections.
    pub collections: u64,
    /// Documents in these that searches find.
    pub documents: u64,
}

impl From<types::User> for UserRecord {
    fn from(user: types::User) -> Self {
        Self {
            user_id: user.id.to_string(),
            created_at: user.created_at.map(time),
            keys: user.keys,
            sessions: user.sessions,
            conversations: user.conversations,
            collections: user.collections,
            documents: user.documents,
        }
    }
}

/// What went with a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UserDeleted {
    /// Its name.
    pub user_id: String,
    /// Keys that open nothing any more.
    pub keys: u64,
    /// Sessions that went.
    pub sessions: u64,
    /// Conversations that went, within these and without a session.
    pub conversations: u64,
    /// Collections that went.
    pub collections: u64,
    /// Documents that went with them.
    pub documents: u64,
}

/// A new key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyCreate {
    /// Whom it stands for; created where there is no such user.
    #[schema(value_type = super::texts::UserId)]
    pub user_id: String,
    /// `admin`, `user` or `reader`.
    #[schema(value_type = super::texts::KeyRole)]
    pub role: String,
    /// For people, such as the program that will use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::texts::Label>)]
    pub label: Option<String>,
}

/// A key, without the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyRecord {
    /// Names it.
    pub key_id: String,
    /// Whom it stands for.
    pub user_id: String,
    /// `admin`, `user` or `reader`.
    pub role: String,
    /// For people.
    #[schema(required = true)]
    pub label: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl From<types::ApiKey> for KeyRecord {
    fn from(key: types::ApiKey) -> Self {
        Self {
            key_id: key.id.to_string(),
            user_id: key.user.to_string(),
            role: key.role.as_str().into(),
            label: key.label,
            created_at: time(key.created_at),
        }
    }
}

/// A key that was just made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewKey {
    /// The key itself. It is shown this once and kept nowhere.
    pub key: String,
    /// What is known of it later.
    #[serde(flatten)]
    pub record: KeyRecord,
}
