//! Accepts connections, serves them, and ends them in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::envelope::Door;
use super::linger::Lingering;
use super::router::router;
use super::socket::Ending;
use crate::app::App;
use crate::config::AuthMode;

/// Open connections at most; further ones wait in the listener's queue.
const CONNECTIONS_MAX: usize = 4096;
/// A head must be complete within this time; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests in progress may go on for so long after the end was asked for.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// Pause after an error of `accept` such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the API is to be found.
pub struct Doors {
    /// Our own, and the dialects beside it.
    pub native: TcpListener,
    /// Ollama's dialect.
    pub ollama: Option<TcpListener>,
}

/// Serves the API until `shutdown`, then lets requests in progress finish.
///
/// # Errors
/// If the config asks for what these doors can't keep: keys, or a public address without them.
pub async fn serve(
    app: Arc<App>,
    doors: Doors,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    check(&app, &doors.native)?;
    doors.ollama.iter().try_for_each(|listener| check(&app, listener))?;
    // Sockets outlive the connections that they came on.
    let ending = Ending::new();
    let native = serve_door(doors.native, router(app.clone(), Door::Native), &ending);
    let ollama = async {
        if let Some(listener) = doors.ollama {
            serve_door(listener, router(app, Door::Ollama), &ending).await;
        }
    };
    let end = async {
        shutdown.await;
        ending.cancel();
    };
    tokio::join!(native, ollama, end);
    Ok(())
}

async fn serve_door(listener: TcpListener, router: Router, ending: &Ending) {
    let router = router.layer(Extension(ending.clone()));
    let connections = GracefulShutdown::new();
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::select! {
        () = accept(&listener, &router, &connections, &seats) => {}
        () = ending.cancelled() => {}
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_MAX, connections.shutdown()).await.is_err() {
        tracing::warn!(target: "api", "some requests did not end within {DRAIN_MAX:?}; they are cut off");
    }
}

fn check(app: &App, listener: &TcpListener) -> io::Result<()> {
    let refuse = |sentence: String| Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
    if app.config.auth.mode == AuthMode::Keys {
        return refuse("auth.mode: keys is not available in this version: set auth.mode: local".into());
    }
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return refuse(format!(
            "{address} is not a loopback address: with auth.mode: local bind to 127.0.0.1"
        ));
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    router: &Router,
    connections: &GracefulShutdown,
    seats: &Arc<Semaphore>,
) {
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, router.clone(), connections.watcher(), seat));
            }
            Err(error) => {
                tracing::warn!(target: "api", "a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, watcher: Watcher, _seat: OwnedSemaphorePermit) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(target: "api", "TCP_NODELAY: {error}");
    }
    let service = TowerToHyperService::new(router);
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(Lingering::new(stream)), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        // clients go away all the time; it matters only to who looks for it
        tracing::debug!(target: "api", "connection: {error}");
    }
}
