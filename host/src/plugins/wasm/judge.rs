//! From the way a call ended in the engine to what the caller is told. Pure.

use std::time::Duration;

use wasmtime::component::ResourceTableError;
use wasmtime::{Error, Trap};

use super::limits::{Abandoned, HANDLES_MAX, Limits, MemoryExhausted};
use super::wasi::Exit;
use crate::plugins::fault::fault;
use crate::types::{FaultKind, Limit, PluginError};

/// A trap by its cause.
pub fn judge(plugin: &str, limits: &Limits, budget: Duration, error: &Error) -> PluginError {
    let grant = |key: &str| format!("raise plugins.grants.{plugin}.{key} if the input deserves it");
    let Limits { memory_max, output_max, .. } = limits;
    let kind = kind(error);
    let message = match &kind {
        FaultKind::Limit(Limit::Memory) => {
            format!("needed more than {} MiB of memory: {}", memory_max >> 20, grant("memory_max"))
        }
        FaultKind::Limit(Limit::Time) => {
            format!("did not end within {} ms: {}", budget.as_millis(), grant("deadline"))
        }
        FaultKind::Limit(Limit::Output) => {
            format!("returned more than {} MiB: {}", output_max >> 20, grant("output_max"))
        }
        FaultKind::Limit(Limit::Stack) => {
            "its calls went too deep; only this call is affected. Simplify the input, or \
                                           report this to the plugin's author"
                .into()
        }
        FaultKind::Limit(Limit::Handles) => {
            format!("had more than {HANDLES_MAX} things open at once: report this to the plugin's author")
        }
        FaultKind::Exit => format!(
            "ended itself ({}), which no plugin may: it has to return an error instead. Look into the log for what it \
             printed, and report this to its author",
            error.root_cause()
        ),
        FaultKind::Other(_) => "went on after its caller had left, and was ended".into(),
        _ => format!(
            "crashed ({}); only this call is affected. Update the plugin, or report this with the log to its author",
            error.root_cause()
        ),
    };
    fault(plugin, kind, message)
}

fn kind(error: &Error) -> FaultKind {
    if error.is::<MemoryExhausted>() {
        return FaultKind::Limit(Limit::Memory);
    }
    if error.is::<Abandoned>() {
        return FaultKind::Other("cancelled".into());
    }
    if error.is::<Exit>() {
        return FaultKind::Exit;
    }
    match error.downcast_ref() {
        Some(Trap::Interrupt) => return FaultKind::Limit(Limit::Time),
        // A Rust guest that recurses with large frames leaves its own stack in memory first, which is a plain trap.
        Some(Trap::StackOverflow) => return FaultKind::Limit(Limit::Stack),
        _ => {}
    }
    // Two of the engine's own errors have no public type; tests pin their words.
    let cause = error.root_cause().to_string();
    if cause.contains("fuel allocated for hostcalls has been exhausted") {
        return FaultKind::Limit(Limit::Output);
    }
    let full = matches!(error.downcast_ref(), Some(ResourceTableError::Full));
    if full || cause.contains("store handle limit exceeded") {
        return FaultKind::Limit(Limit::Handles);
    }
    FaultKind::Trap
}
