use serde::Deserialize;
use smartrag_sdk::{Error, Result};

/// What an operator may change.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Least support, 0 to 1, below which it abstains.
    pub support_min: f32,
    /// Sentences of an answer at most.
    pub sentences_max: usize,
    /// Characters of a sentence at most.
    pub sentence_chars_max: usize,
    /// How near a further sentence must come to the best one, 0 to 1.
    pub share_of_best: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { support_min: 0.2, sentences_max: 3, sentence_chars_max: 400, share_of_best: 0.06 }
    }
}

pub const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "support_min": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.2,
      "description": "Support of the best sentence, about the probability that the passages answer the question, below which the answer is that the documents do not say"},
    "sentences_max": {"type": "integer", "minimum": 1, "maximum": 10, "default": 3,
      "description": "Sentences of an answer at most"},
    "sentence_chars_max": {"type": "integer", "minimum": 80, "maximum": 4000, "default": 400,
      "description": "Characters of a sentence at most; longer ones are cut around what was asked"},
    "share_of_best": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.06,
      "description": "How near a further sentence must come to the best one to be said as well"}
  }
}"#;

impl Config {
    /// What the schema says of numbers.
    pub fn check(&self) -> Result<()> {
        let unit = |value: f32| (0.0..=1.0).contains(&value);
        if !unit(self.support_min) || !unit(self.share_of_best) {
            return Err(Error::invalid_config("support_min and share_of_best lie between 0 and 1"));
        }
        if !(1..=10).contains(&self.sentences_max) || !(80..=4000).contains(&self.sentence_chars_max) {
            return Err(Error::invalid_config(
                "sentences_max lies between 1 and 10, sentence_chars_max between 80 and 4000",
            ));
        }
        Ok(())
    }
}
