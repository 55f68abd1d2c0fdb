use llama_cpp_2::sampling::LlamaSampler;
use serde::Deserialize;

use crate::failure::Failure;

/// Where a question does not say: words of sources should come out as they are.
const TEMPERATURE: f32 = 0.2;
const TOP_P: f32 = 0.95;
const TOP_K: i32 = 40;
const MIN_P: f32 = 0.05;
/// Tokens that a penalty looks back on.
const PENALTY_TOKENS: i32 = 64;

/// A question to the model.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// The model that is asked for, if one is.
    pub model: Option<&'a str>,
    /// Role and text.
    pub messages: Vec<(&'a str, &'a str)>,
    /// 0: always the likeliest token.
    pub temperature: Option<f32>,
    /// Share of the likeliest tokens that are chosen from.
    pub top_p: Option<f32>,
    /// For repeatable answers.
    pub seed: Option<u64>,
    /// Of the answer.
    pub max_tokens: Option<u32>,
    /// Texts that end it.
    pub stop: Vec<&'a str>,
    /// A JSON object with what else there is.
    pub extra: &'a str,
}

/// What is known beyond the options that all generators have; others are left alone, as model servers do.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Extra {
    top_k: Option<u32>,
    min_p: Option<f32>,
    repeat_penalty: Option<f32>,
}

impl Request<'_> {
    /// How tokens are chosen, by the order that llama.cpp's server has.
    ///
    /// # Errors
    /// `INVALID_INPUT` for options of the wrong type.
    pub fn sampler(&self, words: i32) -> Result<LlamaSampler, Failure> {
        let extra: Extra = match self.extra {
            "" => Extra::default(),
            json => {
                serde_json::from_str(json).map_err(|error| Failure::input(format!("options: {error}")))?
            }
        };
        let mut chain = Vec::new();
        if let Some(penalty) = extra.repeat_penalty {
            if !(0.01..=10.0).contains(&penalty) {
                return Err(Failure::input("options: repeat_penalty must be 0.01 to 10"));
            }
            chain.push(LlamaSampler::penalties(words, PENALTY_TOKENS, penalty, 0.0, 0.0));
        }
        let temperature = self.temperature.unwrap_or(TEMPERATURE);
        if temperature <= 0.0 {
            chain.push(LlamaSampler::greedy());
        } else {
            chain.extend([
                LlamaSampler::top_k(extra.top_k.map_or(TOP_K, |k| k.min(1 << 20) as i32)),
                LlamaSampler::top_p(self.top_p.unwrap_or(TOP_P), 1),
                LlamaSampler::min_p(extra.min_p.unwrap_or(MIN_P), 1),
                LlamaSampler::temp(temperature),
                LlamaSampler::dist(self.seed.map_or(sys_random(), |seed| (seed ^ (seed >> 32)) as u32)),
            ]);
        }
        Ok(LlamaSampler::chain(chain, true))
    }
}

/// A seed that nobody knows.
fn sys_random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0u8) as u32
}
