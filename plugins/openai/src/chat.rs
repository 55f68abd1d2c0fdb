//! A request as the chat API wants it.

use serde_json::{Map, Value, json};
use smartrag_sdk::generator::Request;
use smartrag_servers::{number, role};

/// The body of a streamed chat. What the request names in `extra` stands beside the rest and in place of it.
pub fn body(request: &Request, model: Option<&str>) -> Map<String, Value> {
    let options = &request.options;
    let mut body = Map::new();
    let messages: Vec<Value> = request
        .messages
        .iter()
        .map(|message| json!({"role": role(message.role), "content": message.content}))
        .collect();
    let mut set = |key: &str, value: Option<Value>| value.map(|value| body.insert(key.to_owned(), value));
    set("model", model.map(Into::into));
    set("messages", Some(messages.into()));
    set("stream", Some(true.into()));
    set("stream_options", Some(json!({"include_usage": true})));
    set("temperature", options.temperature.map(number));
    set("top_p", options.top_p.map(number));
    set("max_tokens", options.max_tokens.map(Into::into));
    set("seed", options.seed.map(Into::into));
    set("stop", (!options.stop.is_empty()).then(|| options.stop.clone().into()));
    for extra in &options.extra {
        if let Ok(value) = serde_json::from_str(&extra.value) {
            body.insert(extra.key.clone(), value);
        }
    }
    body
}
