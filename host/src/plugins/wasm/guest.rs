//! A loaded component and its instances: how they are made, called and judged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use wasmtime::component::ResourceAny;
use wasmtime::{Result, Store, Trap};

use super::engine::Engine;
use super::host::HostState;
use super::limits::{Limiter, Limits, MemoryExhausted, ticks};
use super::wasi::{Abandoned, Exit};
use crate::plugins::bindings::v0_1_0::{self as bindings, imports::types as wit};
use crate::plugins::egress::Egress;
use crate::plugins::fault::{fault, from_guest};
use crate::plugins::models::Models;
use crate::plugins::stats::Stats;
use crate::telemetry::metrics;
use crate::types::{FaultKind, Limit, PluginError, PluginId};

/// A pre-instantiated component of one role.
pub trait World: Send + Sync + 'static {
    /// Typed exports of an instance.
    type Exports: Send;
    /// A new instance.
    fn instantiate(&self, store: &mut Store<HostState>) -> Result<Self::Exports>;
}

macro_rules! world {
    ($module:ident, $pre:ident, $exports:ident) => {
        impl World for bindings::$module::$pre<HostState> {
            type Exports = bindings::$module::$exports;

            fn instantiate(&self, store: &mut Store<HostState>) -> Result<Self::Exports> {
                self.instantiate(store)
            }
        }
    };
}

world!(parser, ParserPluginPre, ParserPlugin);
world!(enricher, EnricherPluginPre, EnricherPlugin);
world!(embedder, EmbedderPluginPre, EmbedderPlugin);
world!(reranker, RerankerPluginPre, RerankerPlugin);
world!(generator, GeneratorPluginPre, GeneratorPlugin);

/// What all instances of a plugin share, whatever its role.
#[derive(Clone)]
pub struct Common {
    /// Which build.
    pub id: PluginId,
    /// Its fences.
    pub limits: Limits,
    /// Its model files.
    pub models: Arc<Models>,
    /// Its way to other machines, where it was granted one.
    pub egress: Option<Arc<Egress>>,
    /// Whether it uses WASI.
    pub wasi: bool,
    /// What it did.
    pub stats: Arc<Stats>,
    /// Where it runs.
    pub engine: Arc<Engine>,
}

/// A component with a configuration: makes instances.
pub struct Guest<W: World> {
    world: Arc<W>,
    common: Common,
    name: Arc<str>,
    config: Arc<str>,
}

/// One instance. After a trap it must not be used again.
pub struct Instance<W: World> {
    store: Store<HostState>,
    exports: W::Exports,
    invocations: u64,
}

/// How a call failed.
#[derive(Debug)]
pub enum Failure {
    /// The guest said no; its instance is fine.
    Refused(PluginError),
    /// The instance is lost.
    Trapped(PluginError),
}

impl Failure {
    fn error(&self) -> &PluginError {
        match self {
            Failure::Refused(error) | Failure::Trapped(error) => error,
        }
    }
}

impl From<Failure> for PluginError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) | Failure::Trapped(error) => error,
        }
    }
}

impl<W: World> Guest<W> {
    /// With a configuration, a JSON object.
    pub fn new(world: Arc<W>, common: Common, config: &str) -> Self {
        let name = common.id.name.as_str().into();
        Self { world, common, name, config: config.into() }
    }

    /// Which build.
    pub fn id(&self) -> &PluginId {
        &self.common.id
    }

    /// Its fences.
    pub fn limits(&self) -> &Limits {
        &self.common.limits
    }

    /// Where it runs.
    pub fn engine(&self) -> &Engine {
        &self.common.engine
    }

    /// A fresh instance.
    pub fn instantiate(&self) -> std::result::Result<Instance<W>, PluginError> {
        let Common { limits, models, egress, stats, engine, .. } = &self.common;
        let limiter = Limiter::new(limits.memory_max, stats.clone());
        let (name, config) = (self.name.clone(), self.config.clone());
        let state = HostState::new(name, config, models.clone(), egress.clone(), limiter);
        let mut store = Store::new(engine.wasm(), state);
        let end = Instant::now() + limits.deadline;
        store.data_mut().begin_call(end, end);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.host_bytes());
        store.set_epoch_deadline(ticks(limits.deadline));
        match self.world.instantiate(&mut store) {
            Ok(exports) => Ok(Instance { store, exports, invocations: 0 }),
            Err(error) => Err(self.judge(error, limits.deadline)),
        }
    }

    /// One call with a deadline.
    pub fn call<R>(
        &self,
        instance: &mut Instance<W>,
        budget: Duration,
        work: impl FnOnce(&mut Store<HostState>, &W::Exports) -> Result<std::result::Result<R, wit::Error>>,
    ) -> std::result::Result<R, Failure> {
        instance.invocations += 1;
        let began = Instant::now();
        let end = began + budget;
        instance.store.data_mut().begin_call(end - spare(budget), end);
        instance.store.set_epoch_deadline(ticks(budget));
        let runtime = self.runtime();
        let _entered = runtime.as_ref().map(Handle::enter);
        let outcome = work(&mut instance.store, &instance.exports);
        let took = began.elapsed();
        let result = match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure::Refused(from_guest(&self.name, error))),
            Err(error) => Err(Failure::Trapped(self.judge(error, budget))),
        };
        self.common.stats.called(took);
        let code = result.as_ref().err().map(|failure| failure.error().kind.code());
        metrics().plugin_call(&self.name, took, code);
        result
    }

    /// Where WASI's own tasks are to live, whoever calls the guest.
    fn runtime(&self) -> Option<Handle> {
        let egress = self.common.egress.as_ref().filter(|_| self.common.wasi)?;
        egress.runtime().inspect_err(|error| tracing::error!(%error, "no runtime for requests")).ok()
    }

    /// Lets the guest drop a resource; its destructor may trap.
    pub fn release(
        &self,
        instance: &mut Instance<W>,
        resource: ResourceAny,
    ) -> std::result::Result<(), Failure> {
        self.call(instance, self.limits().deadline, |store, _| resource.resource_drop(store).map(Ok))
    }

    /// Whether the instance has had as many calls as it may, or left too much open.
    pub fn is_spent(&self, instance: &Instance<W>) -> bool {
        instance.invocations >= self.limits().invocations_max || instance.store.data().leaks()
    }

    /// The instance's state, for what the next calls are about.
    pub fn state(instance: &mut Instance<W>) -> &mut HostState {
        instance.store.data_mut()
    }

    /// A trap by its cause.
    fn judge(&self, error: wasmtime::Error, budget: Duration) -> PluginError {
        let name = &*self.name;
        if error.is::<Abandoned>() {
            return fault(name, FaultKind::Other("cancelled".into()), "the call was cancelled");
        }
        self.common.stats.trapped();
        tracing::warn!(target: "plugin", plugin = name, cause = %error.root_cause(), "call trapped");
        tracing::debug!(target: "plugin", plugin = name, "{error:?}");
        let Limits { memory_max, output_max, .. } = self.common.limits;
        let grant = |key: &str| format!("raise plugins.grants.{name}.{key} if the input deserves it");
        if error.is::<MemoryExhausted>() {
            let message =
                format!("needed more than {} MiB of memory: {}", memory_max >> 20, grant("memory_max"));
            return fault(name, FaultKind::Limit(Limit::Memory), message);
        }
        if matches!(error.downcast_ref(), Some(Trap::Interrupt)) {
            let message = format!("did not end within {} ms: {}", budget.as_millis(), grant("deadline"));
            return fault(name, FaultKind::Limit(Limit::Time), message);
        }
        if let Some(Exit(status)) = error.downcast_ref() {
            let message = format!(
                "ended itself with exit status {status}, which no plugin may: it has to return an error instead. Look \
                 into the log for what it printed, and report this to its author"
            );
            return fault(name, FaultKind::Exit, message);
        }
        if is_output(&error) {
            let message = format!("returned more than {} MiB: {}", output_max >> 20, grant("output_max"));
            return fault(name, FaultKind::Limit(Limit::Output), message);
        }
        let message = format!(
            "crashed ({}); only this call is affected. Update the plugin, or report this with the log to its author",
            error.root_cause()
        );
        fault(name, FaultKind::Trap, message)
    }
}

/// Time that a guest has left to say so when a server keeps it waiting for all of its call.
fn spare(budget: Duration) -> Duration {
    (budget / 10).min(Duration::from_millis(100))
}

/// The engine's own error type for too much returned data is private; a test below pins its words.
fn is_output(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted")
}
