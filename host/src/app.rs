//! Builds everything from a [`Config`]; owns tasks and shutdown.

use std::sync::Arc;

use crate::answer::Answers;
use crate::config::Config;
use crate::ingest::Ingest;
use crate::plugins::{Embedder, Places, Plugins};
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
    pub started: std::time::Instant,
}

impl App {
    /// Starts everything; blocks until searches see all that was ready before.
    pub fn start(_config: Config) -> anyhow::Result<Arc<Self>> {
        todo!()
    }

    /// Ends workers and flushes; blocks.
    pub fn shutdown(&self) {
        todo!()
    }
}
