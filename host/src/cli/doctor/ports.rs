//! Addresses that the daemon listens on, and who reaches them.

use std::net::{SocketAddr, TcpListener};

use super::check::Check;
use crate::config::{AuthMode, Config};

/// Who reaches the API, and where else the daemon listens; `look` asks whether the other ports are free.
pub(super) fn checks(config: &Config, look: bool) -> Vec<Check> {
    let ollama = config.api.ollama_port.map(|port| SocketAddr::new(config.api.bind.ip(), port));
    let taken = ollama.filter(|_| look).map(|address| free("ollama_port", address));
    std::iter::once(listens(config, ollama)).chain(taken).collect()
}

/// Whether the daemon could listen there.
pub(super) fn free(name: &str, address: SocketAddr) -> Check {
    match TcpListener::bind(address) {
        Ok(_) => Check::ok(name, format!("{address} is free")),
        Err(error) => {
            let hint = format!("stop the program that holds it, or set api.{} to another", key(name));
            Check::fatal(name, format!("{address}: {error}"), hint)
        }
    }
}

fn key(name: &str) -> &str {
    if name == "port" { "bind" } else { name }
}

fn listens(config: &Config, ollama: Option<SocketAddr>) -> Check {
    let ip = config.api.bind.ip();
    let addresses = std::iter::once(config.api.bind).chain(ollama);
    let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
    let who = match ip {
        ip if ip.is_loopback() => "programs of this machine",
        ip if ip.is_unspecified() => "every machine that reaches this one",
        _ => "every machine that reaches that address",
    };
    let key = match config.auth.mode {
        AuthMode::Local => "without a key",
        AuthMode::Keys if config.api.open_metrics => "with a key; /health and /metrics without",
        AuthMode::Keys => "with a key; /health without",
    };
    let hosts = match config.api.allowed_hosts.as_slice() {
        [] => String::new(),
        hosts => format!("; also as {}", hosts.join(", ")),
    };
    let said = format!("{}: {who}, {key}{hosts}", addresses.join(" and "));
    if ip.is_loopback() {
        return Check::ok("listens", said);
    }
    // `local` is refused there by the config itself.
    let hint = "keys and documents cross the network unencrypted: put a proxy with TLS in front, and api.bind on 127.0.0.1";
    Check::warn("listens", said, hint)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::check::Level;
    use super::*;

    fn config(bind: &str, mode: AuthMode) -> Config {
        let mut config = Config::with_data_dir(Path::new("/d"));
        config.api.bind = bind.parse().unwrap();
        config.auth.mode = mode;
        config
    }

    #[test]
    fn it_says_who_reaches_the_daemon() {
        let told = listens(&config("127.0.0.1:8765", AuthMode::Local), None);
        assert_eq!(told, Check::ok("listens", "127.0.0.1:8765: programs of this machine, without a key"));
        let mut open = config("0.0.0.0:8765", AuthMode::Keys);
        open.api.open_metrics = true;
        open.api.allowed_hosts = vec!["rag.lan".into()];
        let told = listens(&open, Some("0.0.0.0:11435".parse().unwrap()));
        assert_eq!(told.level, Level::Warn);
        assert_eq!(
            told.detail,
            "0.0.0.0:8765 and 0.0.0.0:11435: every machine that reaches this one, with a key; /health and \
             /metrics without; also as rag.lan"
        );
        assert!(told.hint.unwrap().contains("TLS"));
    }

    #[test]
    fn a_port_that_is_taken_stops_the_daemon() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = free("port", listener.local_addr().unwrap());
        assert!(taken.level == Level::Fail && taken.stops_serve);
        assert!(taken.hint.unwrap().contains("api.bind"));
        let mut config = config("127.0.0.1:0", AuthMode::Local);
        config.api.ollama_port = Some(listener.local_addr().unwrap().port());
        assert_eq!(checks(&config, true)[1].level, Level::Fail);
        assert_eq!(checks(&config, false).len(), 1);
    }
}
