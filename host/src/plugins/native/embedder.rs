use std::sync::Arc;

use smartrag_native::purpose;

use super::ffi::{EmbedderTable, Instance, RawEmbedderInfo};
use crate::plugins::fault::broken;
use crate::plugins::roles::{Embedder, EmbedderInfo, Purpose};
use crate::plugins::vectors::{batches, checked_info, checked_rows, counts};
use crate::types::{PluginError, PluginId};

/// An embedder in a shared library.
pub struct NativeEmbedder {
    id: PluginId,
    instance: Arc<Instance>,
    table: EmbedderTable,
    info: EmbedderInfo,
}

impl NativeEmbedder {
    /// Asks the instance for its info.
    pub fn new(id: PluginId, instance: Arc<Instance>, table: EmbedderTable) -> Result<Self, PluginError> {
        let raw = table.info(&instance).map_err(|failure| failure.of(&id.name))?;
        let info = checked_info(info(raw)).map_err(|what| broken(&id.name, what))?;
        Ok(Self { id, instance, table, info })
    }

    fn batch(&self, texts: &[&str], purpose: u32) -> Result<Vec<f32>, PluginError> {
        let (name, dimension) = (&self.id.name, self.info.dimension);
        let values = self.table.embed(&self.instance, texts, purpose, dimension);
        checked_rows(values.map_err(|failure| failure.of(name))?, texts.len(), dimension)
            .map_err(|what| broken(name, what))
    }
}

impl Embedder for NativeEmbedder {
    fn id(&self) -> PluginId {
        self.id.clone()
    }

    fn info(&self) -> EmbedderInfo {
        self.info.clone()
    }

    fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<f32>, PluginError> {
        let purpose = match purpose {
            Purpose::Query => purpose::QUERY,
            Purpose::Passage => purpose::PASSAGE,
        };
        let mut values = Vec::with_capacity(texts.len() * self.info.dimension);
        for batch in batches(texts, self.info.batch_max) {
            values.extend(self.batch(batch, purpose)?);
        }
        Ok(values)
    }

    fn count_tokens(&self, texts: &[&str]) -> Result<Vec<u32>, PluginError> {
        let name = &self.id.name;
        let ask = |batch: &[&str]| {
            self.table.count_tokens(&self.instance, batch).map_err(|failure| failure.of(name))
        };
        counts(texts, ask, |what| broken(name, what))
    }
}

fn info(raw: RawEmbedderInfo) -> EmbedderInfo {
    EmbedderInfo {
        model: raw.model,
        dimension: raw.dimension as usize,
        window_tokens: raw.window_tokens,
        batch_max: raw.batch_max as usize,
        fusion_weight: raw.fusion_weight,
        fingerprint: raw.fingerprint,
    }
}
