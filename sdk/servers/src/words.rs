use serde_json::Value;
use smartrag_sdk::generator::Role;

/// What servers call who speaks.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// A number as it was written: 0.7, not 0.699999988079071.
pub fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}
