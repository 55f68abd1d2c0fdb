use serde_json::Value;
use smartrag_sdk::generator::Role;

/// Bytes that make a token, where nobody counts: few enough for German.
const BYTES_A_TOKEN: usize = 3;

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

/// Tokens of each text where nobody counts them, on the safe side.
pub fn guessed_tokens(texts: &[String]) -> Vec<u32> {
    let guess = |text: &String| u32::try_from(text.len().div_ceil(BYTES_A_TOKEN)).unwrap_or(u32::MAX);
    texts.iter().map(guess).collect()
}
