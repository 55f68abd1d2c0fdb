//! Clocks that no real time stands behind: they begin at the same moment in every instance, each look takes a
//! microsecond, and sleep takes all the time it asks for at once. So nothing can be measured by them, the same calls
//! give the same times, and no sleep outlives a deadline.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::plugins::wasm::host::HostState;

/// 2000-01-01 in seconds since 1970: when every machine is switched on.
const START_SECONDS: u64 = 946_684_800;
/// Nanoseconds between two looks, so that whoever waits for a time to come by looking again and again sees it come.
const LOOK_NS: u64 = 1_000;
const NS_PER_SECOND: u64 = 1_000_000_000;

/// The time of one machine.
#[derive(Default)]
pub struct Clock(Mutex<Time>);

#[derive(Default)]
struct Time {
    now_ns: u64,
    sleepers: Sleepers,
}

/// Timers that were found still running.
#[derive(Clone, Copy, Default)]
pub struct Sleepers {
    /// How many.
    pub count: usize,
    /// When the first of them ends.
    first_ns: Option<u64>,
}

impl Clock {
    /// Nanoseconds since the machine was switched on. Looking takes time, too.
    pub fn look(&self) -> u64 {
        let mut time = self.0.lock();
        time.now_ns = time.now_ns.saturating_add(LOOK_NS);
        time.now_ns
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        let mut now = self.0.lock();
        now.now_ns = now.now_ns.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Lets all the time pass until the first sleeper wakes.
    pub fn wake(&self, sleepers: Sleepers) {
        let mut time = self.0.lock();
        time.now_ns = time.now_ns.max(sleepers.first_ns.unwrap_or(0));
    }

    /// How long the first sleeper sleeps on.
    pub fn left(&self, sleepers: Sleepers) -> Option<Duration> {
        Some(Duration::from_nanos(sleepers.first_ns?.saturating_sub(self.0.lock().now_ns)))
    }

    /// The timers that were asked since this was asked last, and still run.
    pub fn sleepers(&self) -> Sleepers {
        std::mem::take(&mut self.0.lock().sleepers)
    }

    fn is_over(&self, at_ns: u64) -> bool {
        let mut time = self.0.lock();
        if time.now_ns >= at_ns {
            return true;
        }
        let Sleepers { count, first_ns } = time.sleepers;
        let first_ns = Some(first_ns.map_or(at_ns, |first| first.min(at_ns)));
        time.sleepers = Sleepers { count: count + 1, first_ns };
        false
    }
}

/// Waits for a time to come.
pub struct Timer {
    clock: Arc<Clock>,
    at_ns: u64,
}

impl Timer {
    /// Of this clock.
    pub fn new(clock: Arc<Clock>, at_ns: u64) -> Self {
        Self { clock, at_ns }
    }
}

#[async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        // Whoever waits for it moves the clock and asks again: nobody need be woken.
        poll_fn(|_| if self.clock.is_over(self.at_ns) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl wall_clock::Host for HostState {
    fn now(&mut self) -> Result<wall_clock::Datetime> {
        let now = self.machine().clock.look();
        Ok(wall_clock::Datetime {
            seconds: START_SECONDS + now / NS_PER_SECOND,
            nanoseconds: (now % NS_PER_SECOND) as u32,
        })
    }

    fn resolution(&mut self) -> Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: LOOK_NS as u32 })
    }
}

impl monotonic_clock::Host for HostState {
    fn now(&mut self) -> Result<u64> {
        Ok(self.machine().clock.look())
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(LOOK_NS)
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        let clock = self.machine().clock.clone();
        let timer = self.table.push(Timer::new(clock, when))?;
        subscribe(&mut self.table, timer)
    }

    fn subscribe_duration(&mut self, duration: u64) -> Result<Resource<DynPollable>> {
        let now = self.machine().clock.look();
        monotonic_clock::Host::subscribe_instant(self, now.saturating_add(duration))
    }
}
