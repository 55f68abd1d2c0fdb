//! What guests can import: log, config, sources, model files, and in `http.rs` HTTP. Every call is bounded.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{Error, Result, UpdateDeadline};

use super::limits::{HANDLES_MAX, Limiter, MemoryExhausted, Timer};
use super::wasi::Machine;
use crate::plugins::bindings::v0_1_0::imports::{config, http, log, model_files, sources, types};
use crate::plugins::egress::{Call, Egress, Response};
use crate::plugins::models::Models;
use crate::plugins::roles::{Cancel, Source};
use crate::plugins::stats::Stats;
use crate::telemetry::metrics;

const LOG_LINES_MAX: u32 = 200;
const LOG_BYTES_MAX: usize = 64 << 10;
const LOG_LINE_MAX: usize = 4 << 10;
/// What a guest may leave open when its work is done. Runtimes that collect garbage leave something at every call, and
/// are exchanged before it gets too much.
const LEFT_OPEN_MAX: usize = 100;

/// A source that a parser has open.
pub struct OpenSource(pub Source);

/// A model file that a guest has open.
pub struct OpenModel {
    file: File,
    size: u64,
}

/// What the host keeps for one instance.
pub struct HostState {
    plugin: Arc<str>,
    config: Arc<str>,
    models: Arc<Models>,
    /// `None` where nothing was granted.
    pub(super) egress: Option<Arc<Egress>>,
    /// What requests are made for.
    pub(super) call: Call,
    /// Made when the guest first uses WASI.
    pub(super) wasi: Option<Box<Machine>>,
    /// Whether the guest left too much open.
    leaks: bool,
    /// Answers that the guest has open, as they stand in the table.
    pub(super) responses: Vec<u32>,
    log: LogBudget,
    /// When the call ends: a little after `call.until`.
    pub(super) timer: Timer,
    stats: Arc<Stats>,
    /// Sources and model files that the guest has open.
    pub table: ResourceTable,
    /// Its memory fence.
    pub limiter: Limiter,
}

struct LogBudget {
    lines: u32,
    bytes: usize,
}

impl LogBudget {
    const FULL: Self = Self { lines: LOG_LINES_MAX, bytes: LOG_BYTES_MAX };
}

impl HostState {
    /// For one instance; `config` is a JSON object.
    pub fn new(
        plugin: Arc<str>,
        config: Arc<str>,
        models: Arc<Models>,
        egress: Option<Arc<Egress>>,
        limiter: Limiter,
        stats: Arc<Stats>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let now = Instant::now();
        Self {
            plugin,
            config,
            models,
            egress,
            limiter,
            call: Call { until: now, cancel: Cancel::default() },
            timer: Timer::new(now),
            wasi: None,
            leaks: false,
            stats,
            responses: Vec::new(),
            log: LogBudget::FULL,
            table,
        }
    }

    /// A new call begins, which may take so long, what it waits for a little less: it may log anew.
    pub fn begin_call(&mut self, until: Instant, spare: Duration) {
        self.log = LogBudget::FULL;
        self.timer = Timer::new(until);
        self.call.until = until - spare;
    }

    /// Whether the guest may run on.
    pub fn tick(&mut self) -> Result<UpdateDeadline> {
        self.timer.look(Instant::now(), self.call.cancel.is_cancelled())
    }

    /// Whoever wanted the coming calls may go.
    pub fn set_cancel(&mut self, cancel: Cancel) {
        self.call.cancel = cancel;
    }

    /// Nobody uses the instance for now: what a guest left open must not live on.
    pub fn rest(&mut self) {
        self.call.cancel = Cancel::default();
        self.hang_up();
        self.leaks = self.table.iter_mut().nth(LEFT_OPEN_MAX).is_some();
    }

    /// Whether the guest had better not be used again.
    pub fn leaks(&self) -> bool {
        self.leaks
    }

    /// Ends all exchanges that the guest has open, without asking it.
    pub fn hang_up(&mut self) {
        self.wasi.iter().for_each(|machine| machine.hang_up());
        for response in self.responses.drain(..) {
            if let Ok(response) = self.table.get_mut(&Resource::<Response>::new_borrow(response)) {
                response.close();
            }
        }
    }

    /// Bytes that a read of `len` at `offset` brings. What can't fit the guest's memory is not read for it either.
    fn read_len(&self, size: u64, offset: u64, len: u32) -> Result<usize> {
        let len = u64::from(len).min(size.saturating_sub(offset)) as usize;
        if len > self.limiter.max() { Err(MemoryExhausted.into()) } else { Ok(len) }
    }
}

/// Adds every import that this version of the host can serve.
pub fn link(linker: &mut Linker<HostState>) -> Result<()> {
    log::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    config::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    sources::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    model_files::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    // Whoever was not granted it is refused before this could matter, see `imports::check`.
    http::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)
}

impl types::Host for HostState {}

impl HostState {
    /// One line for the log, within its bounds.
    pub(super) fn log(&mut self, level: log::Level, message: &str) {
        if self.log.lines == 0 {
            self.stats.log_line_dropped();
            return;
        }
        self.log.lines -= 1;
        let cut = message.floor_char_boundary(LOG_LINE_MAX.min(self.log.bytes));
        let message = message.get(..cut).unwrap_or_default();
        self.log.bytes -= message.len();
        let plugin = &*self.plugin;
        match level {
            log::Level::Trace => tracing::trace!(target: "plugin", plugin, "{message:?}"),
            log::Level::Debug => tracing::debug!(target: "plugin", plugin, "{message:?}"),
            log::Level::Info => tracing::info!(target: "plugin", plugin, "{message:?}"),
            log::Level::Warn => tracing::warn!(target: "plugin", plugin, "{message:?}"),
            log::Level::Error => tracing::error!(target: "plugin", plugin, "{message:?}"),
        }
        if self.log.lines == 0 || self.log.bytes == 0 {
            self.log.lines = 0;
            self.stats.breached("limit_log");
            metrics().plugin_breach(plugin, "limit_log");
            tracing::warn!(target: "plugin", plugin, "further lines of this call are dropped");
        }
    }
}

impl log::Host for HostState {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        self.log(level, &message);
        Ok(())
    }
}

impl config::Host for HostState {
    fn get(&mut self) -> Result<String> {
        Ok(self.config.to_string())
    }
}

impl sources::Host for HostState {}

impl sources::HostSource for HostState {
    fn size(&mut self, source: Resource<OpenSource>) -> Result<u64> {
        Ok(self.table.get(&source)?.0.size())
    }

    fn read(&mut self, source: Resource<OpenSource>, offset: u64, len: u32) -> Result<Vec<u8>> {
        let source = &self.table.get(&source)?.0;
        let len = self.read_len(source.size(), offset, len)?;
        source.read(offset, len).map_err(Error::new)
    }

    fn drop(&mut self, source: Resource<OpenSource>) -> Result<()> {
        self.table.delete(source)?;
        Ok(())
    }
}

impl model_files::Host for HostState {
    fn open(&mut self, name: String) -> Result<Result<Resource<OpenModel>, types::Error>> {
        match self.models.open(&name) {
            Ok((file, size)) => Ok(Ok(self.table.push(OpenModel { file, size })?)),
            Err(message) => Ok(Err(types::Error {
                kind: types::ErrorKind::MissingModel(name),
                message,
                retryable: false,
                retry_after_ms: None,
            })),
        }
    }
}

impl model_files::HostModelFile for HostState {
    fn size(&mut self, model: Resource<OpenModel>) -> Result<u64> {
        Ok(self.table.get(&model)?.size)
    }

    fn read(&mut self, model: Resource<OpenModel>, offset: u64, len: u32) -> Result<Vec<u8>> {
        let model = self.table.get(&model)?;
        let mut bytes = vec![0; self.read_len(model.size, offset, len)?];
        model.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn drop(&mut self, model: Resource<OpenModel>) -> Result<()> {
        self.table.delete(model)?;
        Ok(())
    }
}
