//! Filters as JSON: `{"file_type": ["py", "md"], "metadata.author": "x", "not": {"tags": "draft"}}`.
//! A list means any of, several keys mean all of; `and`, `or` and `not` nest.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::types::{Bounds, DocumentId, Field, Filter, JsonMap, Value};

/// Conditions nested in each other at most.
const DEPTH_MAX: usize = 16;
/// Values of one filter at most.
const VALUES_MAX: usize = 10_000;

const KNOWN_KEYS: &str = "file_type, tags, document_id, filename, upload_time, metadata.<path>, and, or, not";
const KNOWN_OPERATORS: &str = "any, all, gt, gte, lt, lte, exists";

/// A condition on documents and chunks; the schema says how it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FilterBody(pub JsonMap);

/// What is wrong with a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterFault {
    /// A key or operator that nobody knows.
    UnknownKey,
    /// A value that does not fit its key.
    InvalidValue,
}

/// A filter that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct FilterError {
    /// What kind of fault.
    pub fault: FilterFault,
    /// JSON pointer, beginning with the one given to [`FilterBody::check`].
    pub pointer: String,
    /// For people; says what to do.
    pub detail: String,
}

type Result<T> = std::result::Result<T, FilterError>;

impl FilterBody {
    /// Checks keys and values. `pointer` is where the filter stands in its body, such as `/filter`.
    pub fn check(&self, pointer: &str) -> Result<Filter> {
        let mut values_left = VALUES_MAX;
        Checker { values_left: &mut values_left }.object(&self.0, pointer, 0)
    }
}

struct Checker<'a> {
    values_left: &'a mut usize,
}

impl Checker<'_> {
    fn object(&mut self, map: &JsonMap, at: &str, depth: usize) -> Result<Filter> {
        if depth >= DEPTH_MAX {
            return Err(invalid(at, format!("filters nest at most {DEPTH_MAX} deep")));
        }
        let mut parts = Vec::with_capacity(map.len());
        for (key, value) in map {
            parts.push(self.entry(key, value, &child(at, key), depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::And(parts) })
    }

    fn entry(&mut self, key: &str, value: &Json, at: &str, depth: usize) -> Result<Filter> {
        match key {
            "and" => Ok(Filter::And(self.list(value, at, depth)?)),
            "or" => Ok(Filter::Or(self.list(value, at, depth)?)),
            "not" => Ok(Filter::Not(Box::new(self.nested(value, at, depth)?))),
            _ => self.condition(field(key, at)?, value, at),
        }
    }

    fn list(&mut self, value: &Json, at: &str, depth: usize) -> Result<Vec<Filter>> {
        let Json::Array(items) = value else {
            return Err(invalid(at, "must be a list of filters".into()));
        };
        let each = items.iter().enumerate();
        each.map(|(i, item)| self.nested(item, &child(at, &i.to_string()), depth)).collect()
    }

    fn nested(&mut self, value: &Json, at: &str, depth: usize) -> Result<Filter> {
        match value {
            Json::Object(map) => self.object(map, at, depth + 1),
            _ => Err(invalid(at, "must be a filter: an object of conditions".into())),
        }
    }

    fn condition(&mut self, field: Field, value: &Json, at: &str) -> Result<Filter> {
        match value {
            Json::Object(operators) => self.operators(field, operators, at),
            _ => Ok(Filter::Any(field.clone(), self.values(&field, value, at)?)),
        }
    }

    fn operators(&mut self, field: Field, operators: &JsonMap, at: &str) -> Result<Filter> {
        let mut parts = Vec::new();
        let mut bounds = Bounds::default();
        for (name, value) in operators {
            let at = &child(at, name);
            let bound = match name.as_str() {
                "any" => {
                    parts.push(Filter::Any(field.clone(), self.values(&field, value, at)?));
                    continue;
                }
                "all" => {
                    parts.push(self.all(&field, value, at)?);
                    continue;
                }
                "exists" => {
                    parts.push(exists(&field, value, at)?);
                    continue;
                }
                "gt" => &mut bounds.gt,
                "gte" => &mut bounds.gte,
                "lt" => &mut bounds.lt,
                "lte" => &mut bounds.lte,
                _ => return Err(unknown(at, format!("unknown operator {name:?}: use {KNOWN_OPERATORS}"))),
            };
            *bound = Some(self.bound(&field, value, at)?);
        }
        if bounds != Bounds::default() {
            parts.push(Filter::Range(field, bounds));
        }
        match parts.len() {
            0 => Err(invalid(at, format!("give at least one of {KNOWN_OPERATORS}"))),
            1 => Ok(parts.remove(0)),
            _ => Ok(Filter::And(parts)),
        }
    }

    fn all(&mut self, field: &Field, value: &Json, at: &str) -> Result<Filter> {
        match field {
            Field::Tags | Field::Metadata(_) => {
                Ok(Filter::All(field.clone(), self.values(field, value, at)?))
            }
            _ => Err(invalid(at, "\"all\" is for tags and metadata: other fields have one value".into())),
        }
    }

    fn bound(&mut self, field: &Field, value: &Json, at: &str) -> Result<Value> {
        match (field, self.value(field, value, at)?) {
            (Field::UploadTime | Field::Metadata(_), Value::Bool(_)) => {
                Err(invalid(at, "must be a number or a string".into()))
            }
            (Field::UploadTime | Field::Metadata(_), value) => Ok(value),
            _ => Err(invalid(at, "ranges are for upload_time and metadata".into())),
        }
    }

    /// A scalar or a list of scalars.
    fn values(&mut self, field: &Field, value: &Json, at: &str) -> Result<Vec<Value>> {
        match value {
            Json::Array(items) => {
                let each = items.iter().enumerate();
                each.map(|(i, item)| self.value(field, item, &child(at, &i.to_string()))).collect()
            }
            _ => Ok(vec![self.value(field, value, at)?]),
        }
    }

    fn value(&mut self, field: &Field, value: &Json, at: &str) -> Result<Value> {
        let Some(left) = self.values_left.checked_sub(1) else {
            return Err(invalid(at, format!("a filter has at most {VALUES_MAX} values")));
        };
        *self.values_left = left;
        scalar(field, value).ok_or_else(|| invalid(at, expected(field).into()))
    }
}

fn exists(field: &Field, value: &Json, at: &str) -> Result<Filter> {
    let wanted = value.as_bool().ok_or_else(|| invalid(at, "must be true or false".into()))?;
    Ok(Filter::Exists(field.clone(), wanted))
}

fn field(key: &str, at: &str) -> Result<Field> {
    Ok(match key {
        "file_type" => Field::FileType,
        "tags" => Field::Tags,
        "document_id" => Field::DocumentId,
        "filename" => Field::Filename,
        "upload_time" => Field::UploadTime,
        _ => match key.strip_prefix("metadata.") {
            Some(path) if path.split('.').all(|part| !part.is_empty()) => {
                Field::Metadata(path.split('.').map(Into::into).collect())
            }
            _ => return Err(unknown(at, format!("unknown filter key {key:?}: use {KNOWN_KEYS}"))),
        },
    })
}

fn scalar(field: &Field, value: &Json) -> Option<Value> {
    match (field, value) {
        (Field::FileType, Json::String(text)) => {
            Some(Value::Text(text.trim_start_matches('.').to_ascii_lowercase()))
        }
        (Field::Tags | Field::Filename | Field::Metadata(_), Json::String(text)) => {
            Some(Value::Text(text.clone()))
        }
        (Field::DocumentId, Json::String(text)) => DocumentId::parse(text).map(Value::Document),
        (Field::UploadTime, Json::String(text)) => moment(text).map(Value::Time),
        (Field::Metadata(_), Json::Number(number)) => number.as_f64().map(Value::Number),
        (Field::Metadata(_), Json::Bool(flag)) => Some(Value::Bool(*flag)),
        _ => None,
    }
}

/// RFC 3339, or a date that means its first moment in UTC.
fn moment(text: &str) -> Option<i64> {
    let timestamp = match text.parse::<jiff::Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => {
            let date = text.parse::<jiff::civil::Date>().ok()?;
            jiff::tz::Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?
        }
    };
    Some(timestamp.as_millisecond())
}

fn expected(field: &Field) -> &'static str {
    match field {
        Field::FileType | Field::Tags | Field::Filename => "must be a string or a list of strings",
        Field::DocumentId => "must be a document id (a UUID) or a list of them",
        Field::UploadTime => "must be a time such as \"2026-01-31T12:00:00Z\" or \"2026-01-31\"",
        Field::Metadata(_) => {
            "must be a string, a number, true, false or a list of them; for absent values use {\"exists\": false}"
        }
    }
}

/// A step further in a JSON pointer (RFC 6901).
fn child(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn invalid(at: &str, detail: String) -> FilterError {
    FilterError { fault: FilterFault::InvalidValue, pointer: at.into(), detail }
}

fn unknown(at: &str, detail: String) -> FilterError {
    FilterError { fault: FilterFault::UnknownKey, pointer: at.into(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(value: Json) -> Result<Filter> {
        FilterBody(value.as_object().cloned().unwrap()).check("/filter")
    }

    fn text(value: &str) -> Value {
        Value::Text(value.into())
    }

    #[test]
    fn a_list_means_any_of_and_several_keys_mean_all_of() {
        let filter =
            check(json!({"file_type": ["py", ".MD"], "tags": {"any": ["a"], "all": ["b", "c"]}})).unwrap();
        let tags = Filter::And(vec![
            Filter::All(Field::Tags, vec![text("b"), text("c")]),
            Filter::Any(Field::Tags, vec![text("a")]),
        ]);
        let types = Filter::Any(Field::FileType, vec![text("py"), text("md")]);
        let Filter::And(parts) = filter else { panic!("{filter:?}") };
        assert_eq!(parts.len(), 2);
        assert!(parts.contains(&types), "{parts:?}");
        let Filter::And(mut got) = parts[1].clone() else { panic!("{parts:?}") };
        got.sort_by_key(|part| matches!(part, Filter::Any(..)));
        assert_eq!(Filter::And(got), tags);
    }

    #[test]
    fn conditions_nest() {
        let filter = check(json!({"or": [{"metadata.a.b": 3}, {"not": {"metadata.c": {"exists": true}}}]}));
        let path = |parts: &[&str]| Field::Metadata(parts.iter().map(ToString::to_string).collect());
        let expected = Filter::Or(vec![
            Filter::Any(path(&["a", "b"]), vec![Value::Number(3.0)]),
            Filter::Not(Box::new(Filter::Exists(path(&["c"]), true))),
        ]);
        assert_eq!(filter, Ok(expected));
    }

    #[test]
    fn times_are_moments_or_dates() {
        let filter = check(json!({"upload_time": {"gte": "1970-01-02", "lt": "1970-01-01T01:00:00+01:00"}}));
        let bounds =
            Bounds { gte: Some(Value::Time(86_400_000)), lt: Some(Value::Time(0)), ..Bounds::default() };
        assert_eq!(filter, Ok(Filter::Range(Field::UploadTime, bounds)));
    }

    #[test]
    fn faults_name_their_place() {
        use FilterFault::{InvalidValue, UnknownKey};
        let cases = [
            (json!({"author": "x"}), UnknownKey, "/filter/author"),
            (json!({"metadata.": "x"}), UnknownKey, "/filter/metadata."),
            (json!({"and": [{}, {"a/b": 1}]}), UnknownKey, "/filter/and/1/a~1b"),
            (json!({"tags": {"some": []}}), UnknownKey, "/filter/tags/some"),
            (json!({"tags": {}}), InvalidValue, "/filter/tags"),
            (json!({"document_id": ["7"]}), InvalidValue, "/filter/document_id/0"),
            (json!({"upload_time": {"gte": "soon"}}), InvalidValue, "/filter/upload_time/gte"),
            (json!({"file_type": {"gt": "a"}}), InvalidValue, "/filter/file_type/gt"),
            (json!({"filename": {"all": ["a"]}}), InvalidValue, "/filter/filename/all"),
            (json!({"metadata.a": null}), InvalidValue, "/filter/metadata.a"),
            (json!({"metadata.a": {"gt": true}}), InvalidValue, "/filter/metadata.a/gt"),
            (json!({"or": {"tags": "a"}}), InvalidValue, "/filter/or"),
            (json!({"not": "a"}), InvalidValue, "/filter/not"),
        ];
        for (value, fault, pointer) in cases {
            let error = check(value.clone()).unwrap_err();
            assert_eq!((error.fault, error.pointer.as_str()), (fault, pointer), "{value}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = (0..20).fold(json!({"tags": "a"}), |inner, _| json!({"not": inner}));
        assert_eq!(check(deep).unwrap_err().fault, FilterFault::InvalidValue);
        let wide = json!({"tags": vec!["a"; VALUES_MAX + 1]});
        assert_eq!(check(wide).unwrap_err().fault, FilterFault::InvalidValue);
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i32>().prop_map(Json::from),
            "[a-z0-9-]{0,8}".prop_map(Json::from)
        ];
        let key = prop_oneof![
            Just("and"),
            Just("or"),
            Just("not"),
            Just("tags"),
            Just("any"),
            Just("gte"),
            Just("upload_time"),
            Just("metadata.x"),
            Just("other")
        ];
        leaf.prop_recursive(6, 40, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::vec((key.clone(), inner), 0..4).prop_map(|pairs| pairs
                    .into_iter()
                    .map(|(k, v)| (k.to_string(), v))
                    .collect::<JsonMap>()
                    .into())
            ]
        })
    }

    proptest! {
        /// Every fault points to something that stands in the body.
        #[test]
        fn pointers_resolve(filter in any_json()) {
            if let Json::Object(map) = filter {
                let body = json!({"filter": map});
                if let Err(error) = FilterBody(map).check("/filter") {
                    prop_assert!(body.pointer(&error.pointer).is_some(), "{} in {body}", error.pointer);
                }
            }
        }
    }
}
