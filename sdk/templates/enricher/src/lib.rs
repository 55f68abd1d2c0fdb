//! Counts words, and says how long a document takes to read.
//!
//! An enricher adds metadata to documents and chunks: keys of its own, with JSON as values. What it says stands below
//! its name in the metadata and can be filtered by.

use serde::Deserialize;
use smartrag_sdk::enricher::{ChunkInput, DocumentInput, Enricher};
use smartrag_sdk::{Annotation, Descriptor, Error, Result, config, describe};

/// What an operator may set below `plugins.settings.template-enricher`. Every field has a default.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    words_per_minute: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { words_per_minute: 230 }
    }
}

/// The same for the host, which checks the settings before the plugin runs.
const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "words_per_minute": {"type": "integer", "minimum": 1, "default": 230,
      "description": "How fast people read"}
  }
}"#;

/// The plugin. It is made once and used for many documents, but the host may start over at any time.
pub struct Plugin {
    config: Config,
}

impl Enricher for Plugin {
    fn describe() -> Descriptor {
        describe!("template-enricher").config_schema(SCHEMA)
    }

    fn load() -> Result<Self> {
        let config: Config = config()?;
        if config.words_per_minute == 0 {
            return Err(Error::invalid_config("words_per_minute must be at least 1"));
        }
        Ok(Self { config })
    }

    /// Of the document as a whole; its text is cut after 64 KiB.
    fn enrich_document(&self, document: &DocumentInput) -> Result<Vec<Annotation>> {
        let minutes = words(&document.text).div_ceil(self.config.words_per_minute);
        Ok(vec![Annotation::new("minutes", minutes)])
    }

    /// One list for each chunk, in order.
    fn enrich_chunks(&self, _: &DocumentInput, chunks: &[ChunkInput]) -> Result<Vec<Vec<Annotation>>> {
        Ok(chunks.iter().map(|chunk| vec![Annotation::new("words", words(&chunk.text))]).collect())
    }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

smartrag_sdk::export!(enricher, Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_rounded_up() {
        let document = DocumentInput {
            filename: "a.txt".into(),
            file_type: "txt".into(),
            title: None,
            language: None,
            text: "word ".repeat(231),
        };
        let found = Plugin::load().unwrap().enrich_document(&document).unwrap();
        assert_eq!(found, [Annotation::new("minutes", 2)]);
    }
}
