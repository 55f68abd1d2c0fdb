use std::sync::Arc;

use super::host::HostState;
use super::pool::Pool;
use crate::plugins::bindings::v0_1_0::embedder::EmbedderPluginPre;
use crate::plugins::bindings::v0_1_0::embedder::exports::smartrag::plugin::embedder as guest;
use crate::plugins::fault::broken;
use crate::plugins::roles::{Embedder, EmbedderInfo, Purpose};
use crate::types::{PluginError, PluginId};

/// The pre-instantiated component of an embedder.
pub type EmbedderWorld = EmbedderPluginPre<HostState>;

const DIMENSION_MAX: u32 = 8192;
const BATCH_MAX: usize = 4096;
/// Text in one call, so that a batch of long texts fits the guest's memory.
const BATCH_BYTES: usize = 1 << 20;
/// Rows this far from length 1 are scaled, rows farther off are a defect.
const LENGTH_TOLERANCE: f32 = 0.01;
const LENGTH_EXACT: f32 = 1e-5;

/// An embedder in WebAssembly.
pub struct WasmEmbedder {
    pool: Arc<Pool<EmbedderWorld>>,
    info: EmbedderInfo,
}

impl WasmEmbedder {
    /// Around a pool; asks the guest for its info.
    pub fn new(pool: Arc<Pool<EmbedderWorld>>) -> Result<Self, PluginError> {
        let raw = pool.call(|store, exports| exports.smartrag_plugin_embedder().call_info(store))?;
        let info = info(raw).map_err(|what| broken(&pool.guest().id().name, what))?;
        Ok(Self { pool, info })
    }

    fn batch(&self, texts: &[&str], purpose: guest::Purpose) -> Result<Vec<f32>, PluginError> {
        let owned: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let raw = self
            .pool
            .call(|store, exports| exports.smartrag_plugin_embedder().call_embed(store, &owned, purpose))?;
        rows(raw, texts.len(), self.info.dimension).map_err(|what| broken(&self.pool.guest().id().name, what))
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
        let mut counts = Vec::with_capacity(texts.len());
        for batch in batches(texts, BATCH_MAX) {
            let owned: Vec<String> = batch.iter().map(|text| (*text).to_owned()).collect();
            let raw = self
                .pool
                .call(|store, exports| exports.smartrag_plugin_embedder().call_count_tokens(store, &owned))?;
            counts.extend(checked_counts(&self.pool.guest().id().name, raw, batch.len())?);
        }
        Ok(counts)
    }
}

/// Token counts, one for each text.
pub fn checked_counts(name: &str, counts: Vec<u32>, texts: usize) -> Result<Vec<u32>, PluginError> {
    if counts.len() == texts {
        return Ok(counts);
    }
    Err(broken(name, format!("tokens of {texts} texts were asked for, {} counts came back", counts.len())))
}

/// Cuts texts into calls by number and by bytes; a text longer than that goes alone.
pub fn batches<'a, 'b>(texts: &'a [&'b str], max: usize) -> impl Iterator<Item = &'a [&'b str]> {
    let mut rest = texts;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |text: &&&str| {
            bytes += text.len();
            bytes <= BATCH_BYTES
        };
        let len = rest.iter().take(max).take_while(fits).count().max(1);
        let (batch, next) = rest.split_at_checked(len)?;
        rest = next;
        Some(batch)
    })
}

fn info(raw: guest::ModelInfo) -> Result<EmbedderInfo, String> {
    if !(1..=DIMENSION_MAX).contains(&raw.dimension) {
        return Err(format!("dimension {} is not within 1 to {DIMENSION_MAX}", raw.dimension));
    }
    if !(0.0..=1.0).contains(&raw.fusion_weight) {
        return Err(format!("fusion-weight {} is not within 0 to 1", raw.fusion_weight));
    }
    if raw.window_tokens == 0 || raw.batch_max == 0 || raw.fingerprint.is_empty() {
        return Err("window-tokens, batch-max and fingerprint must not be empty".into());
    }
    Ok(EmbedderInfo {
        model: raw.model,
        dimension: raw.dimension as usize,
        window_tokens: raw.window_tokens,
        batch_max: (raw.batch_max as usize).min(BATCH_MAX),
        fusion_weight: raw.fusion_weight,
        fingerprint: raw.fingerprint,
    })
}

/// Checked rows of length 1 or 0.
fn rows(raw: guest::Embeddings, texts: usize, dimension: usize) -> Result<Vec<f32>, String> {
    if raw.dimension as usize != dimension || raw.values.len() != texts * dimension {
        return Err(format!(
            "{} values of dimension {} came back for {texts} texts of dimension {dimension}",
            raw.values.len(),
            raw.dimension
        ));
    }
    let mut values = raw.values;
    values.chunks_exact_mut(dimension).enumerate().try_for_each(|(index, row)| {
        settle(row).map_err(|length| format!("row {index} has length {length}, not 1 or 0"))
    })?;
    Ok(values)
}

fn settle(row: &mut [f32]) -> Result<(), f32> {
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length == 0.0 || (length - 1.0).abs() <= LENGTH_EXACT {
        return Ok(());
    }
    // Not a number compares as false, so it ends here.
    if (length - 1.0).abs() <= LENGTH_TOLERANCE {
        row.iter_mut().for_each(|value| *value /= length);
        return Ok(());
    }
    Err(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(dimension: u32, values: &[f32]) -> guest::Embeddings {
        guest::Embeddings { dimension, values: values.to_vec(), tokens: 0 }
    }

    #[test]
    fn rows_have_length_one_or_zero() {
        assert_eq!(rows(raw(2, &[1.0, 0.0, 0.0, 0.0]), 2, 2).unwrap(), [1.0, 0.0, 0.0, 0.0]);
        let scaled = rows(raw(2, &[0.0, 1.005]), 1, 2).unwrap();
        assert!((scaled[1] - 1.0).abs() < 1e-6);
        for bad in [[0.5, 0.0], [2.0, 0.0], [f32::NAN, 0.0], [f32::INFINITY, 0.0]] {
            assert!(rows(raw(2, &bad), 1, 2).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn counts_must_fit() {
        assert!(rows(raw(2, &[1.0, 0.0]), 2, 2).is_err());
        assert!(rows(raw(3, &[1.0, 0.0, 0.0]), 1, 2).is_err());
        assert!(checked_counts("p", vec![1], 2).is_err());
    }

    #[test]
    fn batches_are_cut_by_number_and_bytes() {
        let long = "x".repeat(BATCH_BYTES + 1);
        let texts = ["a", "b", "c", &long, "d"];
        let lens: Vec<usize> = batches(&texts, 2).map(<[_]>::len).collect();
        assert_eq!(lens, [2, 1, 1, 1]);
        assert_eq!(batches(&[], 2).count(), 0);
    }
}
