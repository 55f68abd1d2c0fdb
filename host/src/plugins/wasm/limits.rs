use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, UpdateDeadline};

use crate::config::GrantConfig;
use crate::plugins::manifest::LimitWishes;
use crate::plugins::stats::Stats;
use crate::types::{JsonMap, Role};

/// Beyond these only the operator can go.
const MEMORY_CEILING: u64 = 1 << 30;
const DEADLINE_CEILING: Duration = Duration::from_secs(300);
const OUTPUT_CEILING: u64 = 256 << 20;
/// Calls after which an instance is exchanged for a new one, so that what a guest leaks comes back.
const INVOCATIONS_MAX: u64 = 10_000;
/// The same for guests with a runtime of their own, which hold on to more.
const WASI_INVOCATIONS_MAX: u64 = 1_000;

const TABLE_ELEMENTS_MAX: usize = 1 << 20;
const PARTS_MAX: usize = 64;
/// Resources that an instance may have open, its own and the host's: each takes memory of the host.
pub const HANDLES_MAX: usize = 10_000;
/// How long a guest may go on once its caller has left: to let go of what it holds.
const GRACE: Duration = Duration::from_millis(100);

/// The fences of one plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance in bytes.
    pub memory_max: usize,
    /// Of one call; parsers get more for each page.
    pub deadline: Duration,
    /// Bytes that one call may return; for parsers, the whole text.
    pub output_max: usize,
    /// Calls of one instance, where instances are kept for more than one.
    pub invocations_max: u64,
}

impl Limits {
    /// The operator's word, else the manifest's up to a ceiling, else the role's.
    pub fn new(role: Role, wasi: bool, wishes: &LimitWishes, grant: Option<&GrantConfig>) -> Self {
        let deadline = match role {
            Role::Generator => Duration::from_secs(60),
            _ => Duration::from_secs(10),
        };
        let memory = wishes.memory_max.unwrap_or(512 << 20).min(MEMORY_CEILING);
        let deadline = wishes.deadline.unwrap_or(deadline).min(DEADLINE_CEILING);
        let output = wishes.output_max.unwrap_or(64 << 20).min(OUTPUT_CEILING);
        let invocations = if wasi { WASI_INVOCATIONS_MAX } else { INVOCATIONS_MAX };
        let granted = |pick: fn(&GrantConfig) -> Option<u64>| grant.and_then(pick);
        Self {
            memory_max: granted(|g| g.memory_max_bytes).unwrap_or(memory) as usize,
            deadline: granted(|g| g.deadline_ms).map_or(deadline, Duration::from_millis),
            output_max: granted(|g| g.output_max_bytes).unwrap_or(output) as usize,
            invocations_max: wishes.invocations_max.unwrap_or(invocations),
        }
    }

    /// By name, as `/plugins` shows them.
    pub fn shown(&self) -> JsonMap {
        let entries = [
            ("memory_max_bytes", self.memory_max as u64),
            ("deadline_ms", self.deadline.as_millis() as u64),
            ("output_max_bytes", self.output_max as u64),
            ("invocations_max", self.invocations_max),
        ];
        entries.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    /// What the host may allocate for one call's data: text and the records around it.
    pub fn host_bytes(&self) -> usize {
        self.output_max.saturating_mul(2).saturating_add(1 << 20)
    }
}

/// Memory growth that was refused; ends the call.
#[derive(Debug, thiserror::Error)]
#[error("the limit of linear memory was reached")]
pub struct MemoryExhausted;

/// Whoever wanted the call has left; ends it.
#[derive(Debug, thiserror::Error)]
#[error("the caller has left")]
pub struct Abandoned;

/// Keeps a call within its time; looked at with every tick of the engine's clock.
pub struct Timer {
    until: Instant,
    left_since: Option<Instant>,
}

impl Timer {
    /// A call that may go on until then.
    pub fn new(until: Instant) -> Self {
        Self { until, left_since: None }
    }

    /// When it ends at the latest.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Whether the guest may go on; `left` if its caller has left.
    pub fn look(&mut self, now: Instant, left: bool) -> wasmtime::Result<UpdateDeadline> {
        if now >= self.until {
            return Ok(UpdateDeadline::Interrupt);
        }
        if left && now.saturating_duration_since(*self.left_since.get_or_insert(now)) >= GRACE {
            return Err(Abandoned.into());
        }
        Ok(UpdateDeadline::Continue(1))
    }
}

/// Keeps an instance within its memory. A refused growth traps instead of returning -1, so that the cause is known.
pub struct Limiter {
    max: usize,
    used: usize,
    stats: Arc<Stats>,
}

impl Limiter {
    /// For one instance.
    pub fn new(max: usize, stats: Arc<Stats>) -> Self {
        Self { max, used: 0, stats }
    }

    /// Bytes at most.
    pub fn max(&self) -> usize {
        self.max
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_sub(current).saturating_add(desired);
        if used > self.max {
            return Err(MemoryExhausted.into());
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.used = used;
        self.stats.memory(used);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!(%error, "memory growth failed");
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS_MAX { Err(MemoryExhausted.into()) } else { Ok(true) }
    }

    fn instances(&self) -> usize {
        PARTS_MAX
    }

    fn tables(&self) -> usize {
        PARTS_MAX
    }

    fn memories(&self) -> usize {
        PARTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_over_manifest_over_role() {
        let none = LimitWishes::default();
        assert_eq!(Limits::new(Role::Parser, false, &none, None).memory_max, 512 << 20);
        let greedy = LimitWishes { memory_max: Some(64 << 30), ..none };
        assert_eq!(Limits::new(Role::Parser, false, &greedy, None).memory_max as u64, MEMORY_CEILING);
        let grant = GrantConfig { memory_max_bytes: Some(2 << 30), ..GrantConfig::default() };
        assert_eq!(Limits::new(Role::Parser, false, &greedy, Some(&grant)).memory_max, 2 << 30);
        let grant = GrantConfig { deadline_ms: Some(60_000), ..GrantConfig::default() };
        assert_eq!(Limits::new(Role::Parser, false, &none, Some(&grant)).deadline, Duration::from_secs(60));
    }

    #[test]
    fn instances_of_a_runtime_are_exchanged_sooner() {
        let limits = |wasi, wishes| Limits::new(Role::Enricher, wasi, &wishes, None).invocations_max;
        let none = LimitWishes::default();
        assert!(limits(true, none) < limits(false, none));
        assert_eq!(limits(true, LimitWishes { invocations_max: Some(7), ..none }), 7);
    }

    #[test]
    fn time_ends_with_the_budget_or_soon_after_the_caller_left() {
        let begun = Instant::now();
        let mut timer = Timer::new(begun + Duration::from_secs(10));
        let goes_on = |look| matches!(look, Ok(UpdateDeadline::Continue(1)));
        assert!(goes_on(timer.look(begun, false)));
        let left = begun + Duration::from_secs(1);
        assert!(goes_on(timer.look(left, true)) && goes_on(timer.look(left + GRACE / 2, true)));
        assert!(timer.look(left + GRACE, true).err().unwrap().is::<Abandoned>());
        let late = begun + Duration::from_secs(10);
        assert!(matches!(timer.look(late, false), Ok(UpdateDeadline::Interrupt)));
    }

    #[test]
    fn memory_counts_all_memories_together() {
        let mut limiter = Limiter::new(100, Arc::default());
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 50, None).unwrap_err().is::<MemoryExhausted>());
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert!(!limiter.memory_growing(100, 100, Some(80)).unwrap());
    }
}
