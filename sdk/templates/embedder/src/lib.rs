//! Hashes words into a vector: a real embedder without a model, to start from.
//!
//! An embedder turns texts into vectors of one dimension and of length 1 (or 0, where it knows nothing of the text).
//! One with weights declares them as `[[models]]` in plugin.toml and opens them with `ModelFile::open` in `load`.

use serde::Deserialize;
use smartrag_sdk::embedder::{Embedder, Embeddings, ModelInfo, Purpose};
use smartrag_sdk::{Descriptor, Error, Result, config, describe};

/// What an operator may set at the embedder in the configuration. Every field has a default.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    dimension: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { dimension: 256 }
    }
}

/// The same for the host, which checks the settings before the plugin runs.
const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "dimension": {"type": "integer", "minimum": 8, "maximum": 4096, "default": 256,
      "description": "Length of a vector"}
  }
}"#;

/// The plugin. It is made once and used for many calls, but the host may start over at any time.
pub struct Plugin {
    config: Config,
}

impl Embedder for Plugin {
    fn describe() -> Descriptor {
        describe!("template-embedder").config_schema(SCHEMA)
    }

    fn load() -> Result<Self> {
        let config: Config = config()?;
        if !(8..=4096).contains(&config.dimension) {
            return Err(Error::invalid_config("dimension lies between 8 and 4096"));
        }
        Ok(Self { config })
    }

    fn info(&self) -> Result<ModelInfo> {
        Ok(ModelInfo {
            model: "hashed-words".into(),
            dimension: self.config.dimension,
            window_tokens: 512,
            batch_max: 256,
            // How much this vector counts beside keywords: measure with `smartrag eval`.
            fusion_weight: 0.2,
            // Change it whenever the same text would get another vector: documents are embedded anew then.
            fingerprint: format!("hashed-words-1-{}", self.config.dimension),
            properties: Vec::new(),
        })
    }

    fn embed(&self, texts: &[String], _purpose: Purpose) -> Result<Embeddings> {
        let values = texts.iter().flat_map(|text| self.vector(text)).collect();
        let tokens = self.count_tokens(texts)?.into_iter().map(u64::from).sum();
        Ok(Embeddings { dimension: self.config.dimension, values, tokens })
    }

    fn count_tokens(&self, texts: &[String]) -> Result<Vec<u32>> {
        Ok(texts.iter().map(|text| words(text).count() as u32).collect())
    }
}

impl Plugin {
    /// Each word counts up or down in the place that its hash names; then the whole gets length 1.
    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.config.dimension as usize];
        for word in words(text) {
            let hash = fnv1a(&word.to_lowercase());
            let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
            vector[(hash % u64::from(self.config.dimension)) as usize] += sign;
        }
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|value| *value /= length);
        }
        vector
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// The same everywhere and forever, unlike the hash of the standard library.
fn fnv1a(word: &str) -> u64 {
    word.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

smartrag_sdk::export!(embedder, Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_near_each_other() {
        let plugin = Plugin::load().unwrap();
        let dot =
            |a: &str, b: &str| plugin.vector(a).iter().zip(plugin.vector(b)).map(|(x, y)| x * y).sum::<f32>();
        assert!((dot("Blue bird", "blue BIRD") - 1.0).abs() < 1e-6);
        assert!(dot("blue bird", "blue whale") > dot("blue bird", "tax form"));
        assert_eq!(dot("", "blue"), 0.0);
    }
}
