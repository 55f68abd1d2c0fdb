use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A new collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionCreate {
    /// Its name.
    #[schema(value_type = super::texts::CollectionName)]
    pub name: String,
}

/// A collection that the caller may read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CollectionRecord {
    /// What requests call it: `NAME`, or `OWNER/NAME` where it is another user's.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// `owner`, `write` or `read`.
    pub access: String,
    /// Documents that searches find.
    pub documents: u64,
    /// Of these.
    pub chunks: u64,
}

/// What a deletion removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CollectionDeleted {
    /// Its name.
    pub name: String,
    /// Documents that went with it.
    pub documents: u64,
}

/// What another user may do with a collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GrantRecord {
    /// Who.
    pub user_id: String,
    /// `read`, or `write`, which reads, too.
    pub access: String,
}

/// What another user shall be allowed to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantBody {
    /// `read`, or `write`, which reads, too.
    #[schema(value_type = super::texts::GrantedAccess)]
    pub access: String,
}
