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

/// What all requests share.
#[derive(Clone)]
pub(super) struct Limits {
    seats: Arc<Semaphore>,
    silence_max: Duration,
}

impl Limits {
    /// Of a daemon: how many requests are worked on at once, and how long a client may pause within a body.
    pub fn new() -> Self {
        Self::of(1024, Duration::from_secs(120))
    }

    fn of(in_flight_max: usize, silence_max: Duration) -> Self {
        Self { seats: Arc::new(Semaphore::new(in_flight_max)), silence_max }
    }
}

/// Lets a request in or answers 429.
pub(super) async fn in_flight(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let Ok(permit) = limits.seats.try_acquire_owned() else {
        let detail = "too many requests at once: try again in a second";
        return ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
            .retry_after(1)
            .into_response();
    };
    let request = request.map(|body| Body::new(TimeoutBody::new(limits.silence_max, body)));
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
    use axum::routing::{get, post};
    use futures_util::stream::{self, StreamExt};
    use tower::ServiceExt;

    fn router(limits: Limits) -> Router {
        Router::new()
            .route("/", get(async || "x"))
            .route("/", post(async |body: Bytes| body))
            .layer(axum::middleware::from_fn_with_state(limits, in_flight))
    }

    #[tokio::test]
    async fn an_answer_keeps_its_seat_until_it_is_read() {
        let router = router(Limits::of(1, Duration::from_secs(60)));
        let call = || router.clone().oneshot(Request::new(Body::empty()));
        let first = call().await.unwrap();
        assert_eq!(first.body().size_hint().exact(), Some(1));
        assert_eq!(call().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
        drop(first);
        assert_eq!(call().await.unwrap().status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_body_may_be_slow_but_not_silent() {
        let silence_max = Duration::from_secs(1);
        let router = router(Limits::of(1, silence_max));
        let call = |body| {
            let request = Request::post("/").body(Body::from_stream(body)).unwrap();
            router.clone().oneshot(request)
        };
        let part = async |_| {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok::<_, std::io::Error>("x")
        };
        let slow = stream::iter(0..12).then(part).boxed();
        assert_eq!(call(slow).await.unwrap().status(), StatusCode::OK);
        let silent = stream::iter(0..2).then(part).chain(stream::pending()).boxed();
        let answer = tokio::time::timeout(100 * silence_max, call(silent)).await.expect("an answer").unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        drop(answer);
        assert_eq!(call(stream::empty().boxed()).await.unwrap().status(), StatusCode::OK);
    }
}
