use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt as lines};

/// What administrators did, and who was refused.
const AUDIT: &str = "audit";
/// Days of log files that are kept.
const FILES_MAX: usize = 14;

/// Where log lines go and how they look.
#[derive(Clone, Copy, Debug)]
pub struct Logging<'a> {
    /// A tracing filter, such as `info`.
    pub filter: &'a str,
    /// JSON instead of text.
    pub json: bool,
    /// Daily files `daemon.log`, `error.log` and `audit.log` here; `None` is stderr.
    pub dir: Option<&'a Path>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("the log filter {0:?} is not valid: {1}")]
    Filter(String, String),
    #[error("no log files can be written in {0}: {1}; create it, or set log.dir to another directory")]
    Dir(PathBuf, String),
    #[error("logging was started twice")]
    Twice,
}

/// Writes what is still buffered when it is dropped: keep it until the process ends.
#[derive(Debug, Default)]
pub struct Guard {
    _writers: Vec<WorkerGuard>,
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging for the whole process. Panics become lines of the log.
pub fn start_logging(logging: Logging) -> Result<Guard, Error> {
    let mut guard = Guard::default();
    let layers = match logging.dir {
        None => vec![layer(logging, std::io::stderr, is_colourful(), None)?],
        Some(dir) => {
            let daemon = file(dir, "daemon", &mut guard)?;
            let error = file(dir, "error", &mut guard)?;
            let audit = file(dir, "audit", &mut guard)?;
            vec![
                layer(logging, daemon, false, None)?,
                layer(logging, error, false, Some(LevelFilter::ERROR))?,
                layer(Logging { filter: "off", ..logging }, audit, false, None)?,
            ]
        }
    };
    tracing_subscriber::registry().with(layers).try_init().map_err(|_| Error::Twice)?;
    log_panics();
    Ok(guard)
}

fn layer<W>(logging: Logging, writer: W, ansi: bool, only: Option<LevelFilter>) -> Result<BoxedLayer, Error>
where
    W: for<'w> lines::MakeWriter<'w> + Send + Sync + 'static,
{
    // The audit is written whatever else is: who lowers the level does not mean it.
    let filter = EnvFilter::try_new(format!("{AUDIT}=info,{}", logging.filter))
        .map_err(|error| Error::Filter(logging.filter.to_owned(), error.to_string()))?;
    let base = lines::layer().with_writer(BoxMakeWriter::new(writer)).with_ansi(ansi).with_timer(Clock);
    let looks: BoxedLayer =
        if logging.json { Box::new(base.json().flatten_event(true)) } else { Box::new(base) };
    let filtered = looks.with_filter(filter);
    Ok(match only {
        Some(level) => Box::new(filtered.with_filter(level)),
        None => Box::new(filtered),
    })
}

fn file(dir: &Path, name: &str, guard: &mut Guard) -> Result<NonBlocking, Error> {
    let wrong = |error: String| Error::Dir(dir.to_owned(), error);
    std::fs::create_dir_all(dir).map_err(|error| wrong(error.to_string()))?;
    let appender = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(name)
        .filename_suffix("log")
        .max_log_files(FILES_MAX)
        .build(dir)
        .map_err(|error| wrong(error.to_string()))?;
    let (writer, worker) = tracing_appender::non_blocking(appender);
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
