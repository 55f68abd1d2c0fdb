use std::sync::Arc;

use super::host::HostState;
use super::pool::Pool;
use crate::plugins::bindings::v0_1_0::reranker::RerankerPluginPre;
use crate::plugins::roles::Reranker;
use crate::types::{PluginError, PluginId};

/// The pre-instantiated component of a reranker.
pub type RerankerWorld = RerankerPluginPre<HostState>;

/// A reranker in WebAssembly.
pub struct WasmReranker {
    pool: Arc<Pool<RerankerWorld>>,
}

impl WasmReranker {
    /// Around a pool.
    pub fn new(pool: Arc<Pool<RerankerWorld>>) -> Self {
        Self { pool }
    }
}

impl Reranker for WasmReranker {
    fn id(&self) -> PluginId {
        self.pool.guest().id().clone()
    }

    fn rerank(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>, PluginError> {
        let owned: Vec<String> = passages.iter().map(|text| (*text).to_owned()).collect();
        let scores = self
            .pool
            .call(|store, exports| exports.smartrag_plugin_reranker().call_rerank(store, query, &owned))?;
        check(&scores, passages.len()).map_err(|what| self.pool.guest().broken(what))?;
        Ok(scores)
    }
}

fn check(scores: &[f32], passages: usize) -> Result<(), String> {
    if scores.len() != passages {
        return Err(format!("{passages} passages were given, {} scores came back", scores.len()));
    }
    match scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
        None => Ok(()),
        Some(score) => Err(format!("score {score} is not within 0 to 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_counted_and_bounded() {
        assert!(check(&[0.0, 1.0], 2).is_ok());
        for bad in [vec![0.5], vec![0.5, 1.1], vec![0.5, f32::NAN], vec![-0.1, 0.0]] {
            assert!(check(&bad, 2).is_err(), "{bad:?}");
        }
    }
}
