use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Result, Store};

use super::embedder::EmbedderWorld;
use super::enricher::EnricherWorld;
use super::generator::GeneratorWorld;
use super::guest::{Common, Guest, World};
use super::host::HostState;
use super::parser::ParserWorld;
use super::reranker::RerankerWorld;
use crate::plugins::bindings::v0_1_0::imports::types as wit;
use crate::types::PluginError;

/// Plugins are described while the daemon starts, which keeps the machine busy.
const BUDGET: Duration = Duration::from_secs(5);

/// Every role can say what it is.
pub trait Describe: World {
    /// Calls the guest.
    fn describe(store: &mut Store<HostState>, exports: &Self::Exports) -> Result<wit::Descriptor>;
}

macro_rules! describe {
    ($world:ident, $interface:ident) => {
        impl Describe for $world {
            fn describe(store: &mut Store<HostState>, exports: &Self::Exports) -> Result<wit::Descriptor> {
                exports.$interface().call_describe(store)
            }
        }
    };
}

describe!(ParserWorld, smartrag_plugin_parser);
describe!(EnricherWorld, smartrag_plugin_enricher);
describe!(EmbedderWorld, smartrag_plugin_embedder);
describe!(RerankerWorld, smartrag_plugin_reranker);
describe!(GeneratorWorld, smartrag_plugin_generator);

/// Asks a fresh instance, which does not count among the plugin's calls.
pub fn describe<W: Describe>(
    world: &Arc<W>,
    common: &Common,
) -> std::result::Result<wit::Descriptor, PluginError> {
    let common = Common { stats: Arc::default(), ..common.clone() };
    let guest = Guest::new(world.clone(), common, "{}");
    let mut instance = guest.instantiate()?;
    Ok(guest.call(&mut instance, BUDGET, |store, exports| W::describe(store, exports).map(Ok))?)
}
