use super::guest::Guest;
use super::host::HostState;
use super::reading::Reading;
use crate::plugins::bindings::v0_1_0::parser::ParserPluginPre;
use crate::plugins::roles::{ParseOptions, Parser, Source};
use crate::types::{Parsed, PluginError, PluginId};

/// The pre-instantiated component of a parser.
pub type ParserWorld = ParserPluginPre<HostState>;

/// A parser in WebAssembly: a fresh instance for each document.
pub struct WasmParser {
    guest: Guest<ParserWorld>,
}

impl WasmParser {
    /// Around a loaded component.
    pub fn new(guest: Guest<ParserWorld>) -> Self {
        Self { guest }
    }
}

impl Parser for WasmParser {
    fn id(&self) -> PluginId {
        self.guest.id().clone()
    }

    fn parse(&self, source: &Source, options: &ParseOptions) -> Result<Parsed, PluginError> {
        Reading::begin(&self.guest, source, options)?.finish()
    }
}
