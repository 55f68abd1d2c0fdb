//! Where two JSON values differ, path by path.

use serde_json::Value;

use crate::cli::output::excerpt;

/// Numbers this near count as equal: vectors are not the same to the last bit on every machine.
const TOLERANCE: f64 = 1e-4;
const VALUE_CHARS: usize = 160;
const EVERYTHING: &str = "output";

/// One line for each difference; empty if the values are equal.
pub fn differences(expected: &Value, actual: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(expected, actual, "", &mut found);
    found
}

fn compare(expected: &Value, actual: &Value, path: &str, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, value) in expected {
                let path = below(path, key);
                match actual.get(key) {
                    Some(other) => compare(value, other, &path, found),
                    None => found.push(format!("{path}: expected {}, but it is missing", shown(value))),
                }
            }
            let added = actual.iter().filter(|(key, _)| !expected.contains_key(*key));
            found.extend(
                added.map(|(key, value)| format!("{}: not expected: {}", below(path, key), shown(value))),
            );
        }
        (Value::Array(expected), Value::Array(actual)) => {
            if expected.len() != actual.len() {
                found.push(format!("{path}: expected {} items, got {}", expected.len(), actual.len()));
            }
            for (at, (one, other)) in expected.iter().zip(actual).enumerate() {
                compare(one, other, &format!("{path}[{at}]"), found);
            }
        }
        (Value::String(one), Value::String(other)) if one != other => found.push(text(one, other, path)),
        (one, other) if !equal(one, other) => {
            found.push(format!("{}: expected {}, got {}", whole(path), shown(one), shown(other)));
        }
        _ => {}
    }
}

fn whole(path: &str) -> &str {
    if path.is_empty() { EVERYTHING } else { path }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn equal(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() <= TOLERANCE,
        _ => one == other,
    }
}

/// Long texts differ somewhere in the middle: there the lines begin.
fn text(expected: &str, actual: &str, path: &str) -> String {
    let same = expected.chars().zip(actual.chars()).take_while(|(one, other)| one == other).count();
    let from = same.saturating_sub(20);
    let rest = |text: &str| {
        let dots = if from > 0 { "…" } else { "" };
        format!("{dots}{:?}", excerpt(&text.chars().skip(from).collect::<String>(), VALUE_CHARS))
    };
    format!("{}: at character {same}: expected {}, got {}", whole(path), rest(expected), rest(actual))
}

fn shown(value: &Value) -> String {
    excerpt(&value.to_string(), VALUE_CHARS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_values_have_no_differences() {
        let value = json!({"a": [1.0, "x", null]});
        assert!(differences(&value, &json!({"a": [1.00001, "x", null]})).is_empty());
    }

    #[test]
    fn each_difference_is_named_by_its_path() {
        let expected = json!({"a": [1, 2], "b": {"c": "some text"}, "gone": true});
        let actual = json!({"a": [1], "b": {"c": "some test"}, "new": 1});
        let found = differences(&expected, &actual).join("\n");
        for line in
            ["a: expected 2 items, got 1", "b.c: at character 7", "gone: expected true", "new: not expected"]
        {
            assert!(found.contains(line), "{line} in {found}");
        }
        assert!(differences(&json!(1), &json!(2))[0].starts_with("output: expected 1"));
    }
}
