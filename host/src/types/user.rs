use std::fmt;

use super::{TimestampMs, UserId};

/// What a key allows; each may do what those before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum UserRole {
    /// Searches and asks, keeps sessions and conversations, changes no documents.
    Reader,
    /// Keeps documents, too.
    User,
    /// Runs the service, and may act for any user.
    Admin,
}

impl UserRole {
    /// Lowest first.
    pub const ALL: [Self; 3] = [Self::Reader, Self::User, Self::Admin];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// Names a key without being it: 12 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId(String);

impl KeyId {
    /// Of this many bytes.
    pub const BYTES: usize = 6;

    /// From random bytes.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// `None` for anything that no key is named.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 2 * Self::BYTES && text.bytes().all(is_hex)).then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key as it may be shown: what it opens, never the key itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// Its name.
    pub id: KeyId,
    /// Whom it stands for.
    pub user: UserId,
    /// What it allows.
    pub role: UserRole,
    /// For people.
    pub label: Option<String>,
    /// When it was made.
    pub created_at: TimestampMs,
}

/// Somebody with keys or data of his own.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct User {
    pub id: UserId,
    /// `None` for one who came without being created, in local mode.
    pub created_at: Option<TimestampMs>,
    pub keys: u64,
    pub sessions: u64,
    pub conversations: u64,
    pub collections: u64,
    /// Documents in these that searches find.
    pub documents: u64,
}

impl User {
    /// Whether there is more than keys and logged queries.
    pub fn has_data(&self) -> bool {
        self.sessions + self.conversations + self.collections + self.documents > 0
    }
}

/// What one may do with a collection of somebody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Access {
    /// Search and read.
    Read,
    /// Add, process anew and delete documents, too.
    Write,
}

impl Access {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Read, Self::Write].into_iter().find(|access| access.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_read_back() {
        assert!(UserRole::Reader < UserRole::User && UserRole::User < UserRole::Admin);
        for role in UserRole::ALL {
            assert_eq!(UserRole::parse(role.as_str()), Some(role));
        }
        assert_eq!(UserRole::parse("root"), None);
    }

    #[test]
    fn ids_of_keys_are_twelve_digits() {
        let id = KeyId::from_bytes([0, 1, 2, 0xab, 0xcd, 0xef]);
        assert_eq!(id.as_str(), "000102abcdef");
        assert_eq!(KeyId::parse(id.as_str()), Some(id));
        for bad in ["", "000102abcde", "000102ABCDEF", "000102abcdeg", "000102abcdef0"] {
            assert_eq!(KeyId::parse(bad), None, "{bad}");
        }
    }
}
