//! Builds everything from a [`Config`]; owns tasks and shutdown.

mod samples;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::answer::{Answers, ModelStatus, Prompts, Settings};
use crate::backup::Backups;
use crate::config::{self, Config, Options, places};
use crate::ingest::{self, Ingest};
use crate::plugins::{Embedder, Embedders, Places, Plugins, Reload};
use crate::search::Search;
use crate::store::{self, Store};
use crate::telemetry::{self, NoticeKind, notify};
use crate::types::{KeyId, Role, UserId};
use samples::Sampler;

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
    /// Makes backups.
    pub backups: Backups,
    /// Looks at the machine now and then.
    sampler: Sampler,
    /// When it began.
    pub started: Instant,
    /// Changes when a key is revoked: what it opened must look whether it still stands.
    pub revocations: watch::Sender<u64>,
    /// What the configuration is read from.
    options: Options,
    /// One reload at a time.
    reloading: Mutex<()>,
}

/// What became of a changed configuration.
#[derive(Debug)]
pub struct Reloaded {
    /// By plugin.
    pub plugins: Reload,
    /// The backends that are used now.
    pub backends: Vec<ModelStatus>,
    /// Sections that changed and are taken up at the next start only.
    pub needs_restart: Vec<&'static str>,
}

impl App {
    /// Starts everything; blocks until searches see all that was ready before.
    ///
    /// # Errors
    /// A data directory that can't be used, no plugins, no embedder: each says what to do.
    pub fn start(config: Config, options: Options) -> Result<Arc<Self>> {
        let started = Instant::now();
        let found = places(&config);
        let places = Places {
            plugin_dirs: found.plugin_dirs,
            model_dirs: found.model_dirs,
            cache_dir: found.cache_dir,
        };
        let prompts = Prompts::load(config.prompts.dir.as_deref())?;
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
            Settings {
                backends: config.backends.clone(),
                prompts,
                search: config.search.clone(),
                analytics: config.analytics,
                embeds_elsewhere: config.embedder.has_server(),
            },
        );
        let reranker = answers.models().into_iter().find(|model| model.role == Role::Reranker);
        if let Some(problem) = reranker.and_then(|reranker| reranker.problem) {
            tracing::error!(
                problem,
                "search.reranker can't be used: searches fail that do not say `rerank: false`"
            );
        }
        let sampler = Sampler::start(store.clone(), answers.clone(), &config.data_dir)?;
        let config_file = config::file_in_use(&options);
        let backups = Backups::start(store.clone(), plugins.clone(), config.backup.clone(), config_file)?;
        let ms = started.elapsed().as_millis() as u64;
        tracing::info!(data_dir = %config.data_dir.display(), plugins = plugins.list().len(), ms, "started");
        Ok(Arc::new(Self {
            config,
            places,
            store,
            search,
            plugins,
            embedder,
            ingest,
            answers,
            backups,
            sampler,
            started,
            revocations: watch::Sender::new(0),
            options,
            reloading: Mutex::default(),
        }))
    }

    /// Reads the configuration again and takes up changed backends, grants and plugins, while questions are answered.
    /// Blocks.
    ///
    /// # Errors
    /// A configuration that does not check, with line and reason: nothing is changed then.
    pub fn reload(&self) -> Result<Reloaded> {
        let _one = self.reloading.lock();
        let reloaded = self.take_up();
        match &reloaded {
            Ok(_) => notify(NoticeKind::ConfigReloaded, "", "a changed configuration is in use"),
            Err(error) => notify(NoticeKind::ConfigRefused, "", format!("{error:#}")),
        }
        reloaded
    }

    fn take_up(&self) -> Result<Reloaded> {
        let mut next = config::load(&self.options)?.config;
        // Another embedder is taken up at the next start: until then this one needs its server.
        let _ = next.plugins.grant_server(&self.config.embedder);
        for (name, backend) in &next.backends.named {
            let (plugin, settings) = (&backend.plugin.plugin, &backend.plugin.settings);
            self.plugins.check_generator(plugin, settings).with_context(|| format!("backends.{name}"))?;
        }
        let prompts = Prompts::load(next.prompts.dir.as_deref())?;
        let generators = next.backends.named.values().map(|backend| &backend.plugin);
        let generators: Vec<_> = generators.map(|used| (used.plugin.as_str(), &used.settings)).collect();
        let plugins = self.plugins.reconfigure(&next.plugins, &generators)?;
        telemetry::set_log_filter(&next.log.level)?;
        self.answers.use_prompts(prompts);
        self.answers.use_backends(&next.backends);
        let needs_restart = self.config.needs_restart(&next);
        if !needs_restart.is_empty() {
            let sections = needs_restart.join(", ");
            tracing::warn!(sections, "changes of the configuration that are taken up at the next start only");
        }
        tracing::info!("configuration reloaded");
        let backends = self.answers.models().into_iter().filter(|model| model.role == Role::Generator);
        Ok(Reloaded { plugins, backends: backends.collect(), needs_restart })
    }

    /// Revokes a key, and closes what it opened; `false` where there is none such. Blocks.
    ///
    /// # Errors
    /// Those of the store.
    pub fn revoke_key(&self, id: &KeyId) -> store::Result<bool> {
        let known = self.store.revoke_key(id)?;
        self.revocations.send_modify(|count| *count += 1);
        Ok(known)
    }

    /// Deletes a user with all that he owns; how many documents that were. Blocks.
    ///
    /// # Errors
    /// Those of the store; then some of it may be gone, and it can be tried again.
    pub fn delete_user(&self, id: &UserId) -> Result<u64, ingest::Error> {
        // Keys first, so that nothing new comes in.
        self.store.delete_user(id)?;
        self.revocations.send_modify(|count| *count += 1);
        let mut documents = 0;
        for collection in self.store.collections(Some(id))? {
            documents += self.ingest.delete_collection(&collection.key)?;
        }
        Ok(documents)
    }

    /// Ends workers and flushes; blocks.
    pub fn shutdown(&self) {
        self.backups.shutdown();
        self.sampler.stop();
        self.answers.shutdown();
        self.ingest.shutdown();
        self.search.close();
        tracing::info!("stopped");
    }
}
