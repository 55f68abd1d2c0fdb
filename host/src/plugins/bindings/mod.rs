//! Generated bindings, one module for each released WIT version. Nothing outside `plugins` sees their types: each
//! role converts to `types` at once.

pub mod v0_1_0;
