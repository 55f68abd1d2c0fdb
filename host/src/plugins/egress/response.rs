use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use tokio::sync::OwnedSemaphorePermit;

use super::broker::{Connection, failure, within};
use super::scrub::Scrubber;
use super::traffic::Meter;
use super::{Call, Error, Limits, Network};

/// What an answer in the making holds: its connection and its place among the plugin's exchanges.
pub struct Exchange {
    /// Closes when this goes.
    pub _connection: Connection,
    pub _slot: OwnedSemaphorePermit,
    pub until: Instant,
    pub limits: Limits,
    pub authority: String,
    pub meter: Arc<Meter>,
}

/// The answer to a request. Dropping it closes the connection at once.
pub struct Response {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    /// `None` once all of it came, or it failed.
    body: Option<(Incoming, Exchange)>,
    /// Came, but did not fit into what was asked for.
    rest: Bytes,
    received: u64,
    /// Every later read says so again.
    failed: Option<Error>,
    scrubber: Scrubber,
    network: Arc<Network>,
}

impl Response {
    pub(super) fn new(
        answer: hyper::Response<Incoming>,
        exchange: Exchange,
        scrubber: Scrubber,
        network: Arc<Network>,
    ) -> Self {
        let (head, body) = answer.into_parts();
        let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            (name.as_str().to_owned(), scrubber.clean(value.as_bytes()))
        };
        Self {
            status: head.status.as_u16(),
            headers: head.headers.iter().map(header).collect(),
            body: Some((body, exchange)),
            rest: Bytes::new(),
            received: 0,
            failed: None,
            scrubber,
            network,
        }
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Names in lower case, in order.
    pub fn headers(&self) -> &[(String, Vec<u8>)] {
        &self.headers
    }

    /// The next bytes of the body as they come, at most `max`; `None` at its end. Blocks.
    pub fn read(&mut self, max: usize, call: &Call) -> Result<Option<Bytes>, Error> {
        if max == 0 {
            return Ok(Some(Bytes::new()));
        }
        while self.rest.is_empty() {
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            let Some((body, exchange)) = self.body.take() else { return Ok(None) };
            if let Err(error) = self.next_piece(body, exchange, call) {
                self.failed = Some(error.clone());
                return Err(error);
            }
        }
        let len = self.rest.len().min(max);
        Ok(Some(self.rest.split_to(len)))
    }

    /// Ends the exchange; whoever reads on is told so.
    pub fn close(&mut self) {
        if self.body.take().is_some() {
            self.failed = Some(Error::Cancelled);
        }
    }

    /// Fills `rest`, and keeps the body unless it ended. The connection closes wherever this fails.
    fn next_piece(&mut self, mut body: Incoming, exchange: Exchange, call: &Call) -> Result<(), Error> {
        let limits = exchange.limits;
        // Often the next bytes are there already; those of an exchange that is overdue do not count.
        let in_time = Instant::now() < exchange.until;
        let ready = in_time.then(|| body.frame().now_or_never()).flatten().map(Option::transpose);
        let (frame, body) = match ready {
            Some(frame) => (frame.map_err(|error| failure(&error, &limits))?, body),
            None => self.network.run(call, exchange.until, async move {
                let waiting =
                    async { body.frame().await.transpose().map_err(|error| failure(&error, &limits)) };
                let frame = within(limits.idle, waiting, || "the server sent nothing more".into()).await?;
                Ok((frame, body))
            })?,
        };
        let Some(frame) = frame else {
            self.rest = self.scrubber.push(&[], true).into();
            return Ok(());
        };
        // What is no data are trailers, and nobody asks for those.
        let data = frame.into_data().unwrap_or_default();
        self.received += data.len() as u64;
        if self.received > limits.response_bytes_max {
            let message = format!("the answer is longer than {} bytes", limits.response_bytes_max);
            return Err(Error::Limit("http-body", message));
        }
        exchange.meter.received(&exchange.authority, data.len() as u64);
        self.rest = if self.scrubber.is_idle() { data } else { self.scrubber.push(&data, false).into() };
        self.body = Some((body, exchange));
        Ok(())
    }
}
