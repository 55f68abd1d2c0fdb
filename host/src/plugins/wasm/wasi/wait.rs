//! `wasi:io/poll` and `wasi:io/streams`: waiting, never longer than the call may take or than anybody wants its result.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use wasmtime::component::Resource;
use wasmtime::{Result, Trap, format_err};
use wasmtime_wasi::p2::bindings::io::poll::{Host as AsyncPoll, HostPollable as AsyncPollable};
use wasmtime_wasi::p2::bindings::io::streams::{
    HostInputStream as AsyncInput, HostOutputStream as AsyncOutput,
};
use wasmtime_wasi::p2::bindings::sync::io::{poll, streams};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult};

use super::clock::Clock;
use super::http::Alarm;
use crate::plugins::roles::Cancel;
use crate::plugins::wasm::host::HostState;

/// How soon a caller that is gone is noticed.
const GLANCE: Duration = Duration::from_millis(20);
/// What one poll may wait for.
const POLLABLES_MAX: usize = 10_000;

/// Nobody wants what the guest waits for any more; ends the call, and is nobody's fault.
#[derive(Debug, thiserror::Error)]
#[error("the call was cancelled")]
pub struct Cancelled;

/// How long a guest may be kept waiting, and by what clock.
struct Patience {
    /// When exchanges fail, so that the guest can say so.
    until: Instant,
    /// When its call is over.
    end: Instant,
    cancel: Cancel,
    clock: Arc<Clock>,
    alarm: Alarm,
}

impl Patience {
    /// Waits for something that hangs on so many things. Where all of them are timers, the clock runs ahead; what comes
    /// from elsewhere takes real time, and the clock goes along.
    fn wait<T>(self, things: usize, work: impl Future<Output = T>) -> Result<T> {
        let mut alarm = Some(self.alarm);
        let mut work = pin!(work);
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            self.clock.sleepers();
            if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
                return Ok(done);
            }
            let sleepers = self.clock.sleepers();
            if sleepers.count == things {
                self.clock.wake(sleepers);
                continue;
            }
            let began = Instant::now();
            let left = self.end.saturating_duration_since(began);
            if self.cancel.is_cancelled() {
                return Err(Cancelled.into());
            }
            if left.is_zero() {
                return Err(Trap::Interrupt.into());
            }
            if began >= self.until {
                alarm.take().into_iter().for_each(Alarm::ring);
            }
            let nap = self.clock.left(sleepers).unwrap_or(GLANCE).min(GLANCE).min(left);
            std::thread::park_timeout(nap);
            self.clock.pass(began.elapsed());
        }
    }

    fn wait_for_stream<T>(self, work: impl Future<Output = StreamResult<T>>) -> StreamResult<T> {
        self.wait(1, work).map_err(StreamError::Trap)?
    }
}

/// Ends a nap.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl HostState {
    fn patience(&mut self) -> Patience {
        self.log_refusal();
        let (until, end, cancel) = (self.call.until, self.timer.until(), self.call.cancel.clone());
        let machine = self.machine();
        Patience { until, end, cancel, clock: machine.clock.clone(), alarm: machine.exchanges.alarm() }
    }

    fn printed<T>(&mut self, outcome: StreamResult<T>) -> StreamResult<T> {
        self.log_printed();
        outcome
    }
}

impl poll::Host for HostState {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        if pollables.len() > POLLABLES_MAX {
            return Err(format_err!("{} pollables are too many to wait for", pollables.len()));
        }
        let things: BTreeSet<u32> = pollables.iter().map(Resource::rep).collect();
        self.patience().wait(things.len(), AsyncPoll::poll(&mut self.table, pollables))?
    }
}

impl poll::HostPollable for HostState {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        self.machine().clock.look();
        self.patience().wait(1, AsyncPollable::ready(&mut self.table, pollable))?
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        self.patience().wait(1, AsyncPollable::block(&mut self.table, pollable))?
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        AsyncPollable::drop(&mut self.table, pollable)
    }
}

impl streams::Host for HostState {
    fn convert_stream_error(&mut self, error: StreamError) -> Result<streams::StreamError> {
        streams::Host::convert_stream_error(&mut self.table, error)
    }
}

impl streams::HostOutputStream for HostState {
    fn drop(&mut self, stream: Resource<DynOutputStream>) -> Result<()> {
        self.patience().wait(1, AsyncOutput::drop(&mut self.table, stream))?
    }

    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        AsyncOutput::check_write(&mut self.table, stream)
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        let outcome = AsyncOutput::write(&mut self.table, stream, bytes);
        self.printed(outcome)
    }

    fn blocking_write_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        let patience = self.patience();
        let work = AsyncOutput::blocking_write_and_flush(&mut self.table, stream, bytes);
        let outcome = patience.wait_for_stream(work);
        self.printed(outcome)
    }

    fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        len: u64,
    ) -> StreamResult<()> {
        let patience = self.patience();
        let work = AsyncOutput::blocking_write_zeroes_and_flush(&mut self.table, stream, len);
        let outcome = patience.wait_for_stream(work);
        self.printed(outcome)
    }

    fn subscribe(&mut self, stream: Resource<DynOutputStream>) -> Result<Resource<DynPollable>> {
        AsyncOutput::subscribe(&mut self.table, stream)
    }

    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        let outcome = AsyncOutput::write_zeroes(&mut self.table, stream, len);
        self.printed(outcome)
    }

    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        AsyncOutput::flush(&mut self.table, stream)
    }

    fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.patience().wait_for_stream(AsyncOutput::blocking_flush(&mut self.table, stream))
    }

    fn splice(
        &mut self,
        into: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        let outcome = AsyncOutput::splice(&mut self.table, into, from, len);
        self.printed(outcome)
    }

    fn blocking_splice(
        &mut self,
        into: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        let patience = self.patience();
        let work = AsyncOutput::blocking_splice(&mut self.table, into, from, len);
        let outcome = patience.wait_for_stream(work);
        self.printed(outcome)
    }
}

impl streams::HostInputStream for HostState {
    fn drop(&mut self, stream: Resource<DynInputStream>) -> Result<()> {
        self.patience().wait(1, AsyncInput::drop(&mut self.table, stream))?
    }

    fn read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        AsyncInput::read(&mut self.table, stream, len)
    }

    fn blocking_read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.patience().wait_for_stream(AsyncInput::blocking_read(&mut self.table, stream, len))
    }

    fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        AsyncInput::skip(&mut self.table, stream, len)
    }

    fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.patience().wait_for_stream(AsyncInput::blocking_skip(&mut self.table, stream, len))
    }

    fn subscribe(&mut self, stream: Resource<DynInputStream>) -> Result<Resource<DynPollable>> {
        AsyncInput::subscribe(&mut self.table, stream)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use wasmtime_wasi::p2::Pollable;

    use super::*;
    use crate::plugins::wasm::wasi::clock::Timer;
    use crate::plugins::wasm::wasi::http::Exchanges;

    fn patience(end: Duration, clock: &Arc<Clock>) -> Patience {
        let (now, cancel) = (Instant::now(), Cancel::default());
        let alarm = Exchanges::new(None).alarm();
        Patience { until: now + end, end: now + end, cancel, clock: clock.clone(), alarm }
    }

    async fn timer_or_server(clock: &Arc<Clock>, time: Duration) {
        let mut timer = Timer::new(clock.clone(), time.as_nanos() as u64);
        tokio::select! {
            () = timer.ready() => {}
            () = pending() => {}
        }
    }

    #[test]
    fn beside_a_server_time_is_real() {
        let clock = Arc::new(Clock::default());
        let (began, time) = (Instant::now(), Duration::from_millis(50));
        patience(Duration::from_secs(60), &clock).wait(2, timer_or_server(&clock, time)).unwrap();
        assert!(began.elapsed() >= time);
        assert!((50_000_000..60_000_000_000).contains(&clock.look()));
    }

    #[test]
    fn waiting_ends_with_the_call_or_its_caller() {
        let clock = Arc::new(Clock::default());
        let late =
            patience(Duration::from_millis(30), &clock).wait(2, timer_or_server(&clock, Duration::MAX));
        assert!(matches!(late.unwrap_err().downcast_ref(), Some(Trap::Interrupt)));
        let patience = patience(Duration::from_secs(60), &clock);
        patience.cancel.cancel();
        assert!(patience.wait(1, pending::<()>()).unwrap_err().is::<Cancelled>());
    }
}
