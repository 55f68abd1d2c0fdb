//! Accepts connections, serves them, and ends them in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

use super::access::{Access, Peer};
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
/// Connections go on for so long with each answer saying that it is the last: who has just sent a request on one that was
/// idle could not tell from its closing whether the request was heard.
const PARTING: Duration = Duration::from_millis(200);
/// Between two looks at whether all have gone by then.
const PARTING_LOOK: Duration = Duration::from_millis(10);
/// Pause after an error of `accept` such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the API is to be found.
pub struct Doors {
    /// Our own, and the dialects beside it.
    pub native: TcpListener,
    /// Ollama's dialect.
    pub ollama: Option<TcpListener>,
    /// Our own for whoever runs the daemon: who comes in here is an administrator.
    pub owner: Option<UnixListener>,
}

/// Serves the API until `shutdown`, then lets requests in progress finish.
///
/// # Errors
/// If the config asks for what these doors can't keep: a public address without keys.
pub async fn serve(
    app: Arc<App>,
    doors: Doors,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    check(&app, &doors.native)?;
    doors.ollama.iter().try_for_each(|listener| check(&app, listener))?;
    // Sockets outlive the connections that they came on.
    let ending = Ending::new();
    let access = Access::new(app.clone());
    let native = router(app.clone(), access.clone(), Door::Native);
    let owner = serve_door(doors.owner, native.clone(), &ending);
    let native = serve_door(Some(doors.native), native, &ending);
    let ollama = serve_door(doors.ollama, router(app, access, Door::Ollama), &ending);
    let end = async {
        shutdown.await;
        ending.cancel();
    };
    tokio::join!(native, ollama, owner, end);
    Ok(())
}

/// What connections come from.
trait Listen {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    async fn next(&self) -> io::Result<(Self::Stream, Peer)>;
}

impl Listen for TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn next(&self) -> io::Result<(Self::Stream, Peer)> {
        let (stream, address) = self.accept().await?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(target: "api", "TCP_NODELAY: {error}");
        }
        Ok((stream, Peer::Network(address)))
    }
}

impl Listen for UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn next(&self) -> io::Result<(Self::Stream, Peer)> {
        Ok((self.accept().await?.0, Peer::Owner))
    }
}

async fn serve_door(listener: Option<impl Listen>, router: Router, ending: &Ending) {
    let Some(listener) = listener else { return };
    let router = router.layer(Extension(ending.clone()));
    let connections = GracefulShutdown::new();
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::select! {
        () = accept(&listener, &router, &connections, &seats, ending) => {}
        () = part(&connections, ending) => {}
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_MAX, connections.shutdown()).await.is_err() {
        tracing::warn!(target: "api", "some requests did not end within {DRAIN_MAX:?}; they are cut off");
    }
}

/// Returns when the end was asked for and the clients were told.
async fn part(connections: &GracefulShutdown, ending: &Ending) {
    ending.cancelled().await;
    let told = async {
        while connections.count() > 0 {
            tokio::time::sleep(PARTING_LOOK).await;
        }
    };
    // Whoever says nothing meanwhile loses nothing.
    let _ = tokio::time::timeout(PARTING, told).await;
}

fn check(app: &App, listener: &TcpListener) -> io::Result<()> {
    let address = listener.local_addr()?;
    if app.config.auth.mode == AuthMode::Keys || address.ip().is_loopback() {
        return Ok(());
    }
    let sentence =
        format!("{address} can be reached from other machines: set auth.mode: keys, or bind to 127.0.0.1");
    Err(io::Error::new(io::ErrorKind::InvalidInput, sentence))
}

async fn accept(
    listener: &impl Listen,
    router: &Router,
    connections: &GracefulShutdown,
    seats: &Arc<Semaphore>,
    ending: &Ending,
) {
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        match listener.next().await {
            Ok((stream, peer)) => {
                let (watcher, ending) = (connections.watcher(), ending.clone());
                tokio::spawn(connection(stream, peer, router.clone(), (watcher, ending), seat));
            }
            Err(error) => {
                tracing::warn!(target: "api", "a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    (watcher, ending): (Watcher, Ending),
    _seat: OwnedSemaphorePermit,
) {
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request
    });
    let service = service.map_response(move |mut response: Response| {
        if ending.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    });
    let service = TowerToHyperService::new(service);
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(Lingering::new(stream)), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        // clients go away all the time; it matters only to who looks for it
        tracing::debug!(target: "api", "connection: {error}");
    }
}
