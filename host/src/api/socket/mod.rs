//! WebSockets: a seat for each, bounded messages, a look now and then at whether the other end is there.

pub(super) mod events;
pub(super) mod notifications;
pub(super) mod query;

use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::error::{ApiError, Result};

/// Open sockets at most.
static SEATS: Semaphore = Semaphore::const_new(1024);
/// How long a client may take to read what was sent.
const SEND_MAX: Duration = Duration::from_secs(30);
/// Between two looks at whether the other end is still there.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Bytes kept for reading of each socket; longer messages make it larger. 128 KiB otherwise, and most are idle.
const READ_BUFFER: usize = 4 << 10;
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Is cancelled when the service ends.
pub(super) type Ending = CancellationToken;
type Upgrade = std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// Why a socket ends: a code and a reason.
struct Goodbye(u16, &'static str);

const SERVICE_ENDS: Goodbye = Goodbye(close_code::AWAY, "the service ends");
const REVOKED: Goodbye = Goodbye(close_code::POLICY, "the key was revoked");
const TOO_SLOW: Goodbye = Goodbye(close_code::POLICY, "messages are not read fast enough");
const UNREADABLE: Goodbye = Goodbye(close_code::PROTOCOL, "the message can't be read, or is far too large");

/// A place for the socket, if it is one.
fn seated(upgrade: Upgrade, instead: &str) -> Result<(WebSocketUpgrade, SemaphorePermit<'static>)> {
    let upgrade = upgrade.map_err(|rejection| {
        let detail = format!("connect with a WebSocket client{instead}: {rejection}");
        ApiError::new(StatusCode::UPGRADE_REQUIRED, "invalid_value", detail)
    })?;
    let seat = SEATS.try_acquire().map_err(|_| {
        let detail = "too many open sockets: close some, or try again in a second";
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(1)
    })?;
    Ok((upgrade.read_buffer_size(READ_BUFFER), seat))
}

/// The sending half.
struct Line(SplitSink<WebSocket, Message>);

impl Line {
    /// # Errors
    /// If the client is gone, or does not read.
    async fn send(&mut self, message: Message) -> std::result::Result<(), Goodbye> {
        match tokio::time::timeout(SEND_MAX, self.0.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(TOO_SLOW),
        }
    }

    async fn say(&mut self, event: &impl Serialize) -> std::result::Result<(), Goodbye> {
        let text = serde_json::to_string(event).unwrap_or_default();
        self.send(Message::Text(text.into())).await
    }

    async fn ping(&mut self) -> std::result::Result<(), Goodbye> {
        self.send(Message::Ping(Default::default())).await
    }

    async fn close(mut self, Goodbye(code, reason): Goodbye) {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        // Whoever is gone already does not hear it.
        let _ = tokio::time::timeout(GOODBYE_MAX, self.0.send(Message::Close(Some(frame)))).await;
    }
}
