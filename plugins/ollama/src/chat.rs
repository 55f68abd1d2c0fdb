//! A request as Ollama wants it.

use serde_json::{Map, Value, json};
use smartrag_sdk::generator::Request;
use smartrag_servers::{number, role};

/// The body of a streamed chat. What the request names in `extra` stands among the options and in place of them.
pub fn body(request: &Request, model: &str, window: u32) -> Value {
    let given = &request.options;
    let mut options = Map::new();
    let mut set = |key: &str, value: Option<Value>| value.map(|value| options.insert(key.to_owned(), value));
    set("num_ctx", Some(window.into()));
    set("temperature", given.temperature.map(number));
    set("top_p", given.top_p.map(number));
    set("num_predict", given.max_tokens.map(Into::into));
    set("seed", given.seed.map(Into::into));
    set("stop", (!given.stop.is_empty()).then(|| given.stop.clone().into()));
    for extra in &given.extra {
        if let Ok(value) = serde_json::from_str(&extra.value) {
            options.insert(extra.key.clone(), value);
        }
    }
    let message = |message: &smartrag_sdk::generator::Message| json!({"role": role(message.role), "content": message.content});
    let messages: Vec<Value> = request.messages.iter().map(message).collect();
    json!({"model": model, "messages": messages, "stream": true, "options": options})
}
