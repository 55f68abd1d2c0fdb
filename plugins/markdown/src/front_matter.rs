//! Front matter: the scalars and lists at the top level of a YAML or TOML block.

/// A value of front matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    One(String),
    Many(Vec<String>),
}

/// Keys with their values, in order. What is nested deeper is left out.
pub(crate) fn read(block: &str) -> Vec<(String, Value)> {
    let mut entries: Vec<(String, Value)> = Vec::new();
    for line in block.lines() {
        let item = line.trim_start().strip_prefix("- ");
        if let (Some(item), Some((_, value))) = (item, entries.last_mut()) {
            add(value, scalar(item));
            continue;
        }
        if line.starts_with([' ', '\t', '#', '[']) {
            continue;
        }
        if let Some((key, value)) = line.split_once([':', '=']) {
            entries.push((scalar(key), parse(value.trim())));
        }
    }
    entries.retain(|(key, value)| !key.is_empty() && *value != Value::One(String::new()));
    entries
}

fn add(value: &mut Value, item: String) {
    match value {
        Value::Many(items) => items.push(item),
        Value::One(text) if text.is_empty() => *value = Value::Many(vec![item]),
        Value::One(_) => {}
    }
}

fn parse(value: &str) -> Value {
    match value.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        Some(list) => Value::Many(list.split(',').map(scalar).filter(|item| !item.is_empty()).collect()),
        None => Value::One(scalar(value)),
    }
}

fn scalar(text: &str) -> String {
    let text = text.trim();
    let quoted = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    quoted.unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_and_lists() {
        let yaml =
            "title: \"A: B\"\ndate: 2024-01-02\ntags:\n  - x\n- 'y'\nkeys: [a, b]\nnested:\n  deep: 1\n";
        let many = |items: &[&str]| Value::Many(items.iter().map(|item| item.to_string()).collect());
        let expected = [
            ("title".into(), Value::One("A: B".into())),
            ("date".into(), Value::One("2024-01-02".into())),
            ("tags".into(), many(&["x", "y"])),
            ("keys".into(), many(&["a", "b"])),
        ];
        assert_eq!(read(yaml), expected);
    }
}
