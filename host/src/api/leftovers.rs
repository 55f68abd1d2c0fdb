//! What an early answer leaves unread. hyper closes a connection whose request was not read to its end, and clients that
//! keep connections would send the next one into it: a short rest is read here, else they are told that it closes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;

/// Bytes that are read for nothing at most; a longer body is not waited for.
const REST_MAX: u64 = 64 * 1024;
/// How long they may take: they are on their way, or the client waits for the answer.
const WAIT_MAX: Duration = Duration::from_millis(200);

/// Where a body goes that nobody reads on.
type Slot = Arc<Mutex<Option<Body>>>;

/// Reads a short rest of the request once there is an answer, or announces the end of the connection.
pub(super) async fn leftovers(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // To read on would invite the client to send what it holds back for the answer.
    let is_held_back = request.headers().contains_key(header::EXPECT);
    let slot = Slot::default();
    let request = request.map(|body| Body::new(Lent { body, ended: false, slot: slot.clone() }));
    let mut response = next.run(request).await;
    let rest = slot.lock().take();
    if let Some(rest) = rest
        && (is_held_back || !read(rest).await)
    {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether there was nothing more than a short rest.
async fn read(rest: Body) -> bool {
    if rest.size_hint().lower() > REST_MAX {
        return false;
    }
    let whole = async {
        let (mut rest, mut bytes) = (rest.into_data_stream(), 0);
        while let Some(part) = rest.next().await {
            bytes += part.map_or(REST_MAX + 1, |part| part.len() as u64);
            if bytes > REST_MAX {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(WAIT_MAX, whole).await.unwrap_or(false)
}

/// A body that comes back if it is not read to its end.
struct Lent {
    body: Body,
    ended: bool,
    slot: Slot,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.ended |= !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            *self.slot.lock() = Some(std::mem::take(&mut self.body));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use futures_util::stream;
    use tower::ServiceExt;

    use super::*;

    async fn closes(path: &str, body: Body, expects: bool) -> bool {
        let router = Router::new()
            .route("/read", post(async |body: Bytes| body))
            .route("/refused", post(async || StatusCode::FORBIDDEN))
            .layer(axum::middleware::from_fn(leftovers));
        let mut request = Request::post(path).body(body).unwrap();
        if expects {
            request.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        }
        router.oneshot(request).await.unwrap().headers().contains_key(header::CONNECTION)
    }

    fn parts(count: usize) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
        stream::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 1024]))).take(count)
    }

    #[tokio::test]
    async fn only_a_long_rest_or_one_that_does_not_come_ends_the_connection() {
        for path in ["/read", "/refused"] {
            assert!(!closes(path, Body::empty(), false).await);
            assert!(!closes(path, Body::from("short"), false).await);
            assert!(!closes(path, Body::from_stream(parts(64)), false).await);
        }
        assert!(!closes("/read", Body::from_stream(parts(65)), false).await);
        assert!(closes("/refused", Body::from_stream(parts(65)), false).await);
        assert!(closes("/refused", Body::from(vec![0; 1 << 20]), false).await);
        assert!(closes("/refused", Body::from_stream(parts(1).chain(stream::pending())), false).await);
        assert!(closes("/refused", Body::from("short"), true).await);
        assert!(!closes("/read", Body::from("short"), true).await);
    }
}
