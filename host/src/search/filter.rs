//! Filters. Each attribute of a chunk and of its document is one exact term of the keyword index (`path kind value`,
//! ordered as the values are), so that a filter is set algebra over posting lists: exact for texts, numbers, booleans
//! and times, the same for keyword and vector search.

use std::collections::BTreeSet;
use std::ops::{Bound, RangeBounds};

use roaring::RoaringBitmap;
use serde_json::Value as Json;
use tantivy::schema::{Field as IndexField, IndexRecordOption};
use tantivy::{DocSet, InvertedIndexReader, SegmentReader, TERMINATED};

use super::{Error, Result};
use crate::types::*;

/// Longer texts are compared by their beginning and a hash of the whole.
const TEXT_BYTES_MAX: usize = 256;
const TEXT_BYTES_KEPT: usize = 192;
/// Longer paths are compared by a hash.
const PATH_BYTES_MAX: usize = 512;

mod kind {
    pub const EXISTS: u8 = b'e';
    pub const BOOL: u8 = b'b';
    pub const DOCUMENT: u8 = b'd';
    pub const NUMBER: u8 = b'n';
    pub const TEXT: u8 = b's';
    pub const TIME: u8 = b't';
}

/// The term of a language that chunks of the index are analysed in; no filter reaches it.
pub fn language_term(code: &str) -> Vec<u8> {
    [&[LANGUAGE], code.as_bytes()].concat()
}

/// What all [`language_term`]s begin with.
pub const LANGUAGE: u8 = 0;

/// The term that the chunks of one version of a document share; no filter reaches it.
pub fn version_term(id: DocumentId, version: u64) -> Vec<u8> {
    [&[VERSION], id.as_bytes().as_slice(), &version.to_be_bytes()].concat()
}

const VERSION: u8 = 8;

/// The term that all chunks of a document share.
pub fn document_term(id: DocumentId) -> Vec<u8> {
    term(&Field::DocumentId, &Value::Document(id))
}

/// Terms of a document, shared by all its chunks.
pub fn document_terms(document: &Document) -> Vec<Vec<u8>> {
    let mut terms = vec![
        document_term(document.id),
        term(&Field::FileType, &Value::Text(document.file_type.clone())),
        term(&Field::Filename, &Value::Text(document.filename.clone())),
        term(&Field::UploadTime, &Value::Time(document.upload_time)),
    ];
    terms.extend([Field::DocumentId, Field::FileType, Field::Filename, Field::UploadTime].map(exists_term));
    if !document.tags.is_empty() {
        terms.push(exists_term(Field::Tags));
    }
    terms.extend(document.tags.iter().map(|tag| term(&Field::Tags, &Value::Text(tag.clone()))));
    terms.extend(metadata_terms(&document.metadata));
    terms
}

/// Terms of a JSON object: one a value, lists by their members, and one a path that is there.
pub fn metadata_terms(metadata: &JsonMap) -> Vec<Vec<u8>> {
    let mut terms = Vec::new();
    push_members(&mut Vec::new(), metadata, &mut terms);
    terms.sort_unstable();
    terms.dedup();
    terms
}

fn push_members(path: &mut Vec<String>, object: &JsonMap, terms: &mut Vec<Vec<u8>>) {
    for (key, value) in object {
        path.push(key.clone());
        push_json(path, value, terms);
        path.pop();
    }
}

fn push_json(path: &mut Vec<String>, value: &Json, terms: &mut Vec<Vec<u8>>) {
    if value.is_null() {
        return;
    }
    let field = Field::Metadata(path.clone());
    terms.extend(scalars(value).iter().map(|value| term(&field, value)));
    terms.push(exists_term(field));
    match value {
        Json::Array(members) => members.iter().for_each(|member| push_json(path, member, terms)),
        Json::Object(members) => push_members(path, members, terms),
        _ => {}
    }
}

/// The values that a filter can compare a JSON scalar with: a text that is an RFC 3339 time is both.
pub(super) fn scalars(value: &Json) -> Vec<Value> {
    match value {
        Json::Bool(value) => vec![Value::Bool(*value)],
        Json::Number(number) => number.as_f64().map(Value::Number).into_iter().collect(),
        Json::String(text) => {
            std::iter::once(Value::Text(text.clone())).chain(time_of(text).map(Value::Time)).collect()
        }
        _ => Vec::new(),
    }
}

fn time_of(text: &str) -> Option<TimestampMs> {
    let may_be = text.len() >= 16 && text.starts_with(|c: char| c.is_ascii_digit());
    may_be.then(|| text.parse::<jiff::Timestamp>().ok()).flatten().map(|time| time.as_millisecond())
}

/// A prefix-free code of the field: no key can end in the middle of another.
fn field_code(field: &Field) -> Vec<u8> {
    match field {
        Field::FileType => vec![1],
        Field::Tags => vec![2],
        Field::DocumentId => vec![3],
        Field::Filename => vec![4],
        Field::UploadTime => vec![5],
        Field::Metadata(path) => {
            let mut code = vec![6];
            for key in path {
                code.extend(key.replace('\0', "\0\u{2}").into_bytes());
                code.extend([0, 1]);
            }
            code.extend([0, 0]);
            if code.len() > PATH_BYTES_MAX {
                code = [&[7], blake3::hash(&code).as_bytes().as_slice()].concat();
            }
            code
        }
    }
}

fn exists_term(field: Field) -> Vec<u8> {
    let mut code = field_code(&field);
    code.push(kind::EXISTS);
    code
}

fn term(field: &Field, value: &Value) -> Vec<u8> {
    let mut code = field_code(field);
    let (kind, bytes) = value_code(value);
    code.push(kind);
    code.extend(bytes);
    code
}

/// The kind of a value and bytes whose order is the order of the values.
fn value_code(value: &Value) -> (u8, Vec<u8>) {
    match value {
        Value::Text(text) => (kind::TEXT, text_code(text)),
        // Adding zero makes -0 and 0 one.
        Value::Number(number) => (kind::NUMBER, tantivy::f64_to_u64(number + 0.0).to_be_bytes().to_vec()),
        Value::Bool(value) => (kind::BOOL, vec![u8::from(*value)]),
        Value::Time(time) => (kind::TIME, tantivy::i64_to_u64(*time).to_be_bytes().to_vec()),
        Value::Document(id) => (kind::DOCUMENT, id.as_bytes().to_vec()),
    }
}

fn text_code(text: &str) -> Vec<u8> {
    if text.len() <= TEXT_BYTES_MAX {
        return text.as_bytes().to_vec();
    }
    // 0xff stands in no UTF-8 text: no short text has this code.
    let kept = &text.as_bytes()[..text.floor_char_boundary(TEXT_BYTES_KEPT)];
    [kept, &[0xff], blake3::hash(text.as_bytes()).as_bytes()].concat()
}

/// Whether a document passes: as in the index, but by what is said of the document alone, not of its chunks.
pub fn passes(filter: &Filter, document: &Document) -> Result<bool> {
    Terms(document_terms(document).into_iter().collect()).pass(filter)
}

struct Terms(BTreeSet<Vec<u8>>);

impl Terms {
    fn pass(&self, filter: &Filter) -> Result<bool> {
        let has = |field: &Field, value: &Value| self.0.contains(&term(field, value));
        Ok(match filter {
            Filter::And(parts) => {
                for part in parts {
                    if !self.pass(part)? {
                        return Ok(false);
                    }
                }
                true
            }
            Filter::Or(parts) => {
                for part in parts {
                    if self.pass(part)? {
                        return Ok(true);
                    }
                }
                false
            }
            Filter::Not(part) => !self.pass(part)?,
            Filter::Any(field, values) => values.iter().any(|value| has(field, value)),
            Filter::All(field, values) => values.iter().all(|value| has(field, value)),
            Filter::Range(field, bounds) => match range_of(field, bounds)? {
                // A range whose end comes before its beginning is one that BTreeSet would panic on.
                Some(range) => self.0.iter().any(|term| range.contains(term)),
                None => false,
            },
            Filter::Exists(field, wanted) => self.0.contains(&exists_term(field.clone())) == *wanted,
        })
    }
}

/// Evaluates filters against one segment of the index.
pub struct Segment<'a> {
    /// The segment.
    pub reader: &'a SegmentReader,
    /// The attribute terms of the segment.
    pub attributes: &'a InvertedIndexReader,
}

impl<'a> Segment<'a> {
    /// The rows of the segment that pass, deleted ones left out.
    pub fn matching(reader: &'a SegmentReader, field: IndexField, filter: &Filter) -> Result<RoaringBitmap> {
        let attributes = reader.inverted_index(field)?;
        let mut rows = Segment { reader, attributes: &attributes }.rows(filter)?;
        if let Some(alive) = reader.alive_bitset() {
            rows = rows.into_iter().filter(|row| alive.is_alive(*row)).collect();
        }
        Ok(rows)
    }

    fn all(&self) -> RoaringBitmap {
        (0..self.reader.max_doc()).collect()
    }

    fn rows(&self, filter: &Filter) -> Result<RoaringBitmap> {
        match filter {
            Filter::And(parts) => self.intersection(parts.iter().map(|part| self.rows(part))),
            Filter::Or(parts) => Self::union(parts.iter().map(|part| self.rows(part))),
            Filter::Not(part) => Ok(self.all() - self.rows(part)?),
            Filter::Any(field, values) => {
                Self::union(values.iter().map(|value| self.having(&term(field, value))))
            }
            Filter::All(field, values) => {
                self.intersection(values.iter().map(|value| self.having(&term(field, value))))
            }
            Filter::Range(field, bounds) => self.between(field, bounds),
            Filter::Exists(field, true) => self.having(&exists_term(field.clone())),
            Filter::Exists(field, false) => Ok(self.all() - self.having(&exists_term(field.clone()))?),
        }
    }

    fn intersection(&self, parts: impl Iterator<Item = Result<RoaringBitmap>>) -> Result<RoaringBitmap> {
        let mut rows: Option<RoaringBitmap> = None;
        for part in parts {
            let part = part?;
            rows = Some(match rows {
                Some(rows) => rows & part,
                None => part,
            });
        }
        Ok(rows.unwrap_or_else(|| self.all()))
    }

    fn union(mut parts: impl Iterator<Item = Result<RoaringBitmap>>) -> Result<RoaringBitmap> {
        parts.try_fold(RoaringBitmap::new(), |rows, part| Ok(rows | part?))
    }

    fn having(&self, term: &[u8]) -> Result<RoaringBitmap> {
        let mut rows = RoaringBitmap::new();
        if let Some(info) = self.attributes.terms().get(term)? {
            self.push_postings(&info, &mut rows)?;
        }
        Ok(rows)
    }

    fn push_postings(&self, info: &tantivy::postings::TermInfo, rows: &mut RoaringBitmap) -> Result<()> {
        let mut postings = self.attributes.read_postings_from_terminfo(info, IndexRecordOption::Basic)?;
        while postings.doc() != TERMINATED {
            rows.insert(postings.doc());
            postings.advance();
        }
        Ok(())
    }

    /// All rows with a value within the bounds; a walk through the terms between them.
    fn between(&self, field: &Field, bounds: &Bounds) -> Result<RoaringBitmap> {
        let mut rows = RoaringBitmap::new();
        let Some((low, high)) = range_of(field, bounds)? else { return Ok(rows) };
        let range = self.attributes.terms().range();
        let range = match &low {
            Bound::Included(term) => range.ge(term),
            Bound::Excluded(term) => range.gt(term),
            Bound::Unbounded => range,
        };
        let range = match &high {
            Bound::Included(term) => range.le(term),
            Bound::Excluded(term) => range.lt(term),
            Bound::Unbounded => range,
        };
        let mut terms = range.into_stream()?;
        while terms.advance() {
            self.push_postings(terms.value(), &mut rows)?;
        }
        Ok(rows)
    }
}

type TermRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The terms that lie within the bounds; `None` if none can, because the bounds are of different kinds.
fn range_of(field: &Field, bounds: &Bounds) -> Result<Option<TermRange>> {
    let low = [(&bounds.gt, false), (&bounds.gte, true)];
    let high = [(&bounds.lt, false), (&bounds.lte, true)];
    let given: Vec<&Value> = low.iter().chain(&high).filter_map(|(value, _)| value.as_ref()).collect();
    let Some(first) = given.first() else {
        return Err(Error::Filter("a range needs at least one bound: gt, gte, lt or lte".into()));
    };
    let kind = value_code(first).0;
    let comparable = |value: &&Value| value_code(value).0 == kind && !is_nan(value);
    if !given.iter().all(comparable) {
        return Ok(None);
    }
    let mut floor = field_code(field);
    floor.push(kind);
    let mut ceiling = floor.clone();
    if let Some(last) = ceiling.last_mut() {
        *last += 1;
    }
    let lows =
        low.into_iter().filter_map(|(value, inclusive)| Some((term(field, value.as_ref()?), inclusive)));
    let highs =
        high.into_iter().filter_map(|(value, inclusive)| Some((term(field, value.as_ref()?), inclusive)));
    // Of two bounds on one side the narrower counts: at the same value that is the exclusive one.
    let low = lows.max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1))).unwrap_or((floor, true));
    let high = highs.min_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(&b.1))).unwrap_or((ceiling, false));
    Ok(Some((bound(low), bound(high))))
}

fn bound((term, inclusive): (Vec<u8>, bool)) -> Bound<Vec<u8>> {
    if inclusive { Bound::Included(term) } else { Bound::Excluded(term) }
}

fn is_nan(value: &Value) -> bool {
    matches!(value, Value::Number(number) if number.is_nan())
}
