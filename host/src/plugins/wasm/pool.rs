//! Warm instances of one plugin: at most so many, never one that trapped, and none for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::engine::Idle;
use super::guest::{Failure, Guest, Instance, World};
use crate::plugins::bindings::v0_1_0::imports::types as wit;
use crate::plugins::fault::fault;
use crate::plugins::roles::Cancel;
use crate::types::{FaultKind, Limit, PluginError};

/// The last idle instance stays; others go after this time, and their memory with them.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Calls that wait for an instance; each holds a thread that others may need.
const WAITING_MAX: usize = 64;

/// The pool.
pub struct Pool<W: World> {
    guest: Guest<W>,
    max: usize,
    slots: Mutex<Slots<W>>,
    free: Condvar,
}

struct Slots<W: World> {
    /// Most recently used last.
    idle: Vec<(Instant, Instance<W>)>,
    in_use: usize,
    waiting: usize,
}

/// An instance in use; goes back when dropped, unless it trapped.
pub struct Lease<W: World> {
    pool: Arc<Pool<W>>,
    instance: Option<Instance<W>>,
}

impl<W: World> Pool<W> {
    /// At most `max` instances at once.
    pub fn new(guest: Guest<W>, max: usize) -> Arc<Self> {
        let slots = Mutex::new(Slots { idle: Vec::new(), in_use: 0, waiting: 0 });
        let pool = Arc::new(Self { guest, max, slots, free: Condvar::new() });
        let idle: Arc<dyn Idle> = pool.clone();
        pool.guest.engine().keep(Arc::downgrade(&idle));
        pool
    }

    /// The plugin behind it.
    pub fn guest(&self) -> &Guest<W> {
        &self.guest
    }

    /// An instance; waits while all are in use, as long as a call may take.
    pub fn lease(self: &Arc<Self>) -> Result<Lease<W>, PluginError> {
        let mut slots = self.slots.lock();
        if slots.in_use >= self.max {
            self.wait(&mut slots)?;
        }
        slots.in_use += 1;
        let idle = slots.idle.pop().map(|(_, instance)| instance);
        drop(slots);
        // From here on the lease counts as in use, and gives its place back when dropped.
        let mut lease = Lease { pool: self.clone(), instance: idle };
        if lease.instance.is_none() {
            lease.instance = Some(self.guest.instantiate()?);
        }
        Ok(lease)
    }

    fn wait(&self, slots: &mut MutexGuard<'_, Slots<W>>) -> Result<(), PluginError> {
        if slots.waiting >= WAITING_MAX {
            return Err(self.busy(Limit::Calls, format!("{WAITING_MAX} calls wait for it already")));
        }
        let until = Instant::now() + self.guest.limits().deadline;
        slots.waiting += 1;
        let full = |slots: &mut Slots<W>| slots.in_use >= self.max;
        let timed_out = self.free.wait_while_until(slots, full, until).timed_out();
        slots.waiting -= 1;
        match timed_out && slots.in_use >= self.max {
            true => Err(self.busy(Limit::Instances, format!("all {} instances are busy", self.max))),
            false => Ok(()),
        }
    }

    /// One call on any instance.
    pub fn call<R>(
        self: &Arc<Self>,
        work: impl FnOnce(
            &mut wasmtime::Store<super::host::HostState>,
            &W::Exports,
        ) -> wasmtime::Result<Result<R, wit::Error>>,
    ) -> Result<R, PluginError> {
        self.lease()?.call(work)
    }

    fn busy(&self, limit: Limit, what: String) -> PluginError {
        let message = format!("{what}: try again, or ask less at once");
        let error = self.guest.breached(fault(&self.guest.id().name, FaultKind::Limit(limit), message));
        PluginError { retryable: true, retry_after_ms: Some(1000), ..error }
    }

    fn give_back(&self, instance: Option<Instance<W>>) {
        // Dropped here, and not under the lock: unmapping takes its time.
        let instance = instance.filter(|instance| !self.guest.is_spent(instance));
        let mut slots = self.slots.lock();
        slots.in_use -= 1;
        slots.idle.extend(instance.map(|instance| (Instant::now(), instance)));
        drop(slots);
        self.free.notify_one();
    }
}

impl<W: World> Idle for Pool<W> {
    fn sweep(&self, now: Instant) {
        let mut slots = self.slots.lock();
        let is_stale = |since: &Instant| now.saturating_duration_since(*since) > IDLE_MAX;
        let stale = slots.idle.iter().take_while(|(since, _)| is_stale(since)).count();
        let surplus = slots.idle.len().saturating_sub(1).min(stale);
        let gone: Vec<_> = slots.idle.drain(..surplus).collect();
        // As above.
        drop(slots);
        drop(gone);
    }
}

impl<W: World> Lease<W> {
    /// One call; after a trap the lease is spent.
    pub fn call<R>(
        &mut self,
        work: impl FnOnce(
            &mut wasmtime::Store<super::host::HostState>,
            &W::Exports,
        ) -> wasmtime::Result<Result<R, wit::Error>>,
    ) -> Result<R, PluginError> {
        let guest = &self.pool.guest;
        let Some(mut instance) = self.instance.take() else {
            return Err(fault(&guest.id().name, FaultKind::Trap, "crashed earlier in this call"));
        };
        let outcome = guest.call(&mut instance, guest.limits().deadline, work);
        self.settle(instance, outcome)
    }

    /// Lets the guest drop a resource.
    pub fn release(&mut self, resource: wasmtime::component::ResourceAny) -> Result<(), PluginError> {
        let Some(mut instance) = self.instance.take() else { return Ok(()) };
        let outcome = self.pool.guest.release(&mut instance, resource);
        self.settle(instance, outcome)
    }

    /// Whoever wants the coming calls may go.
    pub fn set_cancel(&mut self, cancel: Cancel) {
        if let Some(instance) = &mut self.instance {
            Guest::state(instance).set_cancel(cancel);
        }
    }

    /// Ends all exchanges that the guest has open, without asking it.
    pub fn hang_up(&mut self) {
        self.instance.iter_mut().for_each(|instance| Guest::state(instance).hang_up());
    }

    /// The plugin behind it.
    pub fn guest(&self) -> &Guest<W> {
        &self.pool.guest
    }

    /// Keeps the instance for the next call only if this one came back.
    fn settle<R>(&mut self, instance: Instance<W>, outcome: Result<R, Failure>) -> Result<R, PluginError> {
        if !matches!(outcome, Err(Failure::Trapped(_))) {
            self.instance = Some(instance);
        }
        Ok(outcome?)
    }
}

impl<W: World> Drop for Lease<W> {
    fn drop(&mut self) {
        let mut instance = self.instance.take();
        instance.iter_mut().for_each(|instance| Guest::state(instance).rest());
        self.pool.give_back(instance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::roles::Reranker;
    use crate::plugins::tests::guests::{reranker, reranker_pool};
    use crate::plugins::wasm::reranker::WasmReranker;

    #[test]
    fn surplus_instances_go_when_idle() {
        let pool = reranker_pool(&reranker("0.5"), 3);
        let leases: Vec<_> = (0..3).map(|_| pool.lease().unwrap()).collect();
        drop(leases);
        let idle = || pool.slots.lock().idle.len();
        pool.sweep(Instant::now());
        assert_eq!(idle(), 3);
        pool.sweep(Instant::now() + IDLE_MAX * 2);
        assert_eq!(idle(), 1, "one stays warm");
    }

    /// Scores say how many calls the instance had before, in eighths.
    fn counting() -> String {
        let score = "(f32.div (f32.convert_i32_u (i32.load (i32.const 3000))) (f32.const 8))";
        let count = "(i32.store (i32.const 3000) (i32.add (i32.load (i32.const 3000)) (i32.const 1)))";
        reranker("0")
            .replace("(f32.const 0)", score)
            .replace("(local $index i32)", &format!("(local $index i32) {count}"))
    }

    fn calls(plugin: &WasmReranker) -> f32 {
        plugin.rerank("q", &["a"]).unwrap()[0] * 8.0
    }

    #[test]
    fn an_instance_ends_after_its_last_call() {
        let plugin = WasmReranker::new(reranker_pool(&counting(), 1));
        let calls: Vec<f32> = (0..7).map(|_| calls(&plugin)).collect();
        assert_eq!(calls, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
    }

    #[test]
    fn an_instance_that_leaves_much_open_is_not_used_again() {
        let pool = reranker_pool(&counting(), 1);
        let plugin = WasmReranker::new(pool.clone());
        for (open, expected) in [(100, 2.0), (101, 1.0)] {
            calls(&plugin);
            let mut lease = pool.lease().unwrap();
            let state = Guest::state(lease.instance.as_mut().unwrap());
            for _ in 0..open {
                state.table.push("left open").unwrap();
            }
            drop(lease);
            assert_eq!(calls(&plugin), expected, "{open}");
            plugin.rerank("q", &["a"]).unwrap();
        }
    }

    #[test]
    fn a_full_pool_waits_and_then_says_so() {
        let pool = reranker_pool(&reranker("0.5"), 1);
        let lease = pool.lease().unwrap();
        let error = pool.lease().err().unwrap();
        assert_eq!(error.kind.code(), "limit_instances");
        assert!(error.retryable);
        pool.slots.lock().waiting = WAITING_MAX;
        assert_eq!(pool.lease().err().unwrap().kind.code(), "limit_calls");
        pool.slots.lock().waiting = 0;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.lease().map(drop));
            drop(lease);
            waiting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_guest_that_can_not_start_gives_its_place_back() {
        let module =
            reranker("0.5").replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 9999)");
        let pool = reranker_pool(&module, 1);
        for _ in 0..3 {
            assert_eq!(pool.lease().err().unwrap().kind.code(), "limit_memory");
        }
    }
}
