//! `smartrag health`: what a running daemon says of itself, for monitors and for people.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::config::Place;
use super::doctor::reachable;
use super::failure::Failure;
use super::output::{self, Table};
use super::remote::given;
use super::upkeep::named_url;
use super::{Outcome, Result};
use crate::client::{self, Caller, Client};
use crate::config::{self, Options};
use crate::wire::{Health, HealthAnswer, HealthStatus};

/// A daemon that says nothing for so long is not well.
const WAIT: Duration = Duration::from_secs(4);
/// The code of a daemon that is there and can't answer questions.
const NOT_READY: &str = "not_ready";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only whether it answers questions, on one line
    #[arg(long)]
    ready: bool,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    /// Address of the daemon [default: that of the config] [env: SMARTRAG_URL]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Key of an administrator, for the parts, where the daemon wants one
    #[arg(long, env = "SMARTRAG_API_KEY", value_name = "KEY", hide_env_values = true)]
    api_key: Option<String>,
}

/// What `--json` prints.
#[derive(Debug, PartialEq, Serialize)]
struct Told {
    url: String,
    /// `healthy`, `degraded`, `unhealthy`; `unreachable` where nobody says so.
    status: String,
    /// Whether questions are answered.
    ready: bool,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Parts and figures, which administrators are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Box<Health>>,
}

pub(super) async fn run(args: Args) -> Result {
    let client = client(&args)?;
    let asked = tokio::time::timeout(WAIT, ask(&client, !args.ready)).await;
    let asked = asked.map_err(|_| {
        let said = format!("{} does not answer within {} s", client.url(), WAIT.as_secs());
        anyhow::Error::from(Failure::new(said).hint("see the daemon's log"))
    });
    match asked.and_then(|told| Ok(told?)) {
        Ok(told) => {
            if args.json {
                output::json(&told)?
            } else {
                output::print(&render(&told))?
            }
            Ok(Outcome::of(told.ready))
        }
        Err(error) if args.json => {
            let (url, status) = (client.url().to_owned(), "unreachable".to_owned());
            let detail = Some(error.to_string());
            output::json(&Told { url, status, ready: false, detail, health: None })?;
            Ok(Outcome::Failed)
        }
        Err(error) => Err(error),
    }
}

fn client(args: &Args) -> anyhow::Result<Client> {
    let caller = Caller { api_key: given(&args.api_key), ..Caller::default() };
    let url = match named_url(args.url.as_ref(), args.place.config.is_some()) {
        Some(url) => url,
        None => format!("http://{}", reachable(bind(&args.place)?)),
    };
    Ok(Client::new(&url, caller)?)
}

/// A daemon goes on with the settings that it has while its file holds a mistake: that is no reason to call it sick. Then
/// the environment says where it is, or it is in the usual place.
fn bind(place: &Place) -> anyhow::Result<std::net::SocketAddr> {
    let loaded = place.load().or_else(|error| {
        let without_file = Options { file: Some(PathBuf::from("/dev/null")), overrides: Vec::new() };
        config::load(&without_file).map_err(|_| error)
    });
    Ok(loaded?.config.api.bind)
}

async fn ask(client: &Client, whole: bool) -> client::Result<Told> {
    let told = |status: &str, ready, detail, health| Told {
        url: client.url().to_owned(),
        status: status.to_owned(),
        ready,
        detail,
        health,
    };
    match client.ready().await {
        Ok(probe) => {
            let answer = if whole { Some(client.health().await?) } else { None };
            Ok(told(&probe.status, true, None, answer.and_then(parts)))
        }
        Err(client::Error::Problem { problem, .. }) if problem.code == NOT_READY => {
            // The reasons are known; who asked without a key learns no more.
            let answer = if whole { client.health().await.ok() } else { None };
            Ok(told("unhealthy", false, Some(problem.detail), answer.and_then(parts)))
        }
        Err(error) => Err(error),
    }
}

fn parts(answer: HealthAnswer) -> Option<Box<Health>> {
    match answer {
        HealthAnswer::Whole(health) => Some(health),
        HealthAnswer::Bare(_) => None,
    }
}

fn render(told: &Told) -> String {
    let detail = told.detail.as_ref().map(|detail| format!(": {}", output::one_line(detail)));
    let mut text = format!("{} at {}{}\n", told.status, told.url, detail.unwrap_or_default());
    let Some(health) = &told.health else { return text };
    let parts = &health.components;
    let named = [
        ("database", &parts.database),
        ("keyword index", &parts.keyword_index),
        ("vector index", &parts.vector_index),
        ("plugins", &parts.plugins),
        ("models", &parts.models),
        ("disk space", &parts.disk_space),
        ("memory", &parts.memory),
    ];
    let mut table = Table::new(["PART", "STATUS", "DETAIL"]);
    for (name, part) in named {
        table.row([name.into(), shown(part.status).into(), part.detail.clone()]);
    }
    text.push_str(&format!("\n{}", table.render()));
    text
}

fn shown(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Healthy => "healthy",
        HealthStatus::Degraded => "degraded",
        HealthStatus::Unhealthy => "unhealthy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_little_says_little() {
        let mut told = Told {
            url: "http://127.0.0.1:8765".into(),
            status: "healthy".into(),
            ready: true,
            detail: None,
            health: None,
        };
        assert_eq!(render(&told), "healthy at http://127.0.0.1:8765\n");
        (told.status, told.detail) = ("unhealthy".into(), Some("no room\nleft".into()));
        assert_eq!(render(&told), "unhealthy at http://127.0.0.1:8765: no room left\n");
    }

    #[test]
    fn a_mistake_in_the_file_does_not_hide_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, "api: {bind: \"127.0.0.1:9001\"}\n").unwrap();
        let place = Place { config: Some(file.clone()) };
        assert_eq!(bind(&place).unwrap().port(), 9001);
        std::fs::write(&file, "bakends: 1\n").unwrap();
        assert!(bind(&place).unwrap().ip().is_loopback());
    }
}
