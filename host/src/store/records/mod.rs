//! The stored form of records: MessagePack with named fields, so that fields can be added (with a default) and old
//! records stay readable. The `remote` derives fail to compile when a type changes and its stored form does not.

use serde::{Serialize, de::DeserializeOwned};

use super::{Error, Result};
use crate::types::*;

/// Writes a record.
pub(in crate::store) fn pack<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    Ok(rmp_serde::to_vec_named(record)?)
}

/// Reads a record.
pub(in crate::store) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(rmp_serde::from_slice(bytes)?)
}

/// Reads a name that was checked before it was stored.
pub(in crate::store) fn user(name: &str) -> Result<UserId> {
    UserId::new(name).map_err(|error| Error::Corrupt(error.to_string()))
}

/// Reads a name that was checked before it was stored.
pub(in crate::store) fn collection_key(owner: &str, name: &str) -> Result<CollectionKey> {
    let name = CollectionName::new(name).map_err(|error| Error::Corrupt(error.to_string()))?;
    Ok(CollectionKey { owner: user(owner)?, name })
}

/// Packs vectors as little-endian f32.
pub(in crate::store) fn pack_floats(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|float| float.to_le_bytes()).collect()
}

/// The inverse of [`pack_floats`].
pub(in crate::store) fn unpack_floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

/// `#[serde(with)]` modules for a list and an option of a type that is stored through a remote record.
macro_rules! stored {
    ($module:ident, $record:ident, $type:ty) => {
        pub(super) mod $module {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            use super::*;

            #[derive(Serialize)]
            struct Out<'a>(#[serde(serialize_with = "write")] &'a $type);

            #[derive(Deserialize)]
            struct In(#[serde(deserialize_with = "read")] $type);

            fn write<S: Serializer>(item: &&$type, to: S) -> Result<S::Ok, S::Error> {
                $record::serialize(item, to)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
                $record::deserialize(from)
            }

            /// Any collection of them: `Vec` or `Option`.
            pub(in crate::store) fn serialize<S: Serializer, C: Items<$type>>(
                items: &C,
                to: S,
            ) -> Result<S::Ok, S::Error> {
                to.collect_seq(items.as_items().iter().map(Out))
            }

            pub(in crate::store) fn deserialize<'de, D: Deserializer<'de>, C: Items<$type>>(
                from: D,
            ) -> Result<C, D::Error> {
                let items = Vec::<In>::deserialize(from)?;
                Ok(C::from_items(items.into_iter().map(|item| item.0)))
            }
        }
    };
}

/// An option is stored as a list of at most one.
pub(super) trait Items<T> {
    fn as_items(&self) -> &[T];
    fn from_items(items: impl Iterator<Item = T>) -> Self;
}

impl<T> Items<T> for Vec<T> {
    fn as_items(&self) -> &[T] {
        self
    }

    fn from_items(items: impl Iterator<Item = T>) -> Self {
        items.collect()
    }
}

impl<T> Items<T> for Option<T> {
    fn as_items(&self) -> &[T] {
        self.as_slice()
    }

    fn from_items(mut items: impl Iterator<Item = T>) -> Self {
        items.next()
    }
}

mod artefacts;
mod chats;
mod documents;
mod usage;
mod users;

pub(super) use artefacts::StepRecord;
pub(super) use chats::{
    CollectionRecord, ConversationRecord, EmbedderRecord, IdempotencyRecord, MessageRecord, NextRecord,
    SessionRecord,
};
pub(super) use documents::{DocumentRecord, pack_chunk, unpack_chunk};
pub(super) use usage::{QueryRecord, StoredSample};
pub(super) use users::{KeyRecord, UserRecord};
