//! Commands on a data directory: the daemon does them where one runs, else this process.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;

use super::doctor::reachable;
use super::failure::Failure;
use super::wait_for;
use crate::client::{Caller, Client, Error};
use crate::config::{self, Loaded, Options};
use crate::search::Search;
use crate::store::Store;

/// Which daemon, or which directory.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The config file [default: /etc/smartrag/config.yaml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory, where no daemon runs
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the daemon [default: that of the config]
    #[arg(long, env = "SMARTRAG_URL", value_name = "URL")]
    url: Option<String>,
    /// Key, where the daemon wants one
    #[arg(long, env = "SMARTRAG_API_KEY", value_name = "KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// As this user
    #[arg(long, env = "SMARTRAG_USER", value_name = "NAME")]
    user: Option<String>,
}

/// Who does the work.
pub(super) enum Via {
    Daemon(Client),
    Directory { store: Store, search: Search },
}

impl Target {
    /// The configuration of this machine, which need not be that of the daemon.
    pub fn loaded(&self) -> anyhow::Result<Loaded> {
        let data_dir = self.data_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned());
        let overrides = data_dir.map(|dir| ("--data-dir", "data_dir", dir)).into_iter().collect();
        Ok(config::load(&Options { file: self.config.clone(), overrides })?)
    }

    /// The daemon, if it is meant and answers.
    pub fn daemon(&self) -> anyhow::Result<Option<Client>> {
        let config = self.loaded()?.config;
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let caller = Caller { api_key: given(&self.api_key), user: given(&self.user), session: None };
        let named = given(&self.url);
        let url = named.clone().unwrap_or_else(|| format!("http://{}", reachable(config.api.bind)));
        let client = Client::new(&url, caller)?;
        // Whoever names a directory means that one, not what a daemon on the usual port has.
        if self.data_dir.is_none() || named.is_some() {
            match wait_for(async { Ok(client.health().await) })? {
                Err(Error::NoDaemon(_)) if named.is_none() => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(Some(client)),
            }
        }
        Ok(None)
    }

    /// The daemon if it answers; else the directory is opened, which keeps a daemon from starting meanwhile.
    pub fn find(&self) -> anyhow::Result<Via> {
        if let Some(client) = self.daemon()? {
            return Ok(Via::Daemon(client));
        }
        let config = self.loaded()?.config;
        if !config.data_dir.join("database/smartrag.redb").exists() {
            let said = format!("there are no data in {}", config.data_dir.display());
            return Err(Failure::new(said)
                .hint("name another directory with --data-dir, or a daemon with --url")
                .into());
        }
        let store = Store::open(&config.data_dir)?;
        let search = Search::open(&config::places(&config).indexes_dir)?;
        Ok(Via::Directory { store, search })
    }

    /// Whose collection is meant.
    pub fn remote_user(&self) -> Option<&str> {
        self.user.as_deref().filter(|user| !user.is_empty())
    }
}

/// Says on a terminal what is going on.
pub(super) fn spinner(message: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
