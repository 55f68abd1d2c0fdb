use super::{DocumentId, TimestampMs};

/// What a filter tests.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Field {
    /// The canonical type, such as `pdf`.
    FileType,
    /// Any tag of the document.
    Tags,
    /// The document itself.
    DocumentId,
    /// The name of the file.
    Filename,
    /// When the document was acknowledged.
    UploadTime,
    /// A path into the metadata of the document or of the chunk, such as `["language", "code"]`.
    Metadata(Vec<String>),
}

/// A value to compare with.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Value {
    Text(String),
    Number(f64),
    Bool(bool),
    Time(TimestampMs),
    Document(DocumentId),
}

/// Bounds of a range; at least one is set.
#[derive(Clone, PartialEq, Debug, Default)]
#[allow(missing_docs)]
pub struct Bounds {
    pub gt: Option<Value>,
    pub gte: Option<Value>,
    pub lt: Option<Value>,
    pub lte: Option<Value>,
}

/// A checked filter: keys are known and values fit their fields.
#[derive(Clone, PartialEq, Debug)]
pub enum Filter {
    /// All of them; true when empty.
    And(Vec<Filter>),
    /// Any of them; false when empty.
    Or(Vec<Filter>),
    /// Not that.
    Not(Box<Filter>),
    /// The field has any of these values.
    Any(Field, Vec<Value>),
    /// The field has all of these values (tags).
    All(Field, Vec<Value>),
    /// The field lies within the bounds.
    Range(Field, Bounds),
    /// The field is present (true) or absent (false).
    Exists(Field, bool),
}
