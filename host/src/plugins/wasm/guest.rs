//! A loaded component and its instances: how they are made, called and judged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use wasmtime::component::ResourceAny;
use wasmtime::{Result, Store};

use super::engine::Engine;
use super::host::HostState;
use super::judge::judge;
use super::limits::{HANDLES_MAX, Limiter, Limits};
use super::wasi::Cancelled;
use crate::plugins::bindings::v0_1_0::{self as bindings, imports::types as wit};
use crate::plugins::egress::Egress;
use crate::plugins::fault::{broken, fault, from_guest};
use crate::plugins::models::Models;
use crate::plugins::stats::Stats;
use crate::telemetry::{PluginCalls, metrics};
use crate::types::{FaultKind, PluginError, PluginId};

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
    calls: PluginCalls,
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
        let calls = metrics().calls_of(&common.id.name);
        Self { world, common, name, config: config.into(), calls }
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
        let state = HostState::new(name, config, models.clone(), egress.clone(), limiter, stats.clone());
        let mut store = Store::new(engine.wasm(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.host_bytes());
        store.set_max_component_handles(HANDLES_MAX);
        store.epoch_deadline_callback(|mut context| context.data_mut().tick());
        store.data_mut().begin_call(Instant::now() + limits.deadline, Duration::ZERO);
        store.set_epoch_deadline(1);
        match self.world.instantiate(&mut store) {
            Ok(exports) => Ok(Instance { store, exports, invocations: 0 }),
            Err(error) => Err(self.judge(&error, limits.deadline)),
        }
    }

    /// One call with a deadline.
    pub fn call<R>(
        &self,
        instance: &mut Instance<W>,
        budget: Duration,
        work: impl FnOnce(&mut Store<HostState>, &W::Exports) -> Result<std::result::Result<R, wit::Error>>,
    ) -> std::result::Result<R, Failure> {
        let _span = tracing::debug_span!("plugin", plugin = &*self.name).entered();
        instance.invocations += 1;
        let began = Instant::now();
        instance.store.data_mut().begin_call(began + budget, spare(budget));
        instance.store.set_epoch_deadline(1);
        let runtime = self.runtime();
        let _entered = runtime.as_ref().map(Handle::enter);
        let outcome = work(&mut instance.store, &instance.exports);
        let took = began.elapsed();
        let result = match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure::Refused(from_guest(&self.name, error))),
            Err(error) => Err(Failure::Trapped(self.judge(&error, budget))),
        };
        self.common.stats.called(took);
        let code = result.as_ref().err().map(|failure| failure.error().kind.counted_as());
        self.calls.count(took, code);
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

    /// A failure that the host brought about, counted as such.
    pub fn breached(&self, error: PluginError) -> PluginError {
        let code = error.kind.counted_as();
        self.common.stats.breached(code);
        metrics().plugin_breach(&self.name, code);
        error
    }

    /// The guest broke the contract of its role.
    pub fn broken(&self, what: impl std::fmt::Display) -> PluginError {
        self.breached(broken(&self.name, what))
    }

    fn judge(&self, error: &wasmtime::Error, budget: Duration) -> PluginError {
        let name = &*self.name;
        if error.is::<Cancelled>() {
            return fault(name, FaultKind::Other("cancelled".into()), "the call was cancelled");
        }
        self.common.stats.trapped();
        tracing::warn!(target: "plugin", plugin = name, cause = %error.root_cause(), "call trapped");
        tracing::debug!(target: "plugin", plugin = name, "{error:?}");
        self.breached(judge(name, &self.common.limits, budget, error))
    }
}

/// Time that a guest has left to say so when a server keeps it waiting for all of its call.
fn spare(budget: Duration) -> Duration {
    (budget / 10).min(Duration::from_millis(100))
}
