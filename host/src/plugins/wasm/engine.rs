use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wasmtime::Config;

/// Length of an epoch: how exactly deadlines are kept.
pub const TICK: Duration = Duration::from_millis(10);
const SWEEP_EVERY_TICKS: u64 = 100;
/// Guests recurse into documents; callers' threads have at least 2 MiB.
const STACK_MAX: usize = 1 << 20;

/// Something that keeps idle instances.
pub trait Idle: Send + Sync {
    /// Lets go of instances that have been idle for long.
    fn sweep(&self, now: Instant);
}

/// The WebAssembly engine and its clock. The clock's thread ends with the last handle.
pub struct Engine {
    wasm: wasmtime::Engine,
    pools: Mutex<Vec<Weak<dyn Idle>>>,
}

impl Engine {
    /// Starts engine and clock.
    pub fn start() -> wasmtime::Result<Arc<Self>> {
        let wasm = bare()?;
        let engine = Arc::new(Self { wasm, pools: Mutex::default() });
        let clock = Arc::downgrade(&engine);
        std::thread::Builder::new().name("plugin-clock".into()).spawn(move || tick(&clock))?;
        Ok(engine)
    }

    /// The engine itself.
    pub fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    /// Has a pool swept now and then, for as long as it lives.
    pub fn keep(&self, pool: Weak<dyn Idle>) {
        self.pools.lock().push(pool);
    }

    fn sweep(&self) {
        let pools = {
            let mut pools = self.pools.lock();
            pools.retain(|pool| pool.strong_count() > 0);
            pools.clone()
        };
        pools.iter().filter_map(Weak::upgrade).for_each(|pool| pool.sweep(Instant::now()));
    }
}

/// The engine without a clock: compiles what every engine of this program can run.
pub fn bare() -> wasmtime::Result<wasmtime::Engine> {
    wasmtime::Engine::new(&config())
}

/// How components are compiled and run.
pub fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // Calls are synchronous; without the bookkeeping for concurrent ones a trivial call costs a third.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK_MAX);
    config
}

fn tick(engine: &Weak<Engine>) {
    for count in 1_u64.. {
        std::thread::sleep(TICK);
        let Some(engine) = engine.upgrade() else { return };
        engine.wasm.increment_epoch();
        if count.is_multiple_of(SWEEP_EVERY_TICKS) {
            engine.sweep();
        }
    }
}
