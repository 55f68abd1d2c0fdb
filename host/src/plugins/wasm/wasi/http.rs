//! `wasi:http` over the broker: what a guest sends takes the same way as through our own `http` import.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{HeaderName, HeaderValue};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout_at;
use wasmtime_wasi_http::{
    Error as WasiError, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView,
};

use super::upload::Upload;
use crate::plugins::bindings::v0_1_0::imports::log::Level;
use crate::plugins::egress::{Answer, Begun, Egress, Error, Pieces, Request, is_forbidden};
use crate::plugins::wasm::host::HostState;

/// Bytes that a guest may write to a body before the server took them.
const CHUNK_MAX: usize = 16 << 10;
/// Bytes of one set of headers that a guest makes: less than the broker takes, for it can make many.
const FIELDS_MAX: usize = 16 << 10;

/// Why an exchange ends before it is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Not,
    /// The guest was kept waiting for all of its call.
    Overdue,
    /// The guest's work is done.
    HungUp,
}

/// The exchanges of one instance.
pub struct Exchanges {
    context: WasiHttpCtx,
    hooks: Hooks,
}

/// Has all exchanges of an instance fail for want of time.
pub struct Alarm(watch::Sender<Ended>);

impl Alarm {
    /// Now.
    pub fn ring(self) {
        self.0.send_replace(Ended::Overdue);
    }
}

struct Hooks {
    egress: Option<Arc<Egress>>,
    ended: watch::Sender<Ended>,
    /// What the operator or the author should know of the last request.
    refusal: Option<String>,
}

/// What a request becomes.
type Sent = Result<(hyper::Response<WasiBody>, Done), WasiError>;
/// A part of a body, or why no more comes.
type Piece = Result<Bytes, WasiError>;
/// Brings the body; ends with it.
type Done = Box<dyn Future<Output = Result<(), WasiError>> + Send>;

impl Exchanges {
    /// None yet.
    pub fn new(egress: Option<Arc<Egress>>) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(FIELDS_MAX);
        Self { context, hooks: Hooks { egress, ended: watch::Sender::new(Ended::Not), refusal: None } }
    }

    /// For whoever waits for them.
    pub fn alarm(&self) -> Alarm {
        Alarm(self.hooks.ended.clone())
    }

    /// Ends all of them.
    pub fn hang_up(&self) {
        self.hooks.ended.send_replace(Ended::HungUp);
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (machine, table) = self.parts();
        let Exchanges { context, hooks } = &mut machine.exchanges;
        WasiHttpCtxView { hooks, table, ctx: context }
    }
}

impl HostState {
    /// Tells why the last request was refused: the guest sees no words.
    pub(super) fn log_refusal(&mut self) {
        if let Some(refusal) = self.machine().exchanges.hooks.refusal.take() {
            self.log(Level::Warn, &refusal);
        }
    }
}

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name: &HeaderName| is_forbidden(name.as_str()))
    }

    /// The broker does.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_MAX
    }

    fn send_request(
        &mut self,
        request: hyper::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Done,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let denied = || Error::Denied("this plugin was not granted `http`".into());
        let begun = convert(request, options.unwrap_or_default())
            .and_then(|request| self.egress.as_ref().ok_or_else(denied)?.begin(request));
        match begun {
            Ok(begun) => {
                let ended = self.ended.subscribe();
                Box::new(async move {
                    let answer = answer(begun, ended.clone()).await.map_err(code)?;
                    Ok(received(answer, ended))
                })
            }
            Err(error) => {
                self.refusal = Some(format!("request refused: {error}"));
                Box::new(async move { Err(code(error)) })
            }
        }
    }
}

fn convert(request: hyper::Request<WasiBody>, options: RequestOptions) -> Result<Request, Error> {
    let (head, body) = request.into_parts();
    let body = Upload::new(body);
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = std::str::from_utf8(value.as_bytes())
            .map_err(|_| Error::Invalid(format!("header {:?} is no UTF-8", name.as_str())))?;
        Ok((name.as_str().to_owned(), value.to_owned()))
    };
    Ok(Request {
        method: head.method.to_string(),
        url: head.uri.to_string(),
        headers: head.headers.iter().map(header).collect::<Result<_, Error>>()?,
        body: body.map_err(Into::into).boxed_unsync(),
        first_byte_timeout: options.first_byte_timeout,
        idle_timeout: options.between_bytes_timeout,
    })
}

/// The head of the answer, unless the exchange ends first.
async fn answer(begun: Begun, mut ended: watch::Receiver<Ended>) -> Result<Answer, Error> {
    let Begun { until, work } = begun;
    tokio::select! {
        error = end(&mut ended) => Err(error),
        outcome = timeout_at(until.into(), work) => outcome.unwrap_or_else(|_| Err(too_long())),
    }
}

/// Why it ends, once it does.
async fn end(ended: &mut watch::Receiver<Ended>) -> Error {
    match ended.changed().await.map(|()| *ended.borrow()) {
        Ok(Ended::Overdue) => Error::Timeout("the server did not answer before the call's deadline".into()),
        _ => Error::Cancelled,
    }
}

fn too_long() -> Error {
    Error::Timeout("the exchange took longer than any may".into())
}

/// An answer whose body comes as it is read, and what brings it.
fn received(answer: Answer, ended: watch::Receiver<Ended>) -> (hyper::Response<WasiBody>, Done) {
    let Answer { status, headers, body: pieces } = answer;
    let (sender, receiver) = mpsc::channel(1);
    let frames = stream::unfold(receiver, |mut receiver: mpsc::Receiver<Piece>| async move {
        Some((receiver.recv().await?.map(Frame::data), receiver))
    });
    let mut response = hyper::Response::new(UnsyncBoxBody::new(StreamBody::new(frames)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    let fields = headers.iter().filter_map(|(name, value)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
    });
    for (name, value) in fields {
        response.headers_mut().append(name, value);
    }
    (response, Box::new(bring(pieces, sender, ended)))
}

/// Brings the body piece by piece until it is over, fails, or nobody wants it.
async fn bring(
    pieces: Pieces,
    sender: mpsc::Sender<Piece>,
    mut ended: watch::Receiver<Ended>,
) -> Result<(), WasiError> {
    let until = pieces.until();
    let bringing = timeout_at(until.into(), pass_on(pieces, &sender));
    let outcome = tokio::select! {
        error = end(&mut ended) => Err(error),
        () = sender.closed() => return Ok(()),
        outcome = bringing => outcome.unwrap_or_else(|_| Err(too_long())),
    };
    if let Err(error) = outcome {
        tracing::debug!(target: "plugin", %error, "answer broke off");
        // Waits for the guest to take the piece before; ends with the instance.
        let _ = sender.send(Err(code(error))).await;
    }
    Ok(())
}

async fn pass_on(mut pieces: Pieces, sender: &mpsc::Sender<Piece>) -> Result<(), Error> {
    while !pieces.is_over() {
        let piece = pieces.next().await?;
        if !piece.is_empty() && sender.send(Ok(piece)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The nearest that WASI has a name for.
fn code(error: Error) -> WasiError {
    match error {
        Error::Invalid(what) => WasiError::InternalError(Some(what)),
        Error::Denied(_) => WasiError::HttpRequestDenied,
        Error::Unavailable(_) => WasiError::DestinationUnavailable,
        Error::Upstream(_) => WasiError::HttpProtocolError,
        Error::Timeout(_) => WasiError::HttpResponseTimeout,
        Error::Limit("http-exchanges", _) => WasiError::ConnectionLimitReached,
        Error::Limit("http-headers", _) => WasiError::HttpResponseHeaderSectionSize(None),
        Error::Limit(_, _) => WasiError::HttpResponseBodySize(None),
        Error::Cancelled => WasiError::ConnectionTerminated,
    }
}
