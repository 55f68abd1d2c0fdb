//! At most so many requests at once, none of which may be silent for long; a streamed answer counts until its last byte.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Semaphore;
use tower_http::timeout::TimeoutBody;

use super::error::ApiError;

/// Requests worked on at once; more are told to come back.
pub(super) const IN_FLIGHT_MAX: usize = 1024;

/// How long a client may pause within a body.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Lets a request in or answers 429.
pub(super) async fn in_flight(State(seats): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(permit) = seats.try_acquire_owned() else {
        let detail = "too many requests at once: try again in a second";
        return ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
            .retry_after(1)
            .into_response();
    };
    let request = request.map(|body| Body::new(TimeoutBody::new(SILENCE_MAX, body)));
    next.run(request).await.map(|body| Body::new(Seated::new(body, permit)))
}

/// A body that keeps its seat.
pub(super) struct Seated<P> {
    body: Body,
    _permit: P,
}

impl<P> Seated<P> {
    pub fn new(body: Body, permit: P) -> Self {
        Self { body, _permit: permit }
    }
}

impl<P: Unpin> HttpBody for Seated<P> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use tower::ServiceExt;

    #[tokio::test]
    async fn an_answer_keeps_its_seat_until_it_is_read() {
        let router = Router::new()
            .route("/", get(async || "x"))
            .layer(axum::middleware::from_fn_with_state(Arc::new(Semaphore::new(1)), in_flight));
        let call = || router.clone().oneshot(Request::new(Body::empty()));
        let first = call().await.unwrap();
        assert_eq!(first.body().size_hint().exact(), Some(1));
        assert_eq!(call().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
        drop(first);
        assert_eq!(call().await.unwrap().status(), StatusCode::OK);
    }
}
