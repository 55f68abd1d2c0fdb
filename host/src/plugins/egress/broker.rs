use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::network::{Resolver, addresses, connect};
use super::request::{Prepared, Target, prepare};
use super::response::{Answer, Exchange};
use super::scrub::Scrubber;
use super::secrets::Used;
use super::traffic::Meter;
use super::{Error, Network, Request, Response, Secrets};
use crate::plugins::grants::Grants;
use crate::plugins::roles::Cancel;

/// Bounds of every exchange.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Finding the address, connecting, and TLS.
    pub connect: Duration,
    /// From then until the whole head of the answer is there.
    pub first_byte: Duration,
    /// Waiting for the next piece of the body.
    pub idle: Duration,
    /// From the beginning to the end.
    pub total: Duration,
    /// Headers of a request, and of an answer.
    pub headers_max: usize,
    /// Their bytes.
    pub header_bytes_max: usize,
    /// Bytes of a request's body.
    pub request_bytes_max: u64,
    /// Bytes of an answer's body.
    pub response_bytes_max: u64,
    /// Open at once, for each plugin.
    pub exchanges_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(15 * 60),
            headers_max: 100,
            header_bytes_max: 64 << 10,
            request_bytes_max: 64 << 20,
            response_bytes_max: 64 << 20,
            exchanges_max: 32,
        }
    }
}

/// The guest's call that something is done for.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its deadline.
    pub until: Instant,
    /// Whoever wanted it may go.
    pub cancel: Cancel,
}

/// One plugin's way out.
pub struct Egress {
    plugin: String,
    grants: Grants,
    secrets: Secrets,
    limits: Limits,
    network: Arc<Network>,
    slots: Arc<Semaphore>,
    meter: Arc<Meter>,
}

impl Egress {
    /// For a plugin with these grants and secrets.
    pub fn new(
        plugin: &str,
        grants: Grants,
        secrets: Secrets,
        limits: Limits,
        network: Arc<Network>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(limits.exchanges_max));
        let meter = Arc::new(Meter::new(plugin));
        Self { plugin: plugin.to_owned(), grants, secrets, limits, network, slots, meter }
    }

    /// What went through it.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Sends a request and waits for the head of the answer; blocks. Redirects come back like any answer.
    pub fn send(&self, request: Request, call: &Call) -> Result<Response, Error> {
        let begun = self.begin(request)?;
        let answer = self.network.run(call, begun.until, begun.work)?;
        Ok(Response::new(answer, self.network.clone()))
    }

    /// A request that may be sent, but for the addresses that its host turns out to have; the work sends it.
    pub fn begin(&self, request: Request) -> Result<Begun, Error> {
        self.prepared(request).inspect_err(|error| self.meter.failed(error))
    }

    /// Where work may run.
    pub fn runtime(&self) -> Result<Handle, Error> {
        self.network.handle()
    }

    fn prepared(&self, request: Request) -> Result<Begun, Error> {
        let target = Target::parse(&request.url)?;
        target.check(&self.plugin, &self.grants)?;
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{} exchanges are open already: end one first", self.limits.exchanges_max);
            Error::Limit("http-exchanges", message)
        })?;
        let limits = self.limits_for(&request);
        let (request, used) = prepare(request, &target, &self.secrets, &limits)?;
        let tls = if target.https { Some(self.network.tls()?) } else { None };
        let until = Instant::now() + limits.total;
        let (plugin, resolver) = (self.plugin.clone(), self.network.resolver());
        let meter = self.meter.clone();
        let way = Way { plugin, target, resolver, tls, limits, until, slot, meter: meter.clone() };
        let work = async move { exchange(way, request, used).await.inspect_err(|error| meter.failed(error)) };
        Ok(Begun { until, work: Box::pin(work) })
    }

    /// A guest may wait for less than the host would, not for longer than an exchange may take.
    fn limits_for(&self, request: &Request) -> Limits {
        let total = self.limits.total;
        Limits {
            first_byte: request.first_byte_timeout.unwrap_or(self.limits.first_byte).min(total),
            idle: request.idle_timeout.unwrap_or(self.limits.idle).min(total),
            ..self.limits
        }
    }
}

/// A connection in use; ends when dropped.
pub struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An exchange in the making.
pub struct Begun {
    /// When it ends at the latest.
    pub until: Instant,
    /// Brings the head of the answer. To be run where [`Egress::runtime`] says; dropping it ends the exchange.
    pub work: Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>,
}

struct Way {
    plugin: String,
    target: Target,
    resolver: Resolver,
    tls: Option<TlsConnector>,
    limits: Limits,
    until: Instant,
    slot: OwnedSemaphorePermit,
    meter: Arc<Meter>,
}

/// From a request that may be sent to the head of its answer.
async fn exchange(way: Way, request: Prepared, used: Vec<Used>) -> Result<Answer, Error> {
    let Way { plugin, target, resolver, tls, limits, until, slot, meter } = way;
    let Prepared { request, sent } = request;
    let connecting = async {
        let vetted = addresses(resolver, &target, &plugin).await?;
        connect(&target, vetted, tls, limits.connect).await
    };
    let wire = within(limits.connect, connecting, || format!("{target} could not be connected to")).await?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(limits.header_bytes_max)
        .max_headers(limits.headers_max)
        .handshake(TokioIo::new(wire))
        .await
        .map_err(|error| failure(&error, &limits))?;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(%error, "connection ended");
        }
    });
    let connection = Connection(task.abort_handle());
    let answering = async { sender.send_request(request).await.map_err(|error| failure(&error, &limits)) };
    let answer = within(limits.first_byte, answering, || format!("{target} did not answer")).await?;
    let authority = target.authority();
    meter.answered(&authority, sent.load(Ordering::Relaxed));
    let exchange = Exchange { _connection: connection, _slot: slot, until, limits, authority, meter };
    Ok(Answer::new(answer, exchange, Scrubber::new(used)))
}

/// The work within its time, or an error that says what did not happen.
pub async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
    what: impl FnOnce() -> String,
) -> Result<T, Error> {
    match timeout(limit, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Timeout(format!("{} within {} ms", what(), limit.as_millis()))),
    }
}

/// What a failed exchange means.
pub fn failure(error: &hyper::Error, limits: &Limits) -> Error {
    if error.is_parse_too_large() {
        let Limits { headers_max, header_bytes_max, .. } = limits;
        let message =
            format!("the answer has more than {headers_max} headers or {header_bytes_max} bytes of them");
        return Error::Limit("http-headers", message);
    }
    let cause = std::error::Error::source(error);
    if cause.is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>()) {
        let message = format!("the request's body has more than {} bytes", limits.request_bytes_max);
        return Error::Limit("http-body", message);
    }
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    Error::Upstream(format!("the exchange with the server failed: {error}{cause}"))
}
