//! WASI 0.2 for guests of languages whose runtimes can't do without: an empty machine. It has no files, no environment,
//! no arguments, no sockets and no input; what is printed goes to the log; clock and randomness are made up and the same
//! in every instance. `wasi:http` is there for those who were granted `http`, over the broker of `egress`.
//!
//! Invariant: nothing here tells a guest about the host, and nothing waits longer than the guest's call may take.

mod clock;
mod http;
mod output;
mod random;
mod upload;
mod wait;

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::{clocks, random as entropy, sync::io};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::host::HostState;
use crate::plugins::egress::Egress;
use clock::Clock;
use http::Exchanges;
use output::Printed;
pub use wait::Cancelled;
pub use wasmtime_wasi::I32Exit as Exit;

/// One instance's machine; made when the guest first asks it for something.
pub struct Machine {
    ctx: WasiCtx,
    clock: Arc<Clock>,
    random: blake3::OutputReader,
    stdout: Printed,
    stderr: Printed,
    exchanges: Exchanges,
}

impl Machine {
    fn new(egress: Option<Arc<Egress>>) -> Self {
        let (stdout, stderr) = (Printed::default(), Printed::default());
        let mut builder = WasiCtx::builder();
        // Input, files, environment and arguments are none unless given; that nothing is sent has to be said.
        builder.stdout(stdout.clone()).stderr(stderr.clone());
        builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        Self {
            ctx: builder.build(),
            clock: Arc::default(),
            random: random::reader(),
            stdout,
            stderr,
            exchanges: Exchanges::new(egress),
        }
    }

    /// Ends all exchanges of the guest, without asking it.
    pub fn hang_up(&self) {
        self.exchanges.hang_up();
    }
}

/// Adds WASI. What would be ambient, or wait without an end, is the host's own and takes the place of wasmtime's.
pub fn link(linker: &mut Linker<HostState>) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    clocks::wall_clock::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    clocks::monotonic_clock::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    entropy::random::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    entropy::insecure::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    entropy::insecure_seed::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    io::poll::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    io::streams::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    // Whoever was not granted it is refused before this could matter, see `imports`.
    wasmtime_wasi_http::p2::add_only_http_to_linker_sync(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl HostState {
    fn parts(&mut self) -> (&mut Machine, &mut ResourceTable) {
        let egress = &self.egress;
        (self.wasi.get_or_insert_with(|| Box::new(Machine::new(egress.clone()))), &mut self.table)
    }

    fn machine(&mut self) -> &mut Machine {
        self.parts().0
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (machine, table) = self.parts();
        WasiCtxView { ctx: &mut machine.ctx, table }
    }
}
