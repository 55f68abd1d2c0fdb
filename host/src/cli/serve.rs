use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rustix::fs::Mode;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::failure::Failure;
use super::{Outcome, Result};
use crate::api::Doors;
use crate::app::App;
use crate::config::{self, Config, Loaded, LogFormat, Options};
use crate::telemetry::{self, Logging};

/// Idle threads go soon: the next request wakes the one that slept longest, so that else a burst's threads would stay
/// for as long as there are any requests, each with the stack that a guest has used.
const IDLE_THREAD: Duration = Duration::from_millis(250);
/// How often the config file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Requests under way get this long after a signal to end.
const DRAIN: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The config file [default: /etc/smartrag/config.yaml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep everything here
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Listen here; port 0 is any free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<String>,
}

impl Args {
    fn options(self) -> Options {
        let data_dir = self.data_dir.map(|dir| dir.to_string_lossy().into_owned());
        let flags = [("--data-dir", "data_dir", data_dir), ("--bind", "api.bind", self.bind)];
        let given = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?)));
        Options { file: self.config, overrides: given.collect() }
    }
}

pub(super) fn run(args: Args) -> Result {
    let options = args.options();
    let Loaded { config, file, .. } = config::load(&options)?;
    // Logs and whatever else it makes: closed to other users.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let _log = telemetry::start_logging(Logging {
        filter: &config.log.level,
        json: config.log.format == LogFormat::Json,
        dir: config.log.dir.as_deref(),
        traces: config.log.traces.as_deref(),
    })?;
    match &file {
        Some(file) => tracing::info!(config = %file.display(), "smartrag {}", env!("CARGO_PKG_VERSION")),
        None => tracing::info!("smartrag {} without a config file", env!("CARGO_PKG_VERSION")),
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_keep_alive(IDLE_THREAD).build()?;
    let outcome = runtime.block_on(serve(config, options, file));
    // A blocking call that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(5));
    outcome
}

async fn serve(config: Config, options: Options, file: Option<PathBuf>) -> Result {
    let stop = watch_signals()?;
    // Bound first: a port in use is known before the store is opened, and early clients wait instead of failing.
    let listener = bind(config.api.bind).await?;
    let address = listener.local_addr()?;
    let ollama = match config.api.ollama_port {
        Some(port) => Some(bind(SocketAddr::new(config.api.bind.ip(), port)).await?),
        None => None,
    };
    let socket = config::socket(&config);
    let starting = tokio::task::spawn_blocking(move || App::start(config, options));
    let app = tokio::select! {
        app = starting => app??,
        // What it was about to do is done by the next start, as after a crash.
        () = stopped(stop.clone()) => {
            tracing::info!("stopped before it was ready");
            return Ok(Outcome::Done);
        }
    };
    let doors = Doors { native: listener, ollama, owner: owner_door(&socket) };
    if let Some(ollama) = &doors.ollama {
        tracing::info!("Ollama's API is at http://{}", ollama.local_addr()?);
    }
    announce(address);
    reload_on_hangup(Arc::clone(&app))?;
    if let Some(file) = file {
        tokio::spawn(reload_on_change(Arc::clone(&app), file));
    }
    let served = drain(stop.clone(), crate::api::serve(Arc::clone(&app), doors, stopped(stop))).await;
    tracing::info!("shutting down");
    // A socket without a daemon would make commands wait for nobody.
    let _ = std::fs::remove_file(&socket);
    tokio::task::spawn_blocking(move || app.shutdown()).await?;
    served.context("the HTTP server failed")?;
    Ok(Outcome::Done)
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| cannot_bind(address, &error).into())
}

/// The socket of whoever runs the daemon. What lies there already is of one that was killed: this one holds the lock of the
/// directory. Without it administrators need a key.
fn owner_door(path: &Path) -> Option<UnixListener> {
    let bind = || {
        let dir = path.parent().unwrap_or(path);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bind()
        .inspect_err(|error| {
            let path = path.display();
            tracing::warn!("{path}: no socket for administrators, who need a key then: {error}");
        })
        .ok()
}

fn cannot_bind(address: SocketAddr, error: &io::Error) -> Failure {
    let port = address.port();
    let other = "choose another with --bind ADDRESS:PORT, api.bind in the config or SMARTRAG_API_PORT";
    match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(format!("port {port} of {} is in use", address.ip()))
            .hint(format!("stop the program that holds it, or {other}")),
        io::ErrorKind::PermissionDenied => {
            Failure::new(format!("port {port} may only be used by root")).hint(other)
        }
        _ => Failure::new(format!("can't listen on {address}: {error}")).hint(other),
    }
}

/// The one line on stdout; scripts wait for it and read the address from it.
fn announce(address: SocketAddr) {
    let mut stdout = io::stdout().lock();
    // Whoever started us may have closed it.
    let _ = writeln!(stdout, "smartrag is ready at http://{address}").and_then(|()| stdout.flush());
    tracing::info!("ready at http://{address}");
}

/// True after SIGTERM or SIGINT. A second signal ends the process at once: stored work is safe by design.
fn watch_signals() -> anyhow::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("signal received: finishing requests; a second one ends at once");
        sender.send_replace(true);
        either(&mut terminate, &mut interrupt).await;
        std::process::exit(1);
    });
    Ok(receiver)
}

/// SIGHUP takes up a changed configuration and changed plugins.
fn reload_on_hangup(app: Arc<App>) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            reload(&app).await;
        }
    });
    Ok(())
}

/// So does a change of the config file or of a prompt, once they have been left alone for a moment: editors write in
/// several steps.
async fn reload_on_change(app: Arc<App>, file: PathBuf) {
    let prompts = config::usual_prompts(&file).into_iter().chain(app.config.prompts.dir.clone());
    let watched: Arc<[PathBuf]> = std::iter::once(file).chain(prompts).collect();
    let mut in_use = stamps(&watched).await;
    loop {
        tokio::time::sleep(LOOK).await;
        let seen = stamps(&watched).await;
        if !seen.contains_key(&watched[0]) || seen == in_use {
            continue;
        }
        tokio::time::sleep(LOOK / 2).await;
        if stamps(&watched).await == seen {
            in_use = seen;
            reload(&app).await;
        }
    }
}

/// Tells one state of files, and of those below directories, from another.
type Stamps = BTreeMap<PathBuf, (Option<SystemTime>, u64, u64)>;

async fn stamps(paths: &Arc<[PathBuf]>) -> Stamps {
    let paths = Arc::clone(paths);
    let look = move || {
        let entries = paths.iter().flat_map(|path| walkdir::WalkDir::new(path).follow_links(true)).flatten();
        let files = entries.filter(|entry| entry.file_type().is_file());
        let stamp = |entry: walkdir::DirEntry| {
            let metadata = entry.metadata().ok()?;
            Some((entry.into_path(), (metadata.modified().ok(), metadata.len(), metadata.ino())))
        };
        files.filter_map(stamp).collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

async fn reload(app: &Arc<App>) {
    let app = Arc::clone(app);
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || app.reload().map(drop)).await {
        tracing::error!("the configuration was not reloaded, the one before stays in use: {error:#}");
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the watcher is gone; it never is while we run.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The server ends by itself once it has drained; slow requests are left behind after a while.
async fn drain<T>(
    stop: watch::Receiver<bool>,
    server: impl Future<Output = io::Result<T>>,
) -> io::Result<()> {
    let deadline = async {
        stopped(stop).await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = server => served.map(|_| ()),
        () = deadline => {
            tracing::warn!("some requests did not end within {} s and were cut off", DRAIN.as_secs());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::describe;

    #[test]
    fn a_port_in_use_is_named_with_the_option_to_change_it() {
        let address = "127.0.0.1:8765".parse().unwrap();
        let error = cannot_bind(address, &io::ErrorKind::AddrInUse.into()).into();
        assert_eq!(
            describe(&error),
            "error: port 8765 of 127.0.0.1 is in use\n\
             hint: stop the program that holds it, or choose another with --bind ADDRESS:PORT, api.bind in the \
             config or SMARTRAG_API_PORT"
        );
    }

    #[test]
    fn flags_become_settings_of_their_keys() {
        let args = Args { config: None, data_dir: Some("/d".into()), bind: Some("127.0.0.1:0".into()) };
        let overrides = args.options().overrides;
        assert_eq!(overrides[0], ("--data-dir", "data_dir", "/d".to_owned()));
        assert_eq!(overrides[1], ("--bind", "api.bind", "127.0.0.1:0".to_owned()));
    }
}
