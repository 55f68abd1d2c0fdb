use wasmtime::component::{Component, InstancePre, Linker, TypedFunc};
use wasmtime::{Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

use super::cost::{Cost, at_once, batched, median, one_by_one};
use super::{BenchError, CALLERS, MIB};
use crate::plugins::wasm::engine;

const PEER: &str = include_str!("peer.wat");

/// What the same costs with nothing around wasmtime; also with its other allocator, to choose between them.
pub fn costs() -> Result<Vec<Cost>, BenchError> {
    let engine = Engine::new(&engine::config())?;
    let pre = prepare(&engine)?;
    let mut store = store(&engine);
    let instance = pre.instantiate(&mut store)?;
    let nothing: TypedFunc<(), ()> = instance.get_typed_func(&mut store, "nothing")?;
    let call = batched(|| nothing.call(&mut store, ()))?;
    let take: TypedFunc<(&[u8],), ()> = instance.get_typed_func(&mut store, "take")?;
    let bytes = vec![0; MIB];
    let taken = median(one_by_one(|| take.call(&mut store, (&bytes,)))?);
    let give: TypedFunc<(), (Vec<u8>,)> = instance.get_typed_func(&mut store, "give")?;
    let given = median(one_by_one(|| give.call(&mut store, ()).map(drop))?);
    let mut config = engine::config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::default()));
    let pooling = prepare(&Engine::new(&config)?)?;
    Ok(vec![
        Cost::new("wasmtime alone: typed call", call.as_nanos() as f64, "ns"),
        Cost::us("wasmtime alone: 1 MiB of bytes in", taken),
        Cost::us("wasmtime alone: 1 MiB of bytes out", given),
        Cost::us("wasmtime alone: instantiate, call, drop: p50, one caller", alone(&pre)?),
        Cost::us("wasmtime alone: instantiate, call, drop: p50, 8 callers", crowded(&pre)?),
        Cost::us("wasmtime alone, pooling allocator: p50, one caller", alone(&pooling)?),
        Cost::us("wasmtime alone, pooling allocator: p50, 8 callers", crowded(&pooling)?),
    ])
}

fn prepare(engine: &Engine) -> wasmtime::Result<InstancePre<()>> {
    Linker::new(engine).instantiate_pre(&Component::new(engine, PEER)?)
}

fn store(engine: &Engine) -> Store<()> {
    let mut store = Store::new(engine, ());
    // Nothing advances the epoch here.
    store.set_epoch_deadline(1);
    store.set_hostcall_fuel(4 * MIB);
    store
}

fn once(pre: &InstancePre<()>) -> wasmtime::Result<()> {
    let mut store = store(pre.engine());
    let instance = pre.instantiate(&mut store)?;
    instance.get_typed_func::<(), ()>(&mut store, "nothing")?.call(&mut store, ())
}

fn alone(pre: &InstancePre<()>) -> wasmtime::Result<std::time::Duration> {
    Ok(median(one_by_one(|| once(pre))?))
}

fn crowded(pre: &InstancePre<()>) -> wasmtime::Result<std::time::Duration> {
    Ok(median(at_once(CALLERS, || once(pre))?))
}
