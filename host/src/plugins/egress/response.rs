use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, Incoming};
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

/// The answer to a request: its head, and a body to come. Dropping it closes the connection at once.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The rest of it.
    pub body: Pieces,
}

impl Answer {
    pub(super) fn new(answer: hyper::Response<Incoming>, exchange: Exchange, scrubber: Scrubber) -> Self {
        let (head, body) = answer.into_parts();
        let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            (name.as_str().to_owned(), scrubber.clean(value.as_bytes()))
        };
        Self {
            status: head.status.as_u16(),
            headers: head.headers.iter().map(header).collect(),
            body: Pieces { body, exchange, scrubber, received: 0, over: false },
        }
    }
}

/// The body of an answer as it comes, within the bounds of its exchange. After an error it is of no use.
pub struct Pieces {
    body: Incoming,
    exchange: Exchange,
    scrubber: Scrubber,
    received: u64,
    over: bool,
}

impl Pieces {
    /// When the exchange ends at the latest.
    pub fn until(&self) -> Instant {
        self.exchange.until
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The next bytes, none only at the end. Needs the broker's runtime.
    pub async fn next(&mut self) -> Result<Bytes, Error> {
        let limits = self.exchange.limits;
        loop {
            let waiting =
                async { self.body.frame().await.transpose().map_err(|error| failure(&error, &limits)) };
            let frame = within(limits.idle, waiting, || "the server sent nothing more".into()).await?;
            let bytes = self.piece(frame)?;
            if self.over || !bytes.is_empty() {
                return Ok(bytes);
            }
        }
    }

    /// What is there already, may be empty; `None` if the server has to be waited for.
    fn ready(&mut self) -> Option<Result<Bytes, Error>> {
        // What comes of an exchange that is overdue does not count.
        let in_time = Instant::now() < self.exchange.until;
        let ready = in_time.then(|| self.body.frame().now_or_never()).flatten()?;
        let frame = ready.transpose().map_err(|error| failure(&error, &self.exchange.limits));
        Some(frame.and_then(|frame| self.piece(frame)))
    }

    fn piece(&mut self, frame: Option<Frame<Bytes>>) -> Result<Bytes, Error> {
        let Some(frame) = frame else {
            self.over = true;
            return Ok(self.scrubber.push(&[], true).into());
        };
        // What is no data are trailers, and nobody asks for those.
        let data = frame.into_data().unwrap_or_default();
        let exchange = &self.exchange;
        self.received += data.len() as u64;
        if self.received > exchange.limits.response_bytes_max {
            let message = format!("the answer is longer than {} bytes", exchange.limits.response_bytes_max);
            return Err(Error::Limit("http-body", message));
        }
        exchange.meter.received(&exchange.authority, data.len() as u64);
        Ok(if self.scrubber.is_idle() { data } else { self.scrubber.push(&data, false).into() })
    }
}

/// An answer that is read by waiting for it. Dropping it closes the connection at once.
pub struct Response {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    /// `None` once all of it came, or it failed.
    body: Option<Pieces>,
    /// Came, but did not fit into what was asked for.
    rest: Bytes,
    /// Every later read says so again.
    failed: Option<Error>,
    network: Arc<Network>,
}

impl Response {
    pub(super) fn new(answer: Answer, network: Arc<Network>) -> Self {
        let Answer { status, headers, body } = answer;
        Self { status, headers, body: Some(body), rest: Bytes::new(), failed: None, network }
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
            let Some(body) = self.body.take() else { return Ok(None) };
            if let Err(error) = self.next_piece(body, call) {
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
    fn next_piece(&mut self, mut body: Pieces, call: &Call) -> Result<(), Error> {
        let (piece, body) = match body.ready() {
            Some(piece) => (piece?, body),
            None => self.network.run(call, body.until(), async move {
                let piece = body.next().await?;
                Ok((piece, body))
            })?,
        };
        self.rest = piece;
        self.body = Some(body).filter(|body| !body.is_over());
        Ok(())
    }
}
