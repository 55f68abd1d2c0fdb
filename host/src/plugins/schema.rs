//! The part of JSON Schema (2020-12) that configurations of plugins need. What stands in a schema beyond it is not
//! checked here; the plugin reads its configuration itself, too.

use serde_json::{Map, Value};

use super::manifest::did_you_mean;

const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

/// Keywords that are checked, or that only tell.
const KNOWN: [&str; 25] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "format",
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "writeOnly",
];

/// Checks a value; the error names the first key that does not fit, and the nearest one where it is misspelt.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    check_at(schema, value, "")
}

fn check_at(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let schema = match schema {
        Value::Object(schema) => schema,
        Value::Bool(false) => return Err(format!("{} is not allowed", named(path))),
        _ => return Ok(()),
    };
    check_type(schema, value, path)?;
    check_choice(schema, value, path)?;
    match value {
        Value::Number(number) => check_range(schema, number.as_f64().unwrap_or(f64::NAN), path),
        Value::String(text) => {
            check_count(schema, ["minLength", "maxLength"], text.chars().count(), "characters", path)
        }
        Value::Array(items) => check_items(schema, items, path),
        Value::Object(object) => check_object(schema, object, path),
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn named(path: &str) -> String {
    if path.is_empty() { "the configuration".into() } else { format!("`{path}`") }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn check_type(schema: &Map<String, Value>, value: &Value, path: &str) -> Result<(), String> {
    let types = types(schema);
    if types.is_empty() || types.iter().any(|name| is_a(value, name)) {
        return Ok(());
    }
    Err(format!("{} must be of type {}, not {}", named(path), types.join(" or "), shown(value)))
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// A value in a message, cut to a readable length.
fn shown(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > 60 {
        text.truncate(text.floor_char_boundary(60));
        text.push('…');
    }
    text
}

fn check_choice(schema: &Map<String, Value>, value: &Value, path: &str) -> Result<(), String> {
    if let Some(only) = schema.get("const").filter(|only| *only != value) {
        return Err(format!("{} must be {only}, not {}", named(path), shown(value)));
    }
    let Some(Value::Array(choices)) = schema.get("enum") else { return Ok(()) };
    if choices.contains(value) {
        return Ok(());
    }
    let words: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
    let near = value.as_str().map_or_else(String::new, |wrong| did_you_mean(wrong, &words));
    let all: Vec<String> = choices.iter().map(Value::to_string).collect();
    Err(format!("{} must be one of {}, not {}{near}", named(path), all.join(", "), shown(value)))
}

fn check_range(schema: &Map<String, Value>, number: f64, path: &str) -> Result<(), String> {
    type Fits = fn(f64, f64) -> bool;
    let bounds: [(&str, &str, Fits); 4] = [
        ("minimum", "at least", |number, bound| number >= bound),
        ("maximum", "at most", |number, bound| number <= bound),
        ("exclusiveMinimum", "more than", |number, bound| number > bound),
        ("exclusiveMaximum", "less than", |number, bound| number < bound),
    ];
    let broken = bounds.into_iter().find_map(|(keyword, words, fits)| {
        let bound = schema.get(keyword)?.as_f64()?;
        (!fits(number, bound)).then(|| format!("{} must be {words} {bound}, not {number}", named(path)))
    });
    broken.map_or(Ok(()), Err)
}

fn check_count(
    schema: &Map<String, Value>,
    [least, most]: [&str; 2],
    count: usize,
    what: &str,
    path: &str,
) -> Result<(), String> {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
    let count = count as u64;
    if let Some(least) = bound(least).filter(|least| count < *least) {
        return Err(format!("{} must have at least {least} {what}, not {count}", named(path)));
    }
    match bound(most).filter(|most| count > *most) {
        Some(most) => Err(format!("{} must have at most {most} {what}, not {count}", named(path))),
        None => Ok(()),
    }
}

fn check_items(schema: &Map<String, Value>, items: &[Value], path: &str) -> Result<(), String> {
    check_count(schema, ["minItems", "maxItems"], items.len(), "items", path)?;
    let Some(each) = schema.get("items") else { return Ok(()) };
    items.iter().enumerate().try_for_each(|(at, item)| check_at(each, item, &format!("{path}[{at}]")))
}

fn check_object(schema: &Map<String, Value>, object: &Map<String, Value>, path: &str) -> Result<(), String> {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
    for (key, value) in object {
        let path = below(path, key);
        match (properties.get(key), schema.get("additionalProperties")) {
            (Some(schema), _) => check_at(schema, value, &path)?,
            (None, Some(Value::Bool(false))) => return Err(unknown(&path, key, &known)),
            (None, Some(schema)) => check_at(schema, value, &path)?,
            (None, None) => {}
        }
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    match required.filter_map(Value::as_str).find(|key| !object.contains_key(*key)) {
        Some(key) => Err(format!("`{}` is missing", below(path, key))),
        None => Ok(()),
    }
}

fn unknown(path: &str, key: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("unknown key `{path}`: there is nothing to configure");
    }
    match did_you_mean(key, known) {
        near if near.is_empty() => format!("unknown key `{path}`; known are {}", known.join(", ")),
        near => format!("unknown key `{path}`{near}"),
    }
}

/// What is wrong with a schema itself; empty if nothing is.
pub fn problems(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if schema.as_object().is_none_or(|schema| types(schema) != ["object"]) {
        found.push("the configuration is an object: say \"type\": \"object\"".to_owned());
    }
    collect(schema, "", &mut found, &mut Vec::new());
    found
}

/// Keywords in a schema that the check does not look at.
pub fn unchecked(schema: &Value) -> Vec<String> {
    let mut ignored = Vec::new();
    collect(schema, "", &mut Vec::new(), &mut ignored);
    ignored.sort();
    ignored.dedup();
    ignored
}

fn collect(schema: &Value, path: &str, found: &mut Vec<String>, ignored: &mut Vec<String>) {
    let Some(object) = schema.as_object() else {
        if !schema.is_boolean() {
            found.push(format!("{} is no schema: it must be an object or a boolean", named(path)));
        }
        return;
    };
    ignored.extend(object.keys().filter(|key| !KNOWN.contains(&key.as_str())).cloned());
    found.extend(object.iter().filter_map(|(key, value)| misused(key, value, path)));
    let properties = object.get("properties").and_then(Value::as_object);
    for (key, schema) in properties.into_iter().flatten() {
        collect(schema, &below(path, key), found, ignored);
    }
    for (keyword, ending) in [("items", "[]"), ("additionalProperties", ".*")] {
        if let Some(schema) = object.get(keyword) {
            collect(schema, &format!("{path}{ending}"), found, ignored);
        }
    }
    let required = object.get("required").and_then(Value::as_array).into_iter().flatten();
    let declared = |key: &str| properties.is_some_and(|properties| properties.contains_key(key));
    found.extend(
        required
            .filter_map(Value::as_str)
            .filter(|key| !declared(key))
            .map(|key| format!("`{}` is required, but there is no such property", below(path, key))),
    );
}

/// A keyword with a value that it can't have.
fn misused(keyword: &str, value: &Value, path: &str) -> Option<String> {
    let strings = |value: &Value| value.as_array().is_some_and(|all| all.iter().all(Value::is_string));
    let is_type = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let (fits, wanted) = match keyword {
        "type" => (
            is_type(value) || value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_type)),
            "a type of JSON",
        ),
        "enum" => (value.as_array().is_some_and(|all| !all.is_empty()), "a list of values"),
        "required" => (strings(value), "a list of names"),
        "properties" => (value.is_object(), "an object"),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => (value.is_number(), "a number"),
        "minLength" | "maxLength" | "minItems" | "maxItems" => (value.is_u64(), "a whole number from 0 on"),
        _ => return None,
    };
    (!fits).then(|| format!("`{keyword}` of {} must be {wanted}, not {}", named(path), shown(value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["url"],
            "properties": {
                "url": {"type": "string", "minLength": 1},
                "top_k": {"type": "integer", "minimum": 1, "maximum": 10},
                "mode": {"enum": ["fast", "exact"]},
                "weights": {"type": "array", "maxItems": 2, "items": {"type": "number", "exclusiveMinimum": 0}},
                "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                "model": {"type": ["string", "null"]},
            },
        })
    }

    #[test]
    fn values_that_fit() {
        for value in [
            json!({"url": "x"}),
            json!({"url": "x", "top_k": 10.0, "mode": "fast", "weights": [0.5, 1], "model": null}),
            json!({"url": "ä", "headers": {"a": "b"}}),
        ] {
            assert_eq!(check(&schema(), &value), Ok(()), "{value}");
        }
        assert_eq!(check(&json!(true), &json!({"a": 1})), Ok(()));
    }

    #[test]
    fn the_error_names_key_and_remedy() {
        let table = [
            (json!({}), "`url` is missing"),
            (json!({"url": ""}), "`url` must have at least 1 characters"),
            (json!({"url": "x", "topk": 1}), "unknown key `topk`; did you mean `top_k`?"),
            (json!({"url": "x", "something": 1}), "known are headers, mode"),
            (json!({"url": "x", "top_k": 0}), "`top_k` must be at least 1, not 0"),
            (json!({"url": "x", "top_k": 1.5}), "`top_k` must be of type integer"),
            (json!({"url": "x", "mode": "fest"}), "did you mean `fast`?"),
            (json!({"url": "x", "weights": [1, 0]}), "`weights[1]` must be more than 0"),
            (json!({"url": "x", "weights": [1, 1, 1]}), "at most 2 items"),
            (json!({"url": "x", "headers": {"a": 1}}), "`headers.a` must be of type string"),
            (json!([]), "the configuration must be of type object"),
        ];
        for (value, expected) in table {
            let error = check(&schema(), &value).unwrap_err();
            assert!(error.contains(expected), "{value}: {error}");
        }
        let nothing = json!({"type": "object", "additionalProperties": false});
        assert!(check(&nothing, &json!({"a": 1})).unwrap_err().contains("nothing to configure"));
    }

    #[test]
    fn schemas_are_checked_themselves() {
        assert!(problems(&schema()).is_empty() && unchecked(&schema()).is_empty());
        let bad = json!({
            "type": "object",
            "required": ["a"],
            "properties": {"b": {"type": "text"}, "c": 3, "d": {"minimum": "1", "pattern": "x"}},
        });
        assert_eq!(problems(&bad).len(), 4, "{:?}", problems(&bad));
        assert_eq!(unchecked(&bad), ["pattern"]);
        assert!(!problems(&json!({})).is_empty());
    }
}
