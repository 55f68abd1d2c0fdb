//! From values to [`Raw`]: finds every unknown key and every wrong type, not only the first.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::problem::{Problem, suggestion};
use super::tree::Tree;

/// Reads the tree. What does not fit is left out and noted.
pub(super) fn read<T: DeserializeOwned + Default>(tree: &Tree, problems: &mut Vec<Problem>) -> T {
    let mut value = Value::Object(tree.value.clone());
    if let Value::Object(sections) = &mut value {
        sections.retain(|_, section| !section.is_null());
    }
    loop {
        let error = match serde_path_to_error::deserialize(&value) {
            Ok(read) => return read,
            Err(error) => error,
        };
        let key = error.path().to_string();
        let message = explain(&key, &error.inner().to_string());
        problems.push(Problem { origin: tree.origin(&key), key, message });
        if !remove(&mut value, error.path()) {
            return T::default();
        }
    }
}

/// Takes the value at the path away; of a list, the list. Whether something went.
fn remove(value: &mut Value, path: &Path) -> bool {
    let keys = path.iter().map_while(|segment| match segment {
        Segment::Map { key } => Some(key.as_str()),
        _ => None,
    });
    let keys: Vec<&str> = keys.collect();
    let Some((last, sections)) = keys.split_last() else { return false };
    let mut value = value;
    for section in sections {
        let Some(inner) = value.get_mut(*section) else { return false };
        value = inner;
    }
    value.as_object_mut().is_some_and(|map| map.remove(*last).is_some())
}

/// Serde's message in words of the config file.
fn explain(key: &str, message: &str) -> String {
    let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
    if message.starts_with("unknown field") {
        let name = key.rsplit('.').next().unwrap_or(key);
        return format!("unknown key; {}", suggestion(name, &known));
    }
    if message.starts_with("unknown variant") {
        return format!(
            "expected {}, found {:?}",
            known.join(" or "),
            message.split('`').nth(1).unwrap_or("")
        );
    }
    let Some((found, expected)) = message.split_once(", expected ") else { return message.to_owned() };
    let found = found.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
    format!("expected {}, found {}", plain_type(expected), found.replace("string \"", "\"").replace('`', ""))
}

fn plain_type(expected: &str) -> &str {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list such as [a, b]",
        "path string" => "a path",
        other if other.starts_with("struct ") || other == "a map" => "a map of settings",
        other => other,
    }
}
