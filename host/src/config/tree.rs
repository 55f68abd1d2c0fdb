//! Values with the place where each was set: one file, then the environment, then flags on top.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use super::problem::{Origin, Problem};
use crate::types::JsonMap;

/// What was set, and where.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// As it will be read.
    pub value: JsonMap,
    /// By dotted key.
    origins: BTreeMap<String, Origin>,
}

/// A YAML node that keeps duplicate keys and lines.
enum Node {
    Scalar(Value),
    Seq(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Node)>),
}

impl Tree {
    /// Reads a file's text. Duplicate keys and broken YAML become problems.
    pub fn parse(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Self {
        let mut tree = Tree::default();
        match nodes(text) {
            Ok(None) => {}
            Ok(Some(Node::Map(entries))) => tree.value = tree.take_map("", path, entries, problems),
            Ok(Some(_)) => problems.push(Problem {
                origin: Origin::File(path.into(), 1),
                key: String::new(),
                message: "expected a map of sections such as `api:`".to_owned(),
            }),
            Err(error) => problems.push(Problem {
                origin: Origin::File(path.into(), error.location().map_or(1, |at| at.line())),
                key: String::new(),
                message: format!("not YAML: {}", plain_message(&error)),
            }),
        }
        tree
    }

    fn take(&mut self, key: &str, path: &Path, node: Node, problems: &mut Vec<Problem>) -> Value {
        match node {
            Node::Scalar(value) => value,
            Node::Map(entries) => Value::Object(self.take_map(key, path, entries, problems)),
            Node::Seq(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    let key = format!("{key}[{index}]");
                    self.origins.insert(key.clone(), Origin::File(path.into(), item.referenced.line()));
                    self.take(&key, path, item.value, problems)
                })
                .collect(),
        }
    }

    fn take_map(
        &mut self,
        prefix: &str,
        path: &Path,
        entries: Vec<(Spanned<String>, Node)>,
        problems: &mut Vec<Problem>,
    ) -> JsonMap {
        let mut map = JsonMap::new();
        for (name, node) in entries {
            let key = joined(prefix, &name.value);
            let origin = Origin::File(path.into(), name.referenced.line());
            if let Some(first) = map.get(&name.value).and_then(|_| self.origins.get(&key)) {
                let message = format!("set twice, first at {first}: remove one of them");
                problems.push(Problem { origin, key, message });
                continue;
            }
            self.origins.insert(key.clone(), origin);
            let value = self.take(&key, path, node, problems);
            map.insert(name.value, value);
        }
        map
    }

    /// Sets a value over what was there; creates the maps on the way.
    pub fn set(&mut self, key: &[String], value: Value, origin: Origin) {
        let Some((last, sections)) = key.split_last() else { return };
        let mut map = &mut self.value;
        for (depth, section) in sections.iter().enumerate() {
            self.origins.entry(key[..=depth].join(".")).or_insert_with(|| origin.clone());
            let entry = map.entry(section.clone()).or_insert(Value::Null);
            if !entry.is_object() {
                *entry = Value::Object(JsonMap::new());
            }
            let Value::Object(inner) = entry else { return };
            map = inner;
        }
        map.insert(last.clone(), value);
        self.origins.insert(key.join("."), origin);
    }

    /// The value at a dotted key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut names = key.split('.');
        let mut value = self.value.get(names.next()?)?;
        for name in names {
            value = value.get(name)?;
        }
        Some(value)
    }

    /// Where a value was set: its own place, else that of the nearest section around it.
    pub fn origin(&self, key: &str) -> Origin {
        nearest(&self.origins, key).cloned().unwrap_or(Origin::Default)
    }

    /// Every scalar or list that somebody set, with its place.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &Origin)> {
        let is_leaf = |key: &str| self.get(key).is_some_and(|value| !value.is_object());
        self.origins.iter().filter(move |(key, _)| is_leaf(key)).map(|(key, origin)| (key.as_str(), origin))
    }
}

/// A value of an environment variable or a flag: YAML where it reads as a number, a boolean, a list or a map,
/// else the text itself.
pub(super) fn loose_value(text: &str) -> Value {
    match nodes(text) {
        Ok(Some(node)) => match node.into_json() {
            Value::Object(_) if !text.trim_start().starts_with('{') => text.into(),
            Value::Array(_) if !text.trim_start().starts_with('[') => text.into(),
            value => value,
        },
        _ => text.into(),
    }
}

/// `a.b`, or `b` at the top.
pub(super) fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn nodes(text: &str) -> Result<Option<Node>, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    let node: Option<Node> = serde_saphyr::from_str_with_options(text, options)?;
    Ok(node.filter(|node| !matches!(node, Node::Scalar(Value::Null))))
}

/// The message without the place, which we say ourselves.
fn plain_message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let end = text.find(" at line ").unwrap_or(text.len());
    let text = text[..end].lines().next().unwrap_or_default();
    text.trim_start_matches("error: ").to_owned()
}

impl Node {
    fn into_json(self) -> Value {
        match self {
            Node::Scalar(value) => value,
            Node::Seq(items) => items.into_iter().map(|item| item.value.into_json()).collect(),
            Node::Map(entries) => {
                Value::Object(entries.into_iter().map(|(key, node)| (key.value, node.into_json())).collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

/// Where a value was set: its own place, else that of the nearest section around it; `None` where nobody did.
pub fn nearest<'a>(origins: &'a BTreeMap<String, Origin>, key: &str) -> Option<&'a Origin> {
    let mut key = key;
    loop {
        if let Some(origin) = origins.get(key) {
            return Some(origin);
        }
        key = &key[..key.rfind(['.', '['])?];
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> (Tree, Vec<Problem>) {
        let mut problems = Vec::new();
        let tree = Tree::parse(Path::new("c.yaml"), text, &mut problems);
        (tree, problems)
    }

    #[test]
    fn knows_the_line_of_each_value() {
        let (tree, problems) =
            parse("api:\n  bind: 127.0.0.1:1\n\nplugins:\n  extra_dirs:\n    - /a\n    - /b\n");
        assert_eq!(problems, []);
        assert_eq!(tree.origin("api.bind").to_string(), "c.yaml:2");
        assert_eq!(tree.origin("plugins.extra_dirs[1]").to_string(), "c.yaml:7");
        assert_eq!(tree.origin("api.missing").to_string(), "c.yaml:1");
        assert_eq!(tree.origin("log.level"), Origin::Default);
    }

    #[test]
    fn reports_every_duplicate_and_keeps_the_first() {
        let (tree, problems) = parse("a: 1\nb: {x: 1, x: 2}\na: 2\n");
        let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            lines,
            [
                "c.yaml:2: b.x: set twice, first at c.yaml:2: remove one of them",
                "c.yaml:3: a: set twice, first at c.yaml:1: remove one of them",
            ]
        );
        assert_eq!(Value::Object(tree.value), json!({"a": 1, "b": {"x": 1}}));
    }

    #[test]
    fn an_empty_file_is_no_problem() {
        for text in ["", "# nothing\n", "---\n"] {
            let (tree, problems) = parse(text);
            assert_eq!((tree.value.len(), problems.len()), (0, 0), "{text:?}");
        }
    }

    #[test]
    fn loose_values_stay_text_unless_they_are_plainly_more() {
        assert_eq!(loose_value("0.5"), json!(0.5));
        assert_eq!(loose_value("127.0.0.1:9"), json!("127.0.0.1:9"));
        assert_eq!(loose_value("a: b"), json!("a: b"));
        assert_eq!(loose_value("[a, b]"), json!(["a", "b"]));
        assert_eq!(loose_value("no"), json!("no"));
        assert_eq!(loose_value("03:00"), json!("03:00"));
        assert_eq!(loose_value("[broken"), json!("[broken"));
    }
}
