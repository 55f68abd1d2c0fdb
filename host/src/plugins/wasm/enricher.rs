use std::sync::Arc;

use super::check;
use super::host::HostState;
use super::pool::Pool;
use crate::plugins::bindings::v0_1_0::enricher::EnricherPluginPre;
use crate::plugins::bindings::v0_1_0::enricher::exports::smartrag::plugin::enricher as guest;
use crate::plugins::roles::{Annotations, EnrichDocument, Enricher};
use crate::types::{Chunk, JsonMap, PluginError, PluginId};

/// The pre-instantiated component of an enricher.
pub type EnricherWorld = EnricherPluginPre<HostState>;

/// Chunks in one call: bounds what a call takes and returns.
const CHUNKS_A_CALL: usize = 512;

/// An enricher in WebAssembly.
pub struct WasmEnricher {
    pool: Arc<Pool<EnricherWorld>>,
}

impl WasmEnricher {
    /// Around a pool.
    pub fn new(pool: Arc<Pool<EnricherWorld>>) -> Self {
        Self { pool }
    }

    fn document(&self, document: &guest::DocumentInput) -> Result<JsonMap, PluginError> {
        let annotations = self.pool.call(|store, exports| {
            exports.smartrag_plugin_enricher().call_enrich_document(store, document)
        })?;
        check::annotations(annotations).map_err(|what| self.pool.guest().broken(what))
    }

    fn chunks(&self, document: &guest::DocumentInput, chunks: &[Chunk]) -> Result<Vec<JsonMap>, PluginError> {
        let inputs: Vec<_> = chunks.iter().map(input).collect();
        let annotations = self.pool.call(|store, exports| {
            exports.smartrag_plugin_enricher().call_enrich_chunks(store, document, &inputs)
        })?;
        if annotations.len() != chunks.len() {
            let what = format!("{} chunks were given, {} came back", chunks.len(), annotations.len());
            return Err(self.pool.guest().broken(what));
        }
        annotations
            .into_iter()
            .map(|one| check::annotations(one).map_err(|what| self.pool.guest().broken(what)))
            .collect()
    }
}

impl Enricher for WasmEnricher {
    fn id(&self) -> PluginId {
        self.pool.guest().id().clone()
    }

    fn enrich(&self, document: &EnrichDocument, chunks: &[Chunk]) -> Result<Annotations, PluginError> {
        let input = guest::DocumentInput {
            filename: document.filename.clone(),
            file_type: document.file_type.clone(),
            title: document.title.clone(),
            language: document.language.clone(),
            text: document.text.clone(),
        };
        let mut annotations = Annotations { document: self.document(&input)?, chunks: Vec::new() };
        for batch in chunks.chunks(CHUNKS_A_CALL) {
            annotations.chunks.extend(self.chunks(&input, batch)?);
        }
        Ok(annotations)
    }
}

fn input(chunk: &Chunk) -> guest::ChunkInput {
    guest::ChunkInput {
        text: chunk.text.clone(),
        heading_path: chunk.heading_path.clone(),
        language: chunk.language.clone(),
    }
}
