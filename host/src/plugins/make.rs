//! From an installed component to a plugin of its role.

use std::sync::Arc;

use super::fault::fault;
use super::live::Build;
use super::load::{Entry, Worlds};
use super::roles::{Embedder, EmbedderInfo};
use super::wasm::embedder::WasmEmbedder;
use super::wasm::enricher::WasmEnricher;
use super::wasm::generator::WasmGenerator;
use super::wasm::guest::{Common, Guest, World};
use super::wasm::parser::WasmParser;
use super::wasm::pool::Pool;
use super::wasm::reranker::WasmReranker;
use crate::types::{FaultKind, PluginError, Role};

/// Answers stream for as long as a reader listens: more of them run at once than other calls.
const GENERATIONS_MAX: usize = 16;

macro_rules! build {
    ($plugin:ty, $role:ident, |$common:ident, $world:ident, $config:ident| $make:expr) => {
        impl Build for $plugin {
            fn build(entry: &Entry, $config: &str) -> Result<Self, PluginError> {
                match ready(entry)? {
                    ($common, Worlds::$role($world)) => $make,
                    _ => Err(not_of_role(Role::$role, &entry.info.id.name)),
                }
            }
        }
    };
}

build!(WasmParser, Parser, |common, world, config| {
    let guest = Guest::new(world.clone(), common.clone(), config);
    guest.instantiate()?;
    Ok(WasmParser::new(guest))
});
build!(WasmEnricher, Enricher, |common, world, config| {
    Ok(WasmEnricher::new(warm(common, world, config, instances_max())?))
});
build!(WasmReranker, Reranker, |common, world, config| {
    Ok(WasmReranker::new(warm(common, world, config, instances_max())?))
});
build!(WasmGenerator, Generator, |common, world, config| {
    WasmGenerator::new(warm(common, world, config, GENERATIONS_MAX)?)
});

impl Build for WasmEmbedder {
    fn build(entry: &Entry, config: &str) -> Result<Self, PluginError> {
        match ready(entry)? {
            (common, Worlds::Embedder(world)) => {
                WasmEmbedder::new(warm(common, world, config, instances_max())?)
            }
            _ => Err(not_of_role(Role::Embedder, &entry.info.id.name)),
        }
    }

    fn hinders(&self, next: &Self) -> Option<String> {
        let vectors = |info: EmbedderInfo| (info.fingerprint, info.dimension);
        (vectors(self.info()) != vectors(next.info())).then(|| {
            "its vectors would not fit those of the documents: start the daemon on a new data directory to change the \
             embedder"
                .to_owned()
        })
    }
}

fn instances_max() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4) + 1
}

/// A pool that has made one instance.
fn warm<W: World>(
    common: &Common,
    world: &Arc<W>,
    config: &str,
    max: usize,
) -> Result<Arc<Pool<W>>, PluginError> {
    let pool = Pool::new(Guest::new(world.clone(), common.clone(), config), max);
    drop(pool.lease()?);
    Ok(pool)
}

/// What can be called, or why it can't.
pub fn ready(entry: &Entry) -> Result<&(Common, Worlds), PluginError> {
    entry.ready.as_ref().ok_or_else(|| {
        let reason = entry.problem().unwrap_or("it is not loaded");
        fault(&entry.info.id.name, FaultKind::Unavailable, format!("the plugin did not load: {reason}"))
    })
}

/// Installed, but for something else.
pub fn not_of_role(role: Role, name: &str) -> PluginError {
    let message = format!("the plugin is installed, but its role is not {role}");
    fault(name, FaultKind::Other("unknown_plugin".into()), message)
}
