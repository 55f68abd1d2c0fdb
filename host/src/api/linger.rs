//! A polite end of a connection. Closing a socket with unread bytes resets it, and the client may lose the answer
//! that says why its upload was refused. So: end our side, read on for a while, then close.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long the client may take to notice the answer.
const LINGER: Duration = Duration::from_secs(10);
/// How long it may be silent meanwhile.
const LINGER_IDLE: Duration = Duration::from_millis(500);
/// How long a client may take nothing of what it is sent.
const STALL_MAX: Duration = Duration::from_secs(60);
const SCRAP_BYTES: usize = 64 * 1024;

/// A connection that lingers when it is shut down.
pub(super) struct Lingering<S> {
    stream: S,
    stall_max: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    ending: Option<Ending>,
}

struct Ending {
    deadline: Instant,
    idle: Pin<Box<Sleep>>,
    scrap: Box<[u8]>,
}

impl<S> Lingering<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, stall_max: STALL_MAX, stalled: None, ending: None }
    }
}

impl<S> Lingering<S> {
    /// Gives a client up that takes nothing for too long.
    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.stall_max)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Ending {
    fn new() -> Self {
        let idle = Box::pin(tokio::time::sleep(LINGER_IDLE));
        Self { deadline: Instant::now() + LINGER, idle, scrap: vec![0; SCRAP_BYTES].into() }
    }

    /// Reads and forgets until the client is done or the time is over.
    fn poll(&mut self, stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut buffer = ReadBuf::new(&mut self.scrap);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && Instant::now() < self.deadline => {
                    let next = (Instant::now() + LINGER_IDLE).min(self.deadline);
                    self.idle.as_mut().reset(next);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.idle.as_mut().poll(cx),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    /// Head and body of an answer leave in one write.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ending.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let ending = this.ending.get_or_insert_with(Ending::new);
        ending.poll(&mut this.stream, cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut connection = Lingering { stall_max: Duration::from_millis(20), ..Lingering::new(ours) };
        connection.write_all(&[0; 16]).await.unwrap();
        theirs.read_exact(&mut [0; 16]).await.unwrap();
        let error = connection.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_still_sends_reads_the_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut connection = Lingering::new(listener.accept().await.unwrap().0);
            connection.write_all(b"no").await.unwrap();
            connection.shutdown().await.unwrap();
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        for _ in 0..64 {
            client.write_all(&[0; SCRAP_BYTES]).await.unwrap();
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "no");
        drop(client);
        server.await.unwrap();
    }
}
