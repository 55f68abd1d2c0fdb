//! An embedder that does what one of its texts asks for: `embedder!nan`. All others it embeds, by counting their words.

use smartrag_sdk::embedder::{Embedder, Embeddings, ModelInfo, Purpose};
use smartrag_sdk::{Descriptor, Result, describe};

const DIMENSION: usize = 64;

struct Plugin;

impl Embedder for Plugin {
    fn describe() -> Descriptor {
        describe!("hostile-embedder")
    }

    fn load() -> Result<Self> {
        Ok(Self)
    }

    fn info(&self) -> Result<ModelInfo> {
        Ok(ModelInfo {
            model: "hostile".into(),
            dimension: DIMENSION as u32,
            window_tokens: 512,
            batch_max: 256,
            fusion_weight: 0.1,
            fingerprint: "hostile-1".into(),
            properties: Vec::new(),
        })
    }

    fn embed(&self, texts: &[String], _: Purpose) -> Result<Embeddings> {
        let mut values: Vec<f32> = texts.iter().flat_map(|text| vector(text)).collect();
        let mut dimension = DIMENSION as u32;
        if let Some((misdeed, _)) = texts.iter().find_map(|text| hostile::misdeed("embedder", text)) {
            hostile::commit(misdeed);
            match misdeed {
                "nan" => values[3] = f32::NAN,
                "infinite" => values[3] = f32::INFINITY,
                "long" => values.iter_mut().for_each(|value| *value *= 3.0),
                "dimension" => {
                    dimension = 32;
                    values.truncate(texts.len() * 32);
                }
                "rows" => values.truncate(DIMENSION / 2),
                "no-rows" => values.clear(),
                "output" => values = vec![0.125; 4 << 20],
                _ => {}
            }
        }
        Ok(Embeddings { dimension, values, tokens: 0 })
    }

    fn count_tokens(&self, texts: &[String]) -> Result<Vec<u32>> {
        let count = |text: &String| match hostile::misdeed("embedder", text) {
            Some(("tokens", _)) => u32::MAX,
            _ => text.split_whitespace().count() as u32,
        };
        Ok(texts.iter().map(count).collect())
    }
}

fn vector(text: &str) -> [f32; DIMENSION] {
    let mut vector = [0.0; DIMENSION];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let hash =
            word.to_lowercase().bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31) ^ u32::from(byte));
        vector[hash as usize % DIMENSION] += 1.0;
    }
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
    vector
}

smartrag_sdk::export!(embedder, Plugin);
