//! Which daemon, and as whom.

use crate::client::{Caller, Client};

/// Where the daemon is if nobody says so.
const DEFAULT_URL: &str = "http://127.0.0.1:8765";

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Daemon")]
pub(super) struct Remote {
    /// Address of the daemon
    #[arg(long, env = "SMARTRAG_URL", value_name = "URL", default_value = DEFAULT_URL)]
    pub url: String,
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
    /// Whether another address than the usual one was named.
    pub fn names_address(&self) -> bool {
        !self.url.is_empty() && self.url != DEFAULT_URL
    }

    /// Whether another daemon than that of this machine, or a caller, was named.
    pub fn is_named(&self) -> bool {
        let is_given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        self.names_address() || [&self.api_key, &self.user, &self.session].into_iter().any(is_given)
    }

    pub fn client(&self) -> anyhow::Result<Client> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let caller =
            Caller { api_key: given(&self.api_key), user: given(&self.user), session: given(&self.session) };
        let url = if self.url.is_empty() { DEFAULT_URL } else { &self.url };
        Ok(Client::new(url, caller)?)
    }
}
