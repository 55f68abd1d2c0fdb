//! What calls into components cost, beside the same with nothing but wasmtime.

mod cancel;
mod cost;
mod peer;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use cost::Cost;
use cost::{at_once, batched, median, one_by_one};

use super::build::from_text;
use super::load::{COMPONENT_FILE, MANIFEST_FILE, Worlds};
use super::make::ready;
use super::registry::Registry;
use super::wasm::guest::{Guest, Instance};
use super::wasm::reranker::RerankerWorld;
use super::{Error, Places};
use crate::config::PluginsConfig;
use crate::types::{JsonMap, PluginError, Role};

const GUEST: &str = include_str!("guest.wat");
const MANIFEST: &str = "name = \"bench\"\nversion = \"0.1.0\"\nrole = \"reranker\"\nwit = \"0.1.0\"\n\
                        [limits]\ndeadline = \"100ms\"\nmemory_max = \"16MiB\"\n";
const DEADLINE: Duration = Duration::from_millis(100);
const MIB: usize = 1 << 20;
/// Callers at once, where that matters.
pub const CALLERS: usize = 8;
const LOOPS: usize = 20;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BenchError {
    #[error(transparent)]
    Host(#[from] Error),
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error("the benchmark's own component: {0}")]
    Component(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Exchange(String),
}

impl From<wasmtime::Error> for BenchError {
    fn from(error: wasmtime::Error) -> Self {
        BenchError::Component(format!("{error:#}"))
    }
}

/// Measures; `scratch` is an empty directory. Takes about ten seconds, and blocks.
///
/// # Errors
/// The host does not start, or its own component does not do what it is made for.
pub fn costs(scratch: &Path) -> Result<Vec<Cost>, BenchError> {
    let registry = install(scratch)?;
    let state = registry.state.load_full();
    let entry = state.entries.get("bench").ok_or_else(|| BenchError::Component("it is not there".into()))?;
    let (common, Worlds::Reranker(world)) = ready(entry)? else {
        return Err(BenchError::Component("it is no reranker".into()));
    };
    let guest = Guest::new(world.clone(), common.clone(), "{}");
    let mut costs = peer::costs()?;
    costs.extend(calls(&registry, &guest)?);
    costs.extend(instances(&guest)?);
    costs.extend(transfers(&guest)?);
    costs.push(loops(&registry)?);
    costs.push(cancel::cost()?);
    Ok(costs)
}

fn install(scratch: &Path) -> Result<Arc<Registry>, BenchError> {
    let dir = scratch.join("bench");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join(MANIFEST_FILE), MANIFEST)?;
    let component = from_text(Role::Reranker, GUEST).map_err(BenchError::Component)?;
    std::fs::write(dir.join(COMPONENT_FILE), component)?;
    let cache_dir = scratch.join("cache");
    let places = Places { plugin_dirs: Vec::new(), model_dirs: Vec::new(), cache_dir };
    Ok(Registry::load_one(&dir, &places, &PluginsConfig::default())?)
}

type Bench = Guest<RerankerWorld>;

fn rerank(
    guest: &Bench,
    instance: &mut Instance<RerankerWorld>,
    query: &str,
    passages: &[String],
) -> Result<Vec<f32>, PluginError> {
    Ok(guest.call(instance, DEADLINE, |store, exports| {
        exports.smartrag_plugin_reranker().call_rerank(store, query, passages)
    })?)
}

fn calls(registry: &Registry, guest: &Bench) -> Result<Vec<Cost>, BenchError> {
    let mut instance = guest.instantiate()?;
    let fenced = batched(|| rerank(guest, &mut instance, "", &[]).map(drop))?;
    let reranker = registry.reranker("bench", &JsonMap::new())?;
    let pooled = batched(|| reranker.rerank("", &[]).map(drop))?;
    Ok(vec![
        Cost::new("typed call with deadline and counters", fenced.as_nanos() as f64, "ns").goal("≤ 250"),
        Cost::new("the same from the pool, result checked", pooled.as_nanos() as f64, "ns"),
    ])
}

fn instances(guest: &Bench) -> Result<Vec<Cost>, BenchError> {
    let once = || -> Result<(), PluginError> {
        let mut instance = guest.instantiate()?;
        rerank(guest, &mut instance, "", &[]).map(drop)
    };
    let alone = median(one_by_one(once)?);
    let crowded = median(at_once(CALLERS, once)?);
    Ok(vec![
        Cost::us("instantiate, call, drop: p50, one caller", alone).goal("≤ 40"),
        Cost::us("instantiate, call, drop: p50, 8 callers", crowded).goal("≤ 40"),
    ])
}

fn transfers(guest: &Bench) -> Result<Vec<Cost>, BenchError> {
    let mut instance = guest.instantiate()?;
    let text = " ".repeat(MIB);
    let taken = median(one_by_one(|| rerank(guest, &mut instance, &text, &[]).map(drop))?);
    let two = [String::new(), String::new()];
    let given = median(one_by_one(|| rerank(guest, &mut instance, "", &two).map(drop))?);
    Ok(vec![
        Cost::us("1 MiB of text into a plugin", taken).goal("≤ 100"),
        Cost::us("1 MiB of numbers out of a plugin", given).goal("≤ 100"),
    ])
}

/// How much longer than its deadline an endless loop lives, at worst.
fn loops(registry: &Registry) -> Result<Cost, BenchError> {
    let reranker = registry.reranker("bench", &JsonMap::new())?;
    let mut worst = Duration::ZERO;
    for _ in 0..LOOPS {
        let begun = Instant::now();
        if reranker.rerank("", &[""]).is_ok() {
            return Err(BenchError::Component("an endless loop ended".into()));
        }
        worst = worst.max(begun.elapsed().saturating_sub(DEADLINE));
    }
    Ok(Cost::ms("an endless loop lives past its deadline, worst of 20", worst).goal("≤ 20"))
}
