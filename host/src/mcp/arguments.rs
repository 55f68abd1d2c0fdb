//! What the tools take.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::types::JsonMap;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    /// What to look for: words, or a question in any language.
    pub query: String,
    /// Passages at most, 1 to 100. Default: 5.
    pub top_k: Option<u32>,
    /// The collection to look in; "*" is all of them. Default: the default one.
    pub collection: Option<String>,
    /// Only what passes, such as {"file_type": ["pdf"], "tags": {"any": ["2024"]}}.
    pub filter: Option<JsonMap>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fetch {
    /// The `id` of a search result or of a listed document.
    pub id: String,
    /// Character to begin at, for long documents: the `next_offset` of the call before. Default: 0.
    pub offset: Option<usize>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// The question.
    pub question: String,
    /// To go on with a conversation: the `conversation_id` of the answer before.
    pub conversation_id: Option<String>,
    /// The collection to answer from; "*" is all of them. Default: the default one.
    pub collection: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListDocuments {
    /// Documents at most, 1 to 200. Default: 50.
    pub limit: Option<u32>,
    /// To go on: the `next_cursor` of the list before.
    pub cursor: Option<String>,
    /// Only those with this tag.
    pub tag: Option<String>,
    /// Only those of this type, such as "pdf".
    pub file_type: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IngestText {
    /// A name with the ending of its type, such as "notes.md".
    pub filename: String,
    /// The text.
    pub text: String,
    /// Tags.
    pub tags: Option<Vec<String>>,
}
