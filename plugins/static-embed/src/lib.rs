//! Embeds a text as the mean of its tokens' vectors, normalised: WordLlama's way, from its own two files.
//!
//! Gives the vectors of the Python package `wordllama` (`embed(…, norm=True)`), at thousands of chunks a second.

mod bpe;
mod tokenizer;
mod vocabulary;
mod weights;

use std::cell::RefCell;

use smartrag_sdk::embedder::{Embedder, Embeddings, ModelInfo, Purpose};
use smartrag_sdk::{Descriptor, Error, ModelFile, Result, describe};

pub use tokenizer::Tokenizer;
pub use weights::Weights;

/// Of the weights that `plugin.toml` pins and the host checks.
const WEIGHTS_SHA256: &str = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5";

/// The embedder.
pub struct StaticEmbed {
    tokenizer: RefCell<Tokenizer>,
    weights: RefCell<Weights>,
}

impl StaticEmbed {
    /// Adds up the vectors of the text's tokens in `row`, which is all zero, and normalises. Returns their number.
    fn embed_one(&self, text: &str, row: &mut [f32]) -> Result<u64> {
        if text.trim().is_empty() {
            return Ok(0); // The reference has a vector for blanks; to us they mean nothing.
        }
        let (mut tokens, mut added) = (0, Ok(()));
        let mut weights = self.weights.borrow_mut();
        self.tokenizer.borrow_mut().each_piece(text, |ids| {
            tokens += ids.len() as u64;
            if added.is_ok() {
                added = ids.iter().try_for_each(|&id| weights.add_row(id, row));
            }
        });
        normalise(row);
        added.map(|()| tokens)
    }
}

impl Embedder for StaticEmbed {
    fn describe() -> Descriptor {
        describe!("static-embed").property("languages", ["en", "de"])
    }

    fn load() -> Result<Self> {
        let tokenizer = Tokenizer::from_json(&ModelFile::open("tokenizer")?.read_all()?)?;
        let weights = Weights::open(ModelFile::open("weights")?)?;
        if tokenizer.vocabulary_size() > weights.rows() {
            return Err(Error::corrupt(format!(
                "the tokenizer knows {} tokens and the weights {}: run `smartrag models fetch`",
                tokenizer.vocabulary_size(),
                weights.rows()
            )));
        }
        Ok(Self { tokenizer: RefCell::new(tokenizer), weights: RefCell::new(weights) })
    }

    fn info(&self) -> Result<ModelInfo> {
        Ok(ModelInfo {
            model: "wordllama-l2-supercat-256".into(),
            dimension: self.weights.borrow().dimension() as u32,
            // A mean has no window; beyond this its direction says ever less.
            window_tokens: 512,
            batch_max: 256,
            fusion_weight: 0.3,
            fingerprint: format!("sha256:{WEIGHTS_SHA256}"),
            properties: Vec::new(),
        })
    }

    fn embed(&self, texts: &[String], _purpose: Purpose) -> Result<Embeddings> {
        let dimension = self.weights.borrow().dimension();
        let mut values = vec![0.0; texts.len() * dimension];
        let rows = values.chunks_exact_mut(dimension);
        let tokens =
            texts.iter().zip(rows).map(|(text, row)| self.embed_one(text, row)).sum::<Result<_>>()?;
        Ok(Embeddings { dimension: dimension as u32, values, tokens })
    }

    fn count_tokens(&self, texts: &[String]) -> Result<Vec<u32>> {
        let mut tokenizer = self.tokenizer.borrow_mut();
        Ok(texts.iter().map(|text| tokenizer.count(text)).collect())
    }
}

/// Scales to length 1; leaves zeros alone.
fn normalise(row: &mut [f32]) {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|x| *x /= length);
    }
}

smartrag_sdk::export!(embedder, StaticEmbed);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_that_of_the_pinned_weights() {
        assert!(include_str!("../plugin.toml").contains(&format!("\"{WEIGHTS_SHA256}\"")));
    }

    #[test]
    fn normalising_gives_length_one_and_keeps_zeros() {
        let (mut row, mut zeros) = ([3.0, 4.0], [0.0; 2]);
        normalise(&mut row);
        normalise(&mut zeros);
        assert_eq!((row, zeros), ([0.6, 0.8], [0.0; 2]));
    }
}
