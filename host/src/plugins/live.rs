//! A plugin in use: whoever asked for it keeps it, while what stands behind it is exchanged.

use std::any::Any;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::health::Health;
use super::load::Entry;
use super::roles::*;
use super::wasm::embedder::WasmEmbedder;
use super::wasm::enricher::WasmEnricher;
use super::wasm::generator::WasmGenerator;
use super::wasm::parser::WasmParser;
use super::wasm::reranker::WasmReranker;
use crate::types::{Chunk, Parsed, PluginError, PluginId};

/// What makes a plugin of one role, and whether it may follow on another build.
pub trait Build: Sized + Send + Sync + 'static {
    /// Makes one with a configuration, a JSON object, and tries it out.
    fn build(entry: &Entry, config: &str) -> Result<Self, PluginError>;

    /// Why `next` can't take over; a sentence.
    fn hinders(&self, _next: &Self) -> Option<String> {
        None
    }
}

/// A plugin with its place in the config.
pub struct Live<P> {
    config: String,
    current: ArcSwap<P>,
    health: Arc<Health>,
}

/// Puts a prepared build into use.
pub type Commit = Box<dyn FnOnce() + Send>;

/// Something whose build can be exchanged.
pub trait Exchange: Any + Send + Sync {
    /// Crashes and what follows from them.
    fn health(&self) -> &Health;
    /// Makes everything ready for another build, which is used from the commit on.
    fn prepare(self: Arc<Self>, entry: &Entry) -> Result<Commit, String>;
}

impl<P: Build> Live<P> {
    /// With the build that is installed now.
    pub fn new(entry: &Entry, config: String, health: Arc<Health>) -> Result<Arc<Self>, PluginError> {
        let current = ArcSwap::from_pointee(P::build(entry, &config)?);
        Ok(Arc::new(Self { config, current, health }))
    }

    fn call<R>(&self, work: impl Fn(&P) -> Result<R, PluginError>) -> Result<R, PluginError> {
        self.health.admit()?;
        let result = work(&self.current.load());
        // Nothing was handed out yet: where the build before is back, the caller need not know.
        if self.health.note(result.as_ref().err()) { work(&self.current.load()) } else { result }
    }
}

impl<P: Build> Exchange for Live<P> {
    fn health(&self) -> &Health {
        &self.health
    }

    fn prepare(self: Arc<Self>, entry: &Entry) -> Result<Commit, String> {
        let next = P::build(entry, &self.config).map_err(|error| error.message)?;
        if let Some(reason) = self.current.load().hinders(&next) {
            return Err(reason);
        }
        Ok(Box::new(move || self.current.store(Arc::new(next))))
    }
}

impl Parser for Live<WasmParser> {
    fn id(&self) -> PluginId {
        self.current.load().id()
    }

    fn parse(&self, source: &Source, options: &ParseOptions) -> Result<Parsed, PluginError> {
        self.call(|parser| parser.parse(source, options))
    }
}

impl Enricher for Live<WasmEnricher> {
    fn id(&self) -> PluginId {
        self.current.load().id()
    }

    fn enrich(&self, document: &EnrichDocument, chunks: &[Chunk]) -> Result<Annotations, PluginError> {
        self.call(|enricher| enricher.enrich(document, chunks))
    }
}

impl Embedder for Live<WasmEmbedder> {
    fn id(&self) -> PluginId {
        self.current.load().id()
    }

    fn info(&self) -> EmbedderInfo {
        self.current.load().info()
    }

    fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<f32>, PluginError> {
        self.call(|embedder| embedder.embed(texts, purpose))
    }

    fn count_tokens(&self, texts: &[&str]) -> Result<Vec<u32>, PluginError> {
        self.call(|embedder| embedder.count_tokens(texts))
    }
}

impl Reranker for Live<WasmReranker> {
    fn id(&self) -> PluginId {
        self.current.load().id()
    }

    fn rerank(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>, PluginError> {
        self.call(|reranker| reranker.rerank(query, passages))
    }
}

impl Generator for Live<WasmGenerator> {
    fn id(&self) -> PluginId {
        self.current.load().id()
    }

    fn info(&self) -> GeneratorInfo {
        self.current.load().info()
    }

    fn probe(&self) -> Result<GeneratorInfo, PluginError> {
        self.call(|generator| generator.probe())
    }

    fn generate(&self, request: &GenerateRequest) -> Result<Generation, PluginError> {
        let generation = self.call(|generator| generator.generate(request))?;
        let health = self.health.clone();
        Ok(Box::new(generation.inspect(move |events| {
            health.note(events.as_ref().err());
        })))
    }

    fn count_tokens(&self, texts: &[&str]) -> Result<Vec<u32>, PluginError> {
        self.call(|generator| generator.count_tokens(texts))
    }
}
