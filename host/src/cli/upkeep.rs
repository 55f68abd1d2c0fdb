//! Commands on a data directory: the daemon does them where one runs, else this process.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;

use super::config::Place;
use super::doctor::reachable;
use super::failure::{Failure, exists};
use super::remote::given;
use super::wait_for;
use crate::client::{Caller, Client, Error};
use crate::config::{self, Config, Loaded, Options};
use crate::search::Search;
use crate::store::Store;

/// Which directory of this machine.
#[derive(Debug, clap::Args)]
pub(super) struct Local {
    /// The config file [default: /etc/smartrag/config.yaml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory, where no daemon runs [default: that of the config]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Local {
    /// The configuration of this machine, which need not be that of the daemon.
    pub fn loaded(&self) -> anyhow::Result<Loaded> {
        let data_dir = self.data_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned());
        let overrides = data_dir.map(|dir| ("--data-dir", "data_dir", dir)).into_iter().collect();
        Ok(config::load(&Options { file: self.config.clone(), overrides })?)
    }

    fn is_named(&self) -> bool {
        self.config.is_some() || self.data_dir.is_some()
    }
}

/// Which daemon, or which directory.
#[derive(Debug, clap::Args)]
pub(super) struct At {
    #[command(flatten)]
    local: Local,
    /// Address of the daemon [default: that of the config] [env: SMARTRAG_URL]
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    url: Option<String>,
    /// Key, where the daemon wants one
    #[arg(long, env = "SMARTRAG_API_KEY", value_name = "KEY", hide_env_values = true)]
    api_key: Option<String>,
}

/// The daemon of this machine.
#[derive(Debug, clap::Args)]
pub(super) struct Ours {
    #[command(flatten)]
    pub place: Place,
    /// Address of the daemon [default: that of the config] [env: SMARTRAG_URL]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Key, where the daemon wants one
    #[arg(long, env = "SMARTRAG_API_KEY", value_name = "KEY", hide_env_values = true)]
    api_key: Option<String>,
}

impl Ours {
    /// By its socket where that may be opened, so that its owner needs no key.
    pub fn client(&self) -> anyhow::Result<Client> {
        let caller = Caller { api_key: given(&self.api_key), ..Caller::default() };
        if let Some(url) = named_url(self.url.as_ref(), self.place.config.is_some()) {
            return Ok(Client::new(&url, caller)?);
        }
        let config = self.place.load()?.config;
        match owners(&config, caller.clone())? {
            Some(client) => Ok(client),
            None => Ok(Client::new(&format!("http://{}", reachable(config.api.bind)), caller)?),
        }
    }
}

/// And as whom.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    #[command(flatten)]
    at: At,
    /// As this user
    #[arg(long, env = "SMARTRAG_USER", value_name = "NAME")]
    user: Option<String>,
}

/// Who does the work.
pub(super) enum Via {
    Daemon(Client),
    Directory { store: Store, search: Search },
}

/// Who keeps users and keys.
pub(super) enum Keeper {
    Daemon(Client),
    Store(Store),
}

/// Where the work is to be done.
enum Found {
    Daemon(Client),
    Directory(Box<Config>),
}

impl Target {
    /// The configuration of this machine, which need not be that of the daemon.
    pub fn loaded(&self) -> anyhow::Result<Loaded> {
        self.at.local.loaded()
    }

    /// The daemon, if it is meant and answers.
    pub fn daemon(&self) -> anyhow::Result<Option<Client>> {
        Ok(match self.at.look(self.remote_user())? {
            Found::Daemon(client) => Some(client),
            Found::Directory(_) => None,
        })
    }

    /// The daemon if it answers; else the directory is opened, which keeps a daemon from starting meanwhile.
    pub fn find(&self) -> anyhow::Result<Via> {
        let config = match self.at.look(self.remote_user())? {
            Found::Daemon(client) => return Ok(Via::Daemon(client)),
            Found::Directory(config) => config,
        };
        check_data(&config)?;
        let store = Store::open(&config.data_dir)?;
        let search = Search::open(&config::places(&config).indexes_dir)?;
        Ok(Via::Directory { store, search })
    }

    /// Whose collection is meant.
    pub fn remote_user(&self) -> Option<&str> {
        self.user.as_deref().filter(|user| !user.is_empty())
    }
}

impl At {
    /// As [`Target::find`], for what no index is needed for.
    pub fn keeper(&self) -> anyhow::Result<Keeper> {
        let keeper = self.look(None)?;
        if let Found::Directory(config) = &keeper {
            check_data(config)?;
        }
        keeper.open()
    }

    /// The same; a directory without data gets its database, so that there can be keys before the first start.
    pub fn new_keeper(&self) -> anyhow::Result<Keeper> {
        self.look(None)?.open()
    }

    fn look(&self, user: Option<&str>) -> anyhow::Result<Found> {
        let config = self.local.loaded()?.config;
        let caller = Caller { api_key: given(&self.api_key), user: user.map(str::to_owned), session: None };
        let named = named_url(self.url.as_ref(), self.local.is_named());
        if named.is_none()
            && let Some(client) = owners(&config, caller.clone())?
        {
            return Ok(Found::Daemon(client));
        }
        let url = named.clone().unwrap_or_else(|| format!("http://{}", reachable(config.api.bind)));
        let client = Client::new(&url, caller)?;
        // Whoever names a directory means that one, not what a daemon on the usual port has.
        if self.local.data_dir.is_none() {
            match wait_for(async { Ok(client.health().await) })? {
                Err(Error::NoDaemon(_)) if named.is_none() => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(Found::Daemon(client)),
            }
        }
        check_owner(&config.data_dir)?;
        Ok(Found::Directory(Box::new(config)))
    }
}

impl Found {
    fn open(self) -> anyhow::Result<Keeper> {
        match self {
            Found::Daemon(client) => Ok(Keeper::Daemon(client)),
            Found::Directory(config) => Ok(Keeper::Store(Store::open(&config.data_dir)?)),
        }
    }
}

/// Whoever only looks creates nothing.
fn check_data(config: &Config) -> anyhow::Result<()> {
    if exists(&config.data_dir.join("database/smartrag.redb"))? {
        return Ok(());
    }
    let said = format!("there are no data in {}", config.data_dir.display());
    let hint = "name another directory with --data-dir, or a daemon with --url";
    Err(Failure::new(said).hint(hint).into())
}

/// The daemon that somebody named. clap does not read the variable: it would win over a flag that names another place.
pub(super) fn named_url(flag: Option<&String>, is_place_named: bool) -> Option<String> {
    let variable = || std::env::var("SMARTRAG_URL").ok().filter(|_| !is_place_named);
    flag.cloned().or_else(variable).filter(|url| !url.is_empty())
}

/// The daemon that has the directory, through the socket that only its own user can open.
pub(super) fn owners(config: &Config, caller: Caller) -> anyhow::Result<Option<Client>> {
    let socket = config::socket(config);
    if std::os::unix::net::UnixStream::connect(&socket).is_err() {
        return Ok(None);
    }
    Ok(Some(Client::at_socket(&socket, caller)?))
}

/// What root writes there the daemon could not read.
fn check_owner(data_dir: &Path) -> anyhow::Result<()> {
    let Ok(metadata) = std::fs::metadata(data_dir) else { return Ok(()) };
    if rustix::process::geteuid().is_root() && metadata.uid() != 0 {
        let said = format!("{} belongs to another user, and you are root", data_dir.display());
        let hint = format!("run this as its user: sudo -u '#{}' smartrag …", metadata.uid());
        return Err(Failure::new(said).hint(hint).into());
    }
    Ok(())
}

/// Says on a terminal what is going on.
pub(super) fn spinner(message: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
