//! Request and answer of `/embeddings`.

use serde::Deserialize;
use serde_json::{Map, Value};
use smartrag_sdk::{Error, Result};
use smartrag_servers::{Row, Rows};

/// The answer.
#[derive(Deserialize)]
pub struct Answer {
    data: Option<Vec<Item>>,
    usage: Option<Usage>,
    /// Some servers answer with an error and call it a success.
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Item {
    /// Which text.
    index: Option<usize>,
    embedding: Row,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
}

/// The body of a request.
pub fn body(model: Option<&str>, texts: &[String], dimensions: Option<u32>) -> Map<String, Value> {
    let mut body = Map::new();
    let mut set = |key: &str, value: Option<Value>| value.map(|value| body.insert(key.to_owned(), value));
    set("model", model.map(Into::into));
    set("input", Some(texts.into()));
    set("encoding_format", Some("float".into()));
    set("dimensions", dimensions.map(Into::into));
    body
}

impl Answer {
    /// The vectors in the order of the texts, whichever they came in.
    pub fn rows(self, base: &str) -> Result<Rows> {
        let rows = self.data.map(in_order).transpose()?;
        let tokens = self.usage.map_or(0, |usage| usage.prompt_tokens);
        Rows::new(base, rows, self.error.as_ref(), tokens)
    }
}

fn in_order(mut items: Vec<Item>) -> Result<Vec<Row>> {
    // A server that numbers none gives them in order.
    if items.iter().any(|item| item.index.is_some()) {
        items.sort_by_key(|item| item.index);
        if !items.iter().enumerate().all(|(at, item)| item.index == Some(at)) {
            return Err(Error::upstream(
                "the server answered with vectors that are numbered for other texts than it was asked for",
            ));
        }
    }
    Ok(items.into_iter().map(|item| item.embedding).collect())
}
