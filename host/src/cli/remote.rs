//! Which daemon, and as whom.

use super::doctor::reachable;
use crate::client::{Caller, Client};
use crate::config::{self, Options};

/// Where the daemon is if neither the caller nor a config says so.
const DEFAULT_URL: &str = "http://127.0.0.1:8765";

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Daemon")]
pub(super) struct Remote {
    /// Address of the daemon [default: that of the config, else http://127.0.0.1:8765]
    #[arg(long, env = "SMARTRAG_URL", value_name = "URL")]
    url: Option<String>,
    /// Key, where the daemon wants one
    #[arg(long, env = "SMARTRAG_API_KEY", value_name = "KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// Act as this user, where the daemon wants no key
    #[arg(long, env = "SMARTRAG_USER", value_name = "NAME")]
    pub user: Option<String>,
    /// Act within this session
    #[arg(long, env = "SMARTRAG_SESSION", value_name = "ID")]
    pub session: Option<String>,
}

impl Remote {
    /// As the same caller at another address.
    pub fn at(self, url: &str) -> Self {
        Self { url: Some(url.to_owned()), ..self }
    }

    /// Whether another address than the usual one was named.
    pub fn names_address(&self) -> bool {
        given(&self.url).is_some_and(|url| url != DEFAULT_URL)
    }

    /// Whether another daemon than that of this machine, or a caller, was named.
    pub fn is_named(&self) -> bool {
        let of_caller = [&self.api_key, &self.user, &self.session];
        self.names_address() || of_caller.into_iter().any(|text| given(text).is_some())
    }

    pub fn client(&self) -> anyhow::Result<Client> {
        let caller =
            Caller { api_key: given(&self.api_key), user: given(&self.user), session: given(&self.session) };
        Ok(Client::new(&given(&self.url).unwrap_or_else(configured), caller)?)
    }
}

/// An empty variable says nothing.
pub(super) fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

/// By the config of this machine; whoever may not read it, or has a mistake in it, asks at the usual address.
fn configured() -> String {
    match config::load(&Options::default()) {
        Ok(loaded) => format!("http://{}", reachable(loaded.config.api.bind)),
        Err(_) => DEFAULT_URL.to_owned(),
    }
}
