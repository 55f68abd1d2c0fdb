//! The named generators: which there are, which can be asked at present, and whom to ask instead.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Error, ModelStatus, Result};
use crate::config::{BackendConfig, BackendsConfig};
use crate::plugins::{Generator, Plugins};
use crate::telemetry::{NoticeKind, notify};
use crate::types::{FaultKind, PluginError, Role};

/// How often the backends are looked through.
const LOOK: Duration = Duration::from_secs(2);
/// How often a server that is there is asked whether it still is.
const PROBE_UP: Duration = Duration::from_secs(30);
/// Failed answers in a row after which a backend is left alone.
const FAILURES_MAX: u32 = 3;
/// For how long; a server can say that it is there and fail nevertheless.
const LEFT_ALONE: Duration = Duration::from_secs(30);

pub(super) struct Backends {
    default: String,
    named: BTreeMap<String, Arc<Backend>>,
}

/// A named backend.
pub(super) struct Backend {
    pub name: String,
    config: BackendConfig,
    plugins: Plugins,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` until its plugin could be made.
    generator: Option<Arc<dyn Generator>>,
    /// Why it should not be asked at present.
    problem: Option<PluginError>,
    /// Answers that failed, in a row.
    failures: u32,
    /// When it was last asked whether it is there.
    probed: Option<Instant>,
    /// Until when it is left alone.
    alone_until: Option<Instant>,
}

impl Backends {
    /// Makes those that need no server; the others are tried in the background, again and again while they are not there.
    pub(super) fn load(plugins: &Plugins, config: &BackendsConfig) -> Arc<Self> {
        let named =
            config.named.iter().map(|(name, config)| (name.clone(), Backend::new(plugins, name, config)));
        let named: BTreeMap<_, _> = named.collect();
        named.values().filter(|backend| !backend.has_server()).for_each(|backend| backend.probe());
        Self::watched(config.default.clone(), named)
    }

    /// Those of another configuration. What is configured as before goes on as before; what is new was tried before this
    /// returns.
    pub(super) fn followed_by(&self, plugins: &Plugins, config: &BackendsConfig) -> Arc<Self> {
        let named: BTreeMap<_, _> = config
            .named
            .iter()
            .map(|(name, config)| {
                let known = self.named.get(name).filter(|backend| backend.config == *config).cloned();
                (name.clone(), known.unwrap_or_else(|| Backend::new(plugins, name, config)))
            })
            .collect();
        thread::scope(|scope| {
            for backend in named.values().filter(|backend| !backend.was_probed()) {
                scope.spawn(|| backend.probe());
            }
        });
        Self::watched(config.default.clone(), named)
    }

    fn watched(default: String, named: BTreeMap<String, Arc<Backend>>) -> Arc<Self> {
        let backends = Arc::new(Self { default, named });
        let remote = backends.named.values().any(|backend| backend.has_server());
        let weak = Arc::downgrade(&backends);
        let spawn = || thread::Builder::new().name("backends".into()).spawn(move || watch(&weak));
        if remote && let Err(error) = spawn() {
            tracing::error!(%error, "no thread to look after the backends: they are tried when they are asked");
        }
        backends
    }

    /// The backend of this name, or the default one, and behind it those to fall back on. Those that are known not to be
    /// there come last.
    pub(super) fn chain(&self, name: Option<&str>) -> Result<Vec<Arc<Backend>>> {
        let mut next = Some(name.unwrap_or(&self.default));
        let mut chain: Vec<Arc<Backend>> = Vec::new();
        while let Some(name) = next.filter(|name| chain.iter().all(|backend| backend.name != **name)) {
            let backend = self.named.get(name).ok_or_else(|| self.unknown(name))?;
            chain.push(backend.clone());
            next = backend.config.fallback.as_deref();
        }
        chain.sort_by_key(|backend| backend.problem().is_some());
        Ok(chain)
    }

    /// A generator of this house that judges sentences instead of reading prompts.
    pub(super) fn judge(&self) -> Option<Arc<dyn Generator>> {
        let local = self.named.values().filter(|backend| !backend.has_server());
        local
            .filter_map(|backend| backend.generator().ok())
            .find(|generator| generator.info().wants_sentences)
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<&str> = self.named.keys().map(String::as_str).collect();
        Error::UnknownBackend(name.to_owned(), known.join(", "))
    }

    pub(super) fn status(&self) -> Vec<ModelStatus> {
        self.named.values().map(|backend| backend.status(backend.name == self.default)).collect()
    }
}

impl Backend {
    fn new(plugins: &Plugins, name: &str, config: &BackendConfig) -> Arc<Self> {
        let (name, config, plugins) = (name.to_owned(), config.clone(), plugins.clone());
        Arc::new(Self { name, config, plugins, state: Mutex::default() })
    }

    pub(super) fn has_server(&self) -> bool {
        self.config.has_server()
    }

    fn was_probed(&self) -> bool {
        self.state.lock().probed.is_some()
    }

    /// The name of its plugin.
    pub(super) fn plugin(&self) -> &str {
        &self.config.plugin.plugin
    }

    /// What answers. Made now if that was not possible before.
    pub(super) fn generator(&self) -> std::result::Result<Arc<dyn Generator>, PluginError> {
        if let Some(generator) = &self.state.lock().generator {
            return Ok(generator.clone());
        }
        // Asks a server, perhaps: not under the lock.
        let made = self.plugins.generator(&self.config.plugin.plugin, &self.config.plugin.settings)?;
        self.state.lock().generator = Some(made.clone());
        Ok(made)
    }

    fn problem(&self) -> Option<PluginError> {
        self.state.lock().problem.clone()
    }

    /// Notes how an answer went.
    pub(super) fn note(&self, error: Option<&PluginError>) {
        let mut state = self.state.lock();
        let Some(error) = error else {
            state.failures = 0;
            return self.set_problem(&mut state, None);
        };
        if !speaks_against(&error.kind) {
            return;
        }
        state.failures += 1;
        if error.kind == FaultKind::Unavailable {
            self.set_problem(&mut state, Some(error.clone()));
        } else if state.failures >= FAILURES_MAX {
            state.alone_until = Some(Instant::now() + LEFT_ALONE);
            self.set_problem(&mut state, Some(error.clone()));
        }
    }

    /// Asks whether it is there.
    fn probe(&self) {
        let probed = self.generator().and_then(|generator| generator.probe());
        let mut state = self.state.lock();
        state.probed = Some(Instant::now());
        self.set_problem(&mut state, probed.err());
    }

    fn probe_if_due(&self) {
        let due = {
            let state = self.state.lock();
            match state.probed {
                _ if state.alone_until.is_some_and(|until| Instant::now() < until) => false,
                None => true,
                Some(at) => state.problem.is_some() || at.elapsed() >= PROBE_UP,
            }
        };
        if due {
            self.probe();
        }
    }

    /// Says so when a backend comes or goes.
    fn set_problem(&self, state: &mut State, problem: Option<PluginError>) {
        let name = &self.name;
        match (&state.problem, &problem) {
            (None, Some(error)) => {
                tracing::warn!(backend = name, %error, "backend can't be used");
                notify(NoticeKind::BackendDown, name, error.to_string());
            }
            (Some(_), None) => {
                tracing::info!(backend = name, "backend can be used again");
                notify(NoticeKind::BackendUp, name, "it can be used again");
            }
            _ => {}
        }
        if problem.is_none() {
            state.alone_until = None;
        }
        state.problem = problem;
    }

    fn status(&self, is_default: bool) -> ModelStatus {
        let state = self.state.lock();
        let info = state.generator.as_ref().map(|generator| generator.info());
        let configured = self.config.plugin.settings.get("model").and_then(|model| model.as_str());
        let waiting =
            || (self.has_server() && state.probed.is_none()).then(|| "it was not asked yet".to_owned());
        ModelStatus {
            role: Role::Generator,
            name: self.name.clone(),
            plugin: self.config.plugin.plugin.clone(),
            model: info.as_ref().map(|info| info.model.clone()).or_else(|| configured.map(str::to_owned)),
            models: info.map(|info| info.models).unwrap_or_default(),
            is_default,
            problem: state.problem.as_ref().map(|error| error.message.clone()).or_else(waiting),
        }
    }
}

/// Whether a failure is the backend's and not the question's.
fn speaks_against(kind: &FaultKind) -> bool {
    match kind {
        FaultKind::InvalidInput | FaultKind::Empty | FaultKind::Unsupported | FaultKind::Limit(_) => false,
        FaultKind::Other(code) => code != "unknown_model" && code != "cancelled",
        _ => true,
    }
}

/// Until nobody has the backends any more.
fn watch(backends: &Weak<Backends>) {
    while let Some(there) = backends.upgrade() {
        there
            .named
            .values()
            .filter(|backend| backend.has_server())
            .for_each(|backend| backend.probe_if_due());
        drop(there);
        thread::sleep(LOOK);
    }
}
