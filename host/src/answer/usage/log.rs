use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::answer::SearchRequest;
use crate::config::AnalyticsConfig;
use crate::store::{self, Store};
use crate::types::*;

/// Queries that wait to be written; more are left out of the log.
const WAITING_MAX: usize = 20_000;
/// How long one waits: a commit for each would cost more than the query.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at what is too old.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// Documents that are noted of a query.
const DOCUMENTS_MAX: usize = 5;
/// Characters that are kept of a text.
const TEXT_CHARS_MAX: usize = 500;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A query while it is worked on.
pub(crate) struct Note {
    query: LoggedQuery,
    since: Instant,
    began: Instant,
}

impl Note {
    pub fn new(caller: &Caller, kind: QueryKind, request: &SearchRequest) -> Self {
        let collection = match &request.scope {
            Scope::One(key) => Some(key.name_for(&caller.user)),
            Scope::All => None,
        };
        let query = LoggedQuery {
            id: QueryId::new(),
            user: caller.user.clone(),
            kind,
            text: Some(request.query.chars().take(TEXT_CHARS_MAX).collect()),
            collection,
            at: jiff::Timestamp::now().as_millisecond(),
            took_ms: 0.0,
            results: 0,
            documents: Vec::new(),
            backend: None,
            outcome: QueryOutcome::Failed,
        };
        Self { query, since: caller.since, began: Instant::now() }
    }

    /// What was found.
    pub fn found(&mut self, passages: &[Passage]) {
        self.query.results = u32::try_from(passages.len()).unwrap_or(u32::MAX);
        for passage in passages {
            let id = passage.document.id;
            if self.query.documents.len() < DOCUMENTS_MAX && !self.query.documents.contains(&id) {
                self.query.documents.push(id);
            }
        }
    }

    /// Who answers, under which id.
    pub fn answered_by(&mut self, id: QueryId, backend: &str) {
        self.query.id = id;
        self.query.backend = Some(backend.to_owned());
    }

    /// How it ended; where nothing was found that is what counts.
    pub fn ends(&mut self, outcome: QueryOutcome) {
        let found_nothing = self.query.results == 0 && outcome != QueryOutcome::Failed;
        self.query.outcome = if found_nothing { QueryOutcome::NoHit } else { outcome };
    }
}

/// Collects what was asked and writes it down now and then.
pub(crate) struct UsageLog {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Store,
    config: AnalyticsConfig,
    /// With when their callers were let in.
    waiting: Mutex<Vec<(LoggedQuery, Instant)>>,
    stop: AtomicBool,
}

impl UsageLog {
    pub fn start(store: Store, config: AnalyticsConfig) -> Self {
        let (waiting, stop) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { store, config, waiting, stop });
        let of_writer = shared.clone();
        let writer = thread::Builder::new().name("query-log".into()).spawn(move || of_writer.run());
        let writer = writer.inspect_err(|error| tracing::error!(%error, "there is no query log"));
        Self { shared, writer: Mutex::new(writer.ok()) }
    }

    pub fn add(&self, note: Note) {
        let Shared { config, waiting, .. } = &*self.shared;
        if !config.log {
            return;
        }
        let Note { mut query, since, began } = note;
        query.took_ms = began.elapsed().as_secs_f32() * 1e3;
        if !config.texts {
            query.text = None;
        }
        let mut waiting = waiting.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push((query, since));
        }
    }

    /// Writes down all that was asked by now. Blocks.
    pub fn flush(&self) -> store::Result<()> {
        self.shared.flush()
    }

    /// Writes down the rest. Blocks.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(writer) = self.writer.lock().take() {
            writer.thread().unpark();
            // Its panic was logged.
            let _ = writer.join();
        }
    }
}

impl Drop for UsageLog {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn flush(&self) -> store::Result<()> {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        if waiting.is_empty() { Ok(()) } else { self.store.log_queries(&waiting) }
    }

    fn run(&self) {
        let mut forgot: Option<Instant> = None;
        loop {
            let ends = self.stop.load(Ordering::Acquire);
            if let Err(error) = self.flush() {
                tracing::warn!(%error, "some queries are not in the log");
            }
            if ends {
                return;
            }
            if forgot.is_none_or(|forgot| forgot.elapsed() >= FORGET_EVERY) {
                self.forget();
                forgot = Some(Instant::now());
            }
            thread::park_timeout(PAUSE);
        }
    }

    /// Forgets what is too old.
    fn forget(&self) {
        let before = jiff::Timestamp::now().as_millisecond() - i64::from(self.config.keep_days) * DAY_MS;
        while !self.stop.load(Ordering::Acquire) {
            match self.store.forget_usage(before) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return tracing::warn!(%error, "old queries stay in the log"),
            }
        }
    }
}
