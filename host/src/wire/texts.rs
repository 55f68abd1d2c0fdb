//! What texts of requests have to look like, as schemas: for the API's document alone, which thereby says beforehand what
//! would be refused.

use std::borrow::Cow;

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident: $text:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text: ObjectBuilder = $text;
                text.description(Some(concat!($($doc),+).trim())).build().into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+};
}

/// A character of a name; see `types::InvalidName`.
macro_rules! name_char {
    () => {
        r"[^/\\\u0000-\u001f\u007f-\u009f]"
    };
}

/// A character that no terminal takes for a command.
macro_rules! plain_char {
    () => {
        r"[^\u0000-\u001f\u007f-\u009f]"
    };
}

texts! {
    /// 1 to 128 characters without control characters, `/` or `\`.
    SessionId: text(1, 128).pattern(Some(concat!("^", name_char!(), "+$")));
    /// 1 to 128 characters without control characters, `/` or `\`.
    UserId: text(1, 128).pattern(Some(concat!("^", name_char!(), "+$")));
    /// 1 to 64 characters without control characters, `/` or `\`.
    CollectionName: text(1, 64).pattern(Some(concat!("^", name_char!(), "+$")));
    /// `NAME` of one of the caller's own, or `OWNER/NAME`.
    CollectionRef: text(1, 193).pattern(Some(concat!("^(", name_char!(), "{1,128}/)?", name_char!(), "{1,64}$")));
    /// 1 to 255 characters without control characters behind the last `/` or `\`.
    Filename: text(1, 255).pattern(Some(concat!(
        "^", plain_char!(), "*", r"[^/\\.\s\u0000-\u001f\u007f-\u009f]", name_char!(), "*$"
    )));
    /// 1 to 4,096 bytes without control characters.
    SourcePath: text(1, 4096).pattern(Some(concat!("^", plain_char!(), "+$")));
    /// At most 128 characters without control characters.
    Tag: text(0, 128).pattern(Some(concat!("^", plain_char!(), "*$")));
    /// At most 200 characters without control characters.
    Label: text(0, 200).pattern(Some(concat!("^", plain_char!(), "*$")));
    /// A question, of at most 16,384 characters.
    QueryText: text(1, 16_384).pattern(Some(r"\S"));
    /// Any text but blanks alone.
    SomeText: ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).pattern(Some(r"\S"));
    /// A language tag such as `de` or `en-GB` (BCP 47).
    LanguageTag: text(1, 35).pattern(Some("^[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*$"));
    /// Who says a message.
    Speaker: one_of(&["user", "assistant", "system"]);
    /// What a key opens.
    KeyRole: one_of(&["admin", "user", "reader"]);
    /// What another user may do with a collection: `write` is `read`, too.
    GrantedAccess: one_of(&["read", "write"]);
    /// How far a document is.
    DocumentStatus: one_of(&[
        "queued", "parsing", "chunking", "enriching", "embedding", "indexing", "ready", "failed"
    ]);
    /// Oldest first, or newest first.
    DocumentOrder: one_of(&["upload_time", "-upload_time"]);
    /// How the numbers of a vector are written.
    VectorEncoding: one_of(&["float", "base64"]);
}

fn text(min: usize, max: usize) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(max));
    if min > 0 { text.min_length(Some(min)) } else { text }
}

fn one_of(words: &[&str]) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types;

    fn words(schema: RefOr<Schema>) -> Vec<String> {
        let schema = serde_json::to_value(schema).unwrap();
        schema["enum"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_words_are_those_that_are_understood() {
        assert!(words(Speaker::schema()).iter().all(|word| types::MessageRole::parse(word).is_some()));
        assert!(words(KeyRole::schema()).iter().all(|word| types::UserRole::parse(word).is_some()));
        assert!(words(GrantedAccess::schema()).iter().all(|word| types::Access::parse(word).is_some()));
        let stages: Vec<_> = types::Stage::ALL.into_iter().map(types::Stage::as_str).collect();
        assert_eq!(words(DocumentStatus::schema()), stages);
    }
}
