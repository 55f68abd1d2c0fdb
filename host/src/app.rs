//! Builds everything from a [`Config`]; owns tasks and shutdown.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::answer::Answers;
use crate::config::{Config, places};
use crate::ingest::{self, Ingest};
use crate::plugins::{Embedder, Embedders, Places, Plugins};
use crate::search::Search;
use crate::store::Store;

/// The running product, without its door.
pub struct App {
    /// As checked at start.
    pub config: Config,
    /// Where things were found.
    pub places: Places,
    /// The one truth.
    pub store: Store,
    /// The indexes.
    pub search: Search,
    /// All plugins.
    pub plugins: Plugins,
    /// The embedder in use.
    pub embedder: Arc<dyn Embedder>,
    /// Takes documents in.
    pub ingest: Ingest,
    /// Searches and answers.
    pub answers: Answers,
    /// When it began.
    pub started: Instant,
}

impl App {
    /// Starts everything; blocks until searches see all that was ready before.
    ///
    /// # Errors
    /// A data directory that can't be used, no plugins, no embedder: each says what to do.
    pub fn start(config: Config) -> Result<Arc<Self>> {
        let started = Instant::now();
        let found = places(&config);
        let places = Places {
            plugin_dirs: found.plugin_dirs,
            model_dirs: found.model_dirs,
            cache_dir: found.cache_dir,
        };
        let store = Store::open(&config.data_dir)?;
        let search = Search::open(&found.indexes_dir)?;
        let plugins = Plugins::load(&places, &config.plugins)?;
        plugins.watch().context("the plugin directories can't be watched")?;
        let embedder = plugins
            .embedder(&config.embedder.plugin, &config.embedder.settings)
            .context("the embedder can't be used, and without it no document can be taken in")?;
        let embedders = Embedders::new(embedder.clone());
        ingest::load_former(&store, &plugins, &embedders, &config.embedder)?;
        let ingest = Ingest::start(
            store.clone(),
            search.clone(),
            plugins.clone(),
            embedders.clone(),
            config.ingest.clone(),
        )?;
        let answers = Answers::start(
            store.clone(),
            search.clone(),
            plugins.clone(),
            embedders,
            config.backends.clone(),
            config.search.clone(),
        );
        let ms = started.elapsed().as_millis() as u64;
        tracing::info!(data_dir = %config.data_dir.display(), plugins = plugins.list().len(), ms, "started");
        Ok(Arc::new(Self { config, places, store, search, plugins, embedder, ingest, answers, started }))
    }

    /// Ends workers and flushes; blocks.
    pub fn shutdown(&self) {
        self.ingest.shutdown();
        self.search.close();
        tracing::info!("stopped");
    }
}
