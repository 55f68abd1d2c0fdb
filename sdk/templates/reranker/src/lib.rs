//! Scores a passage by the share of the words of the query that it has.
//!
//! A reranker reads the query and the best passages of a search together, and says how well each answers it.

use std::collections::HashSet;

use serde::Deserialize;
use smartrag_sdk::reranker::Reranker;
use smartrag_sdk::{Descriptor, Result, config, describe};

/// What an operator may set below `plugins.settings.template-reranker`. Every field has a default.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    letters_min: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { letters_min: 3 }
    }
}

/// The same for the host, which checks the settings before the plugin runs.
const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "letters_min": {"type": "integer", "minimum": 1, "default": 3,
      "description": "Shorter words do not count"}
  }
}"#;

/// The plugin. It is made once and used for many queries, but the host may start over at any time.
pub struct Plugin {
    config: Config,
}

impl Reranker for Plugin {
    fn describe() -> Descriptor {
        describe!("template-reranker").config_schema(SCHEMA)
    }

    fn load() -> Result<Self> {
        Ok(Self { config: config()? })
    }

    /// One score for each passage, in order, from 0 to 1.
    fn rerank(&self, query: &str, passages: &[String]) -> Result<Vec<f32>> {
        let wanted = self.words(query);
        let score = |passage: &String| {
            let found = self.words(passage);
            wanted.intersection(&found).count() as f32 / wanted.len().max(1) as f32
        };
        Ok(passages.iter().map(score).collect())
    }
}

impl Plugin {
    fn words(&self, text: &str) -> HashSet<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
        words.filter(|word| word.chars().count() >= self.config.letters_min).collect()
    }
}

smartrag_sdk::export!(reranker, Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_words_of_the_query_score_higher() {
        let passages = ["The garden is closed.", "When the garden opens, bring boots.", ""].map(String::from);
        let scores = Plugin::load().unwrap().rerank("When does the garden open?", &passages).unwrap();
        assert!(scores[1] > scores[0] && scores[0] > scores[2], "{scores:?}");
    }
}
