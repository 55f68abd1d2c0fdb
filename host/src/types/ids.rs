use std::fmt;

use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, ordered by time of creation (UUIDv7).
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Reads the usual hyphenated form; `None` for anything else.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(Self)
            }

            /// Big-endian bytes: their order is the order of the ids.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The inverse of [`Self::as_bytes`].
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// A document: one version of one file of one user.
    DocumentId
);
uuid_id!(
    /// A conversation.
    ConversationId
);
uuid_id!(
    /// A message of a conversation.
    MessageId
);
uuid_id!(
    /// One asked question.
    QueryId
);

/// Why a name was refused; shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {max} characters without control characters, '/' or '\\': got {got:?}")]
pub struct InvalidName {
    what: &'static str,
    max: usize,
    got: String,
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(String);

        impl $name {
            /// Checks length and characters; names become parts of keys and paths.
            pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
                let name = name.into();
                let ok = !name.is_empty()
                    && name.chars().count() <= $max
                    && !name.chars().any(|c| c.is_control() || c == '/' || c == '\\');
                if ok {
                    Ok(Self(name))
                } else {
                    let got = name.chars().take(40).collect();
                    Err(InvalidName { what: $what, max: $max, got })
                }
            }

            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_id!(
    /// Who owns documents, sessions and conversations.
    UserId,
    "a user id",
    128
);
name_id!(
    /// A session; clients may choose it.
    SessionId,
    "a session id",
    128
);
name_id!(
    /// The name of a collection of documents; unique for its owner.
    CollectionName,
    "a collection name",
    64
);

impl UserId {
    /// The user of requests that name no session in `local` mode.
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }
}

impl Default for CollectionName {
    fn default() -> Self {
        Self("default".into())
    }
}

/// A collection of one owner: the unit of isolation, of search and of directories.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CollectionKey {
    /// Whose it is.
    pub owner: UserId,
    /// What its owner calls it.
    pub name: CollectionName,
}

impl CollectionKey {
    /// `OWNER/NAME`, which others than its owner call it.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// What this user calls it.
    pub fn name_for(&self, user: &UserId) -> String {
        if self.owner == *user { self.name.to_string() } else { self.full_name() }
    }
}

/// The number that the store gave a collection; names its directory, is never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CollectionId(pub u32);

impl fmt::Display for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A chunk: a document and the position of the chunk in it. Shown as `DOCUMENT:INDEX`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChunkId {
    /// The document.
    pub document: DocumentId,
    /// Zero-based.
    pub index: u32,
}

impl ChunkId {
    /// Reads `DOCUMENT:INDEX`.
    pub fn parse(text: &str) -> Option<Self> {
        let (document, index) = text.rsplit_once(':')?;
        Some(Self { document: DocumentId::parse(document)?, index: index.parse().ok()? })
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.document, self.index)
    }
}

/// SHA-256 of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_id_round_trips() {
        let id = ChunkId { document: DocumentId::new(), index: 7 };
        assert_eq!(ChunkId::parse(&id.to_string()), Some(id));
        assert_eq!(ChunkId::parse("7"), None);
    }

    #[test]
    fn names_refuse_what_would_break_a_path() {
        for bad in ["", "a/b", "..\\x", "a\0b", "line\nbreak"] {
            assert!(CollectionName::new(bad).is_err(), "{bad:?}");
        }
        assert!(CollectionName::new("Größe 3").is_ok());
    }
}
