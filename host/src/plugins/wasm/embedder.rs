use std::sync::Arc;

use super::host::HostState;
use super::pool::Pool;
use crate::plugins::bindings::v0_1_0::embedder::EmbedderPluginPre;
use crate::plugins::bindings::v0_1_0::embedder::exports::smartrag::plugin::embedder as guest;
use crate::plugins::roles::{Embedder, EmbedderInfo, Purpose};
use crate::plugins::vectors::{batches, checked_info, checked_rows, counts};
use crate::types::{PluginError, PluginId};

/// The pre-instantiated component of an embedder.
pub type EmbedderWorld = EmbedderPluginPre<HostState>;

/// An embedder in WebAssembly.
pub struct WasmEmbedder {
    pool: Arc<Pool<EmbedderWorld>>,
    info: EmbedderInfo,
}

impl WasmEmbedder {
    /// Around a pool; asks the guest for its info.
    pub fn new(pool: Arc<Pool<EmbedderWorld>>) -> Result<Self, PluginError> {
        let raw = pool.call(|store, exports| exports.smartrag_plugin_embedder().call_info(store))?;
        let info = info(raw).map_err(|what| pool.guest().broken(what))?;
        Ok(Self { pool, info })
    }

    fn batch(&self, texts: &[&str], purpose: guest::Purpose) -> Result<Vec<f32>, PluginError> {
        let owned: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let raw = self
            .pool
            .call(|store, exports| exports.smartrag_plugin_embedder().call_embed(store, &owned, purpose))?;
        rows(raw, texts.len(), self.info.dimension).map_err(|what| self.pool.guest().broken(what))
    }
}

impl Embedder for WasmEmbedder {
    fn id(&self) -> PluginId {
        self.pool.guest().id().clone()
    }

    fn info(&self) -> EmbedderInfo {
        self.info.clone()
    }

    fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<f32>, PluginError> {
        let purpose = match purpose {
            Purpose::Query => guest::Purpose::Query,
            Purpose::Passage => guest::Purpose::Passage,
        };
        let mut values = Vec::with_capacity(texts.len() * self.info.dimension);
        for batch in batches(texts, self.info.batch_max) {
            values.extend(self.batch(batch, purpose)?);
        }
        Ok(values)
    }

    fn count_tokens(&self, texts: &[&str]) -> Result<Vec<u32>, PluginError> {
        let ask = |batch: &[&str]| {
            let owned: Vec<String> = batch.iter().map(|text| (*text).to_owned()).collect();
            self.pool
                .call(|store, exports| exports.smartrag_plugin_embedder().call_count_tokens(store, &owned))
        };
        counts(texts, ask, |what| self.pool.guest().broken(what))
    }
}

fn info(raw: guest::ModelInfo) -> Result<EmbedderInfo, String> {
    checked_info(EmbedderInfo {
        model: raw.model,
        dimension: raw.dimension as usize,
        window_tokens: raw.window_tokens,
        batch_max: raw.batch_max as usize,
        fusion_weight: raw.fusion_weight,
        fingerprint: raw.fingerprint,
    })
}

/// Checked rows of length 1 or 0.
fn rows(raw: guest::Embeddings, texts: usize, dimension: usize) -> Result<Vec<f32>, String> {
    if raw.dimension as usize != dimension {
        return Err(format!("values of dimension {} came back, not of {dimension}", raw.dimension));
    }
    checked_rows(raw.values, texts, dimension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dimension_is_the_declared_one() {
        let raw = |dimension| guest::Embeddings { dimension, values: vec![1.0, 0.0], tokens: 0 };
        assert!(rows(raw(2), 1, 2).is_ok());
        assert!(rows(raw(3), 1, 2).is_err());
    }
}
