//! What plugins send to other machines: the one way out, whatever interface a guest asks through.
//!
//! Invariant: nothing is sent but to an origin that was granted, over a connection to an address that was vetted.
//! Nothing here knows of wasmtime.

mod broker;
mod error;
mod network;
mod request;
mod response;
mod scrub;
mod secrets;
mod traffic;
mod vet;

pub use broker::{Begun, Call, Egress, Limits};
pub use error::Error;
pub use network::Network;
pub use request::{Request, is_forbidden, whole};
pub use response::{Answer, Pieces, Response};
pub use secrets::Secrets;
pub use traffic::Traffic;
pub use vet::not_public;

#[cfg(test)]
mod tests;
