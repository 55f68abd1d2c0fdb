//! What a guest prints, line by line into the plugin's log, within its bounds.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::plugins::bindings::v0_1_0::imports::log::Level;
use crate::plugins::wasm::host::HostState;

/// Bytes that are taken at once; a line without an end is cut at this length.
const PIECE_MAX: usize = 4 << 10;

/// Printed, and not in the log yet.
#[derive(Clone, Default)]
pub struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    /// The next line, if it is whole.
    fn line(&self) -> Option<String> {
        let mut bytes = self.0.lock();
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let len = end.map(|end| end + 1).or((bytes.len() >= PIECE_MAX).then_some(PIECE_MAX))?;
        let line: Vec<u8> = bytes.drain(..len).collect();
        Some(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
    }
}

impl HostState {
    /// Puts whole lines that were printed into the log.
    pub(super) fn log_printed(&mut self) {
        let machine = self.machine();
        for (printed, level) in [(machine.stdout.clone(), Level::Info), (machine.stderr.clone(), Level::Warn)]
        {
            while let Some(line) = printed.line() {
                self.log(level, &line);
            }
        }
    }
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// Guests of WASI 0.3 would print here; there are none.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

#[async_trait]
impl Pollable for Printed {
    async fn ready(&mut self) {}
}

impl OutputStream for Printed {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.lock().extend_from_slice(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_or_as_long_as_may_be() {
        let mut printed = Printed::default();
        printed.write(Bytes::from_static(b"one\r\ntwo\nthr")).unwrap();
        assert_eq!(printed.line().unwrap(), "one");
        assert_eq!(printed.line().unwrap(), "two");
        assert_eq!(printed.line(), None);
        printed.write(Bytes::from(vec![b'e'; PIECE_MAX])).unwrap();
        assert_eq!(printed.line().unwrap().len(), PIECE_MAX);
        printed.write(Bytes::from_static(b"\xff\n")).unwrap();
        assert_eq!(printed.line().unwrap(), "eee\u{fffd}");
    }
}
