//! The import `http`: from the guest's types to the broker's and back.

use std::time::Duration;

use wasmtime::Result;
use wasmtime::component::Resource;

use super::host::HostState;
use crate::plugins::bindings::v0_1_0::imports::{http, types};
use crate::plugins::egress::{Error, Request, Response, whole};

/// Bytes that one read brings at most, whatever is asked for.
const READ_MAX: usize = 1 << 20;

impl http::Host for HostState {
    fn send(
        &mut self,
        request: http::Request,
    ) -> Result<std::result::Result<Resource<Response>, types::Error>> {
        let Some(egress) = &self.egress else {
            return Ok(Err(fault(Error::Denied("this plugin was not granted `http`".into()))));
        };
        match egress.send(convert(request), &self.call) {
            Ok(response) => {
                let response = self.table.push(response)?;
                self.responses.push(response.rep());
                Ok(Ok(response))
            }
            Err(error) => Ok(Err(fault(error))),
        }
    }
}

impl http::HostResponse for HostState {
    fn status(&mut self, response: Resource<Response>) -> Result<u16> {
        Ok(self.table.get(&response)?.status())
    }

    fn headers(&mut self, response: Resource<Response>) -> Result<Vec<http::Header>> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = self.table.get(&response)?.headers().iter();
        Ok(headers.map(|(name, value)| http::Header { name: name.clone(), value: text(value) }).collect())
    }

    fn read(
        &mut self,
        response: Resource<Response>,
        max: u32,
    ) -> Result<std::result::Result<Option<Vec<u8>>, types::Error>> {
        let max = (max as usize).min(READ_MAX);
        let piece = self.table.get_mut(&response)?.read(max, &self.call);
        Ok(piece.map(|bytes| bytes.map(|bytes| bytes.to_vec())).map_err(fault))
    }

    fn drop(&mut self, response: Resource<Response>) -> Result<()> {
        let rep = response.rep();
        self.responses.retain(|open| *open != rep);
        self.table.delete(response)?;
        Ok(())
    }
}

fn convert(request: http::Request) -> Request {
    let timeout = |millis: Option<u32>| millis.map(|millis| Duration::from_millis(millis.into()));
    Request {
        method: request.method,
        url: request.url,
        headers: request.headers.into_iter().map(|header| (header.name, header.value)).collect(),
        body: whole(request.body),
        first_byte_timeout: timeout(request.first_byte_timeout_ms),
        idle_timeout: timeout(request.idle_timeout_ms),
    }
}

fn fault(error: Error) -> types::Error {
    let kind = match &error {
        Error::Invalid(_) => types::ErrorKind::InvalidInput,
        Error::Denied(_) => types::ErrorKind::Denied("http".into()),
        Error::Unavailable(_) => types::ErrorKind::Unavailable,
        Error::Upstream(_) => types::ErrorKind::Upstream,
        Error::Timeout(_) => types::ErrorKind::Timeout,
        Error::Limit(name, _) => types::ErrorKind::Limit((*name).into()),
        Error::Cancelled => types::ErrorKind::Other("cancelled".into()),
    };
    let retryable = matches!(error, Error::Unavailable(_) | Error::Upstream(_) | Error::Timeout(_));
    types::Error { kind, message: error.to_string(), retryable, retry_after_ms: None }
}
