use std::sync::Arc;

use anyhow::Context;
use futures_util::FutureExt;

use super::failure::describe;
use super::remote::Remote;
use super::{Outcome, Result, wait_for};
use crate::client::Client;
use crate::mcp::{Api, Call, serve_stdio};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    remote: Remote,
}

/// Speaks the protocol on standard input and output until the input ends.
pub(super) fn run(args: &Args) -> Result {
    let api = over(args.remote.client()?);
    wait_for(async {
        serve_stdio(api).await.context("the other side does not speak MCP")?;
        Ok(Outcome::Done)
    })
}

/// Calls the API of a daemon; one that is not there is told by each call, as it may come later.
fn over(client: Client) -> Api {
    Arc::new(move |call: Call| {
        let client = client.clone();
        async move {
            let answer = client.call(call.method, &call.path, call.body).await;
            answer.map_err(|error| describe(&error.into()))
        }
        .boxed()
    })
}
