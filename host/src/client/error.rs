use std::path::PathBuf;
use std::time::Duration;

use crate::wire::{FieldError, Problem};

/// Why a call failed, by what the user can do about it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("no daemon at {0}")]
    NoDaemon(String),
    #[error(
        "{0:?} is not a URL of a daemon; it looks like http://127.0.0.1:8765 (https needs a proxy or an SSH tunnel)"
    )]
    BadUrl(String),
    /// The daemon refused; `code` is stable.
    #[error("{}", shown(.problem))]
    Problem { problem: Box<Problem>, retry_after: Option<Duration> },
    #[error("{url} answers like no SmartRAG daemon: {detail}")]
    Foreign { url: String, detail: String },
    #[error("the connection to {url} broke: {detail}")]
    Broken { url: String, detail: String },
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
}

impl Error {
    /// The stable code, where the daemon gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Problem { problem, .. } => Some(&problem.code),
            _ => None,
        }
    }

    /// What to do, where the message does not say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::NoDaemon(_) => Some("start it with `smartrag serve`, or name another with --url"),
            Error::Problem { problem, .. } if problem.status == 401 => {
                Some("give a key with --api-key or SMARTRAG_API_KEY")
            }
            Error::Foreign { .. } => Some("another program may hold the port: check --url"),
            Error::Broken { .. } => Some("see the daemon's log"),
            _ => None,
        }
    }
}

/// The detail, and the parts of the request that it concerns.
fn shown(problem: &Problem) -> String {
    let mut text = format!("{} ({})", problem.detail, problem.code);
    // The log names it.
    if problem.status >= 500 && !problem.request_id.is_empty() {
        text.push_str(&format!("\n  request {}", problem.request_id));
    }
    let is_news = |error: &&FieldError| !problem.detail.contains(&error.detail);
    for error in problem.errors.iter().filter(is_news) {
        text.push_str(&format!("\n  {}: {}", error.pointer, error.detail));
    }
    text
}
