//! The daemon, its port and its store.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::check::Check;
use super::ports::free;
use crate::cli::failure::remedy;
use crate::cli::upkeep::owners;
use crate::cli::wait_for;
use crate::client::{Caller, Client, Error};
use crate::config::Config;
use crate::store::{self, Store};
use crate::wire::{Component, Health, HealthAnswer, HealthStatus, PluginRecord};

/// A program that says nothing for so long is no daemon of ours.
const WAIT: Duration = Duration::from_secs(10);

/// Who listens on our port.
pub(super) enum Daemon {
    /// A daemon that tells all.
    Running { health: Box<Health>, plugins: Vec<PluginRecord> },
    /// A daemon that tells strangers little.
    Closed,
    /// Nobody, or another program.
    None,
}

/// Asks whoever listens on the configured port.
pub(super) fn look(config: &Config, api_key: Option<String>) -> anyhow::Result<(Daemon, Check)> {
    let bind = config.api.bind;
    let caller = Caller { api_key: api_key.filter(|key| !key.is_empty()), ..Caller::default() };
    let client = Client::new(&format!("http://{}", reachable(bind)), caller.clone())?;
    let hint = "stop the program that holds the port, or set api.bind to another";
    let silent = || {
        let said = format!("who holds {bind} does not answer within {} s", WAIT.as_secs());
        (Daemon::None, Check::fatal("port", said, hint))
    };
    let Some(answer) = patiently(ask(&client))? else { return Ok(silent()) };
    let answers = format!("the daemon answers at {}", client.url());
    Ok(match answer {
        Ok(Daemon::Closed) => (by_socket(config, caller)?, Check::ok("port", answers)),
        Ok(daemon) => (daemon, Check::ok("port", answers)),
        Err(Error::NoDaemon(_)) => (Daemon::None, free("port", bind)),
        Err(Error::Problem { .. }) => {
            let said = format!("a daemon answers at {}, but not to us", client.url());
            (Daemon::Closed, Check::warn("port", said, "give a key with --api-key to see more"))
        }
        Err(error) => (Daemon::None, Check::fatal("port", error.to_string(), hint)),
    })
}

/// Whoever may open the socket is told all, without a key.
fn by_socket(config: &Config, caller: Caller) -> anyhow::Result<Daemon> {
    let Some(client) = owners(config, caller)? else { return Ok(Daemon::Closed) };
    Ok(patiently(ask(&client))?.and_then(Result::ok).unwrap_or(Daemon::Closed))
}

/// `None` where it takes too long.
fn patiently<T>(asked: impl Future<Output = T>) -> anyhow::Result<Option<T>> {
    wait_for(async { Ok(tokio::time::timeout(WAIT, asked).await.ok()) })
}

async fn ask(client: &Client) -> Result<Daemon, Error> {
    match client.health().await? {
        HealthAnswer::Whole(health) => Ok(Daemon::Running { health, plugins: client.plugins().await? }),
        HealthAnswer::Bare(_) => Ok(Daemon::Closed),
    }
}

/// Where a client on this machine reaches what was bound here.
pub(in crate::cli) fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

/// The store, where nobody else has it, and what there is to say of it.
pub(super) struct Opened {
    pub store: Option<Store>,
    pub check: Check,
}

/// The store by the daemon's own word; without a daemon by opening it.
pub(super) fn store(config: &Config, daemon: &Daemon, deep: bool) -> Opened {
    let told = |check| Opened { store: None, check };
    match daemon {
        Daemon::Running { health, .. } => told(component("store", &health.components.database)),
        Daemon::Closed => told(Check::ok("store", "in use by the running daemon")),
        Daemon::None => open(config, deep),
    }
}

pub(super) fn component(name: &str, component: &Component) -> Check {
    let detail = component.detail.clone();
    match component.status {
        HealthStatus::Healthy => Check::ok(name, detail),
        HealthStatus::Degraded => Check::warn(name, detail, "see the daemon's log"),
        HealthStatus::Unhealthy => Check::fail(name, detail, "see the daemon's log"),
    }
}

/// Never creates one.
fn open(config: &Config, deep: bool) -> Opened {
    let file = config.data_dir.join("database/smartrag.redb");
    let is_there = file.try_exists();
    if let Ok(false) = is_there {
        return Opened { store: None, check: Check::ok("store", "none yet: the daemon will create it") };
    }
    let opened = is_there.map_err(|source| store::Error::Io { path: file, source });
    let opened = opened.and_then(|_| Store::open(&config.data_dir)).and_then(|store| {
        if deep {
            store.verify()?;
        }
        Ok((store.totals()?, store))
    });
    match opened {
        Ok((totals, store)) => {
            let how = if deep { ", every checksum is right" } else { "" };
            let said = format!("{} documents, {} chunks{how}", totals.documents, totals.chunks);
            Opened { store: Some(store), check: Check::ok("store", said) }
        }
        Err(error) => {
            let check = Check::fatal("store", error.to_string(), hint(&error));
            Opened { store: None, check }
        }
    }
}

/// Search and answers go on without them, backups do not.
pub(super) fn originals(store: &Store) -> Option<Check> {
    let problem = match store.missing_originals() {
        Ok(missing) if missing.is_empty() => return None,
        Ok(missing) => store::Error::MissingOriginals(missing),
        Err(error) => error,
    };
    let hint = "no backup can be made before this is solved";
    Some(Check::fail("originals", problem.to_string(), remedy(&problem).unwrap_or(hint)))
}

fn hint(error: &store::Error) -> &'static str {
    match error {
        store::Error::Locked(_) => {
            "stop that process, or wait for it to end: the daemon can't start meanwhile"
        }
        error => remedy(error).unwrap_or("the daemon can't start before this is solved"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::path::Path;

    use super::super::check::Level;
    use super::*;

    #[test]
    fn a_port_that_another_program_holds_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::with_data_dir(Path::new("/nowhere"));
        config.api.bind = listener.local_addr().unwrap();
        let stranger = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let _ = socket.read(&mut [0; 1024]);
            socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello").unwrap();
        });
        let (_, check) = look(&config, None).unwrap();
        stranger.join().unwrap();
        assert_eq!(check.level, Level::Fail);
        assert!(check.detail.contains("404") && check.detail.contains("hello"), "{}", check.detail);
    }

    #[test]
    fn a_free_port_is_fine() {
        let bind = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut config = Config::with_data_dir(Path::new("/nowhere"));
        config.api.bind = bind;
        let (daemon, check) = look(&config, None).unwrap();
        assert!(matches!(daemon, Daemon::None));
        assert_eq!(check.level, Level::Ok, "{}", check.detail);
        assert_eq!(store(&config, &daemon, false).check.detail, "none yet: the daemon will create it");
    }
}
