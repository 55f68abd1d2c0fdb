//! Filters evaluated as their description reads: what both ways of the product are compared with.

use serde_json::Value as Json;

use crate::types::*;

/// Everything under a path, lists by their members.
fn under<'a>(value: &'a Json, path: &[String]) -> Vec<&'a Json> {
    match (value, path) {
        (Json::Null, _) => Vec::new(),
        (Json::Array(members), _) => {
            let own = path.is_empty().then_some(value);
            own.into_iter().chain(members.iter().flat_map(|member| under(member, path))).collect()
        }
        (_, []) => vec![value],
        (Json::Object(members), [first, rest @ ..]) => {
            members.get(first).map(|value| under(value, rest)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// The values of a field, and whether it is there.
fn values(document: &Document, chunk: &Chunk, field: &Field) -> (Vec<Value>, bool) {
    let found = match field {
        Field::FileType => vec![Value::Text(document.file_type.clone())],
        Field::Filename => vec![Value::Text(document.filename.clone())],
        Field::DocumentId => vec![Value::Document(document.id)],
        Field::UploadTime => vec![Value::Time(document.upload_time)],
        Field::Tags => document.tags.iter().cloned().map(Value::Text).collect(),
        Field::Metadata(path) => {
            let both = [&document.metadata, &chunk.metadata].map(|map| Json::Object(map.clone()));
            let found: Vec<&Json> = both.iter().flat_map(|object| under(object, path)).collect();
            return (found.iter().flat_map(|value| scalars(value)).collect(), !found.is_empty());
        }
    };
    let there = !found.is_empty();
    (found, there)
}

fn scalars(value: &Json) -> Vec<Value> {
    match value {
        Json::Bool(value) => vec![Value::Bool(*value)],
        Json::Number(number) => vec![Value::Number(number.as_f64().unwrap())],
        Json::String(text) => {
            let time = text.parse::<jiff::Timestamp>().ok().map(|time| Value::Time(time.as_millisecond()));
            std::iter::once(Value::Text(text.clone())).chain(time).collect()
        }
        _ => Vec::new(),
    }
}

fn order(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (Value::Document(a), Value::Document(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn within(value: &Value, bounds: &Bounds) -> bool {
    let meets = |bound: &Option<Value>, test: fn(std::cmp::Ordering) -> bool| {
        bound.as_ref().is_none_or(|bound| order(value, bound).is_some_and(test))
    };
    meets(&bounds.gt, std::cmp::Ordering::is_gt)
        && meets(&bounds.gte, std::cmp::Ordering::is_ge)
        && meets(&bounds.lt, std::cmp::Ordering::is_lt)
        && meets(&bounds.lte, std::cmp::Ordering::is_le)
}

/// Whether a chunk of a document passes.
pub fn passes(document: &Document, chunk: &Chunk, filter: &Filter) -> bool {
    let part = |filter: &Filter| passes(document, chunk, filter);
    let has = |field: &Field, value: &Value| {
        values(document, chunk, field)
            .0
            .iter()
            .any(|own| order(own, value).is_some_and(std::cmp::Ordering::is_eq))
    };
    match filter {
        Filter::And(parts) => parts.iter().all(part),
        Filter::Or(parts) => parts.iter().any(part),
        Filter::Not(filter) => !part(filter),
        Filter::Any(field, values) => values.iter().any(|value| has(field, value)),
        Filter::All(field, values) => values.iter().all(|value| has(field, value)),
        Filter::Range(field, bounds) => {
            values(document, chunk, field).0.iter().any(|value| within(value, bounds))
        }
        Filter::Exists(field, there) => values(document, chunk, field).1 == *there,
    }
}
