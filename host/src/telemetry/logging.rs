use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt as lines};

use super::log_file::LogFile;
use super::traces;

/// What administrators did, and who was refused.
const AUDIT: &str = "audit";

/// Where log lines go and how they look.
#[derive(Clone, Copy, Debug)]
pub struct Logging<'a> {
    /// A tracing filter, such as `info`.
    pub filter: &'a str,
    /// JSON instead of text.
    pub json: bool,
    /// Daily files `daemon.log`, `error.log` and `audit.log` here; `None` is stderr.
    pub dir: Option<&'a Path>,
    /// URL of the OpenTelemetry collector that spans are sent to.
    pub traces: Option<&'a str>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("the log filter {0:?} is not valid: {1}")]
    Filter(String, String),
    #[error("no log files can be written in {0}: {1}; create it, or set log.dir to another directory")]
    Dir(PathBuf, String),
    #[error("spans can't be sent to log.traces, {0}: {1}")]
    Traces(String, String),
    #[error("logging was started twice")]
    Twice,
}

/// Writes what is still buffered when it is dropped: keep it until the process ends.
#[derive(Debug, Default)]
pub struct Guard {
    _writers: Vec<WorkerGuard>,
    _traces: Option<traces::Exporter>,
}

pub(super) type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The filters that follow `log.level`.
static FILTERS: OnceLock<Vec<Handle<EnvFilter, Registry>>> = OnceLock::new();

/// Starts logging for the whole process. Panics become lines of the log.
pub fn start_logging(logging: Logging) -> Result<Guard, Error> {
    let (mut guard, mut filters) = (Guard::default(), Vec::new());
    let mut followed = || {
        let (filter, handle) = reload::Layer::new(filter(logging.filter)?);
        filters.push(handle);
        Ok(filter)
    };
    let mut layers = match logging.dir {
        None => vec![layer(logging, std::io::stderr, is_colourful()).with_filter(followed()?).boxed()],
        Some(dir) => {
            let daemon = layer(logging, file(dir, "daemon", &mut guard)?, false);
            let error = layer(logging, file(dir, "error", &mut guard)?, false);
            let audit = layer(logging, file(dir, "audit", &mut guard)?, false);
            vec![
                daemon.with_filter(followed()?).boxed(),
                error.with_filter(followed()?).with_filter(LevelFilter::ERROR).boxed(),
                audit.with_filter(filter("off")?).boxed(),
            ]
        }
    };
    if let Some(collector) = logging.traces {
        let wrong = |error| Error::Traces(collector.to_owned(), error);
        let (layer, exporter) = traces::layer(collector).map_err(wrong)?;
        layers.push(layer);
        guard._traces = Some(exporter);
    }
    tracing_subscriber::registry().with(layers).try_init().map_err(|_| Error::Twice)?;
    let _ = FILTERS.set(filters);
    log_panics();
    Ok(guard)
}

/// Lets other lines into the log from now on. Nothing happens where logging was not started.
///
/// # Errors
/// A filter that can't be read: then all stays as it was.
pub fn set_log_filter(text: &str) -> Result<(), Error> {
    for handle in FILTERS.get().into_iter().flatten() {
        // It is gone only where the whole log is.
        let _ = handle.reload(filter(text)?);
    }
    Ok(())
}

/// The audit is written whatever else is: who lowers the level does not mean it.
fn filter(text: &str) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(format!("{AUDIT}=info,{text}"))
        .map_err(|error| Error::Filter(text.to_owned(), error.to_string()))
}

fn layer<W>(logging: Logging, writer: W, ansi: bool) -> BoxedLayer
where
    W: for<'w> lines::MakeWriter<'w> + Send + Sync + 'static,
{
    let base = lines::layer().with_writer(BoxMakeWriter::new(writer)).with_ansi(ansi).with_timer(Clock);
    if logging.json { base.json().flatten_event(true).boxed() } else { base.boxed() }
}

fn file(dir: &Path, name: &'static str, guard: &mut Guard) -> Result<NonBlocking, Error> {
    let file = LogFile::open(dir, name, std::io::stderr());
    let file = file.map_err(|error| Error::Dir(dir.to_owned(), error.to_string()))?;
    let (writer, worker) = tracing_appender::non_blocking(file);
    guard._writers.push(worker);
    Ok(writer)
}

fn is_colourful() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A panic of a task is a defect, not the end: the line names it, and the task's owner sees the failure.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, "panic: {message}");
    }));
}

/// UTC with milliseconds.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", jiff::Timestamp::now())
    }
}
