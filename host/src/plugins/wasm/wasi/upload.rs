use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use wasmtime_wasi_http::{Error, WasiBody};

/// The body of a request. If the request ends first, what the guest still writes goes nowhere: there are runtimes that
/// take a closed stream for the end of the world, and would not get to see why the request failed.
pub struct Upload(WasiBody);

impl Upload {
    /// Of a guest.
    pub fn new(body: WasiBody) -> Self {
        Self(body)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let none = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
        let mut body = std::mem::replace(&mut self.0, none);
        if !body.is_end_stream()
            && let Ok(runtime) = Handle::try_current()
        {
            // Ends with the body, which ends with the guest.
            runtime.spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
        }
    }
}
