//! The way out: name resolution, TCP, TLS. One thread drives it for all plugins, from the first request on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::Host;

use super::request::Target;
use super::vet::not_public;
use super::{Call, Error};

/// How soon a caller that is gone is noticed.
const GLANCE: Duration = Duration::from_millis(20);
/// Name look-ups at once; a slow server of names blocks no more.
const LOOKUPS_MAX: usize = 16;
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Finds the addresses of a name; blocks.
pub type Resolver = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// A connection to a vetted address.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// The way out.
pub struct Network {
    resolver: Resolver,
    /// `None` is the system's.
    roots: Option<RootCertStore>,
    tls: OnceLock<Result<TlsConnector, String>>,
    runtime: Mutex<Option<Runtime>>,
}

impl Network {
    /// With the system's resolver and certificates.
    pub fn new() -> Self {
        let resolve = |name: &str| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect());
        Self::with(Arc::new(resolve), None)
    }

    /// With a resolver, and with certificates to trust instead of the system's.
    pub fn with(resolver: Resolver, roots: Option<RootCertStore>) -> Self {
        Self { resolver, roots, tls: OnceLock::new(), runtime: Mutex::new(None) }
    }

    /// Runs work to its end, at most until then; blocks. Leaving early ends the work.
    pub fn run<T: Send + 'static>(
        &self,
        call: &Call,
        until: Instant,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = sync_channel(1);
        let task = self.handle()?.spawn(async move {
            // Nobody waits any more where this fails.
            let _ = sender.send(work.await);
        });
        let end = until.min(call.until);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let received = receiver.recv_timeout(left.min(GLANCE));
            let over = match received {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Disconnected) => Error::Unavailable("the host is shutting down".into()),
                Err(RecvTimeoutError::Timeout) if call.cancel.is_cancelled() => Error::Cancelled,
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => continue,
                Err(RecvTimeoutError::Timeout) => overdue(call.until <= until),
            };
            task.abort();
            return Err(over);
        }
    }

    /// Where work runs.
    pub fn handle(&self) -> Result<Handle, Error> {
        let mut runtime = self.runtime.lock();
        if let Some(runtime) = runtime.as_ref() {
            return Ok(runtime.handle().clone());
        }
        let started = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(LOOKUPS_MAX)
            .thread_name("plugin-egress")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| Error::Unavailable(format!("the thread for requests did not start: {error}")))?;
        Ok(runtime.insert(started).handle().clone())
    }

    /// What speaks TLS; reads the certificates the first time.
    pub fn tls(&self) -> Result<TlsConnector, Error> {
        let made = self.tls.get_or_init(|| connector(self.roots.clone()));
        made.clone().map_err(Error::Unavailable)
    }

    /// The resolver.
    pub fn resolver(&self) -> Resolver {
        self.resolver.clone()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Waiting for its thread is not allowed everywhere that this can be dropped.
        if let Some(runtime) = self.runtime.get_mut().take() {
            runtime.shutdown_background();
        }
    }
}

/// Addresses that the plugin may be connected to. A literal address is what the operator granted; `localhost` is
/// this machine whatever a server of names says; every address of any other name has to be public.
pub async fn addresses(resolver: Resolver, target: &Target, plugin: &str) -> Result<Vec<IpAddr>, Error> {
    match &target.host {
        Host::Ipv4(address) => Ok(vec![(*address).into()]),
        Host::Ipv6(address) => Ok(vec![(*address).into()]),
        Host::Domain(name) if name == "localhost" => {
            Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
        }
        Host::Domain(name) => {
            let owned = name.clone();
            let found = tokio::task::spawn_blocking(move || resolver(&owned)).await;
            vetted(found.unwrap_or_else(|error| Err(io::Error::other(error))), target, plugin)
        }
    }
}

/// All of them, or the first that may not be connected to: a name with one such address has no business being granted.
fn vetted(found: io::Result<Vec<IpAddr>>, target: &Target, plugin: &str) -> Result<Vec<IpAddr>, Error> {
    let unknown =
        |what: &str| Error::Unavailable(format!("the address of {} was not found: {what}", target.host));
    let found = found.map_err(|error| unknown(&error.to_string()))?;
    if found.is_empty() {
        return Err(unknown("the name has none"));
    }
    for address in &found {
        if let Some(what) = not_public(*address) {
            let literal = SocketAddr::new(*address, target.port);
            return Err(Error::Denied(format!(
                "{target} leads to {address}, which is {what}, and a name may lead to public addresses only: if the \
                 plugin is meant to go there, grant the address itself, `plugins.grants.{plugin}.http: [\"{literal}\"]`, \
                 and name it in the plugin's URL"
            )));
        }
    }
    Ok(found.into_iter().take(ADDRESSES_MAX).collect())
}

/// Connects to one of the addresses, and to no other.
pub async fn connect(
    target: &Target,
    addresses: Vec<IpAddr>,
    tls: Option<TlsConnector>,
    limit: Duration,
) -> Result<Box<dyn Wire>, Error> {
    let unreachable = |what: String| Error::Unavailable(format!("{target} can't be reached: {what}"));
    let tcp = reach(&addresses, target.port, limit).await.map_err(|error| unreachable(error.to_string()))?;
    // Small requests and answers that stream: waiting to fill a packet only delays.
    tcp.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
    let Some(tls) = tls else { return Ok(Box::new(tcp)) };
    let name = match &target.host {
        Host::Domain(name) => {
            ServerName::try_from(name.clone()).map_err(|error| unreachable(error.to_string()))?
        }
        Host::Ipv4(address) => ServerName::from(IpAddr::from(*address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::from(*address)),
    };
    let stream = tls.connect(name, tcp).await.map_err(|error| unreachable(format!("TLS: {error}")))?;
    Ok(Box::new(stream))
}

/// Tries one address after the other, so that each gets its share of the time.
async fn reach(addresses: &[IpAddr], port: u16, limit: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    for address in addresses {
        let attempt = TcpStream::connect(SocketAddr::new(*address, port));
        match tokio::time::timeout(share, attempt).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}

fn connector(roots: Option<RootCertStore>) -> Result<TlsConnector, String> {
    let roots = roots.unwrap_or_else(system_roots);
    if roots.is_empty() {
        return Err(
            "no certificates to check servers by were found: install the package ca-certificates".into()
        );
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS is not available: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    found.errors.iter().for_each(|error| tracing::warn!(%error, "some certificates can't be read"));
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

fn overdue(by_call: bool) -> Error {
    Error::Timeout(match by_call {
        true => "the server did not answer before the call's deadline: raise the plugin's `deadline` in plugins.grants".into(),
        false => "the exchange took longer than any may".into(),
    })
}
