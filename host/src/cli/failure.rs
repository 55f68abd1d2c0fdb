//! Errors as people read them: `error: …` and, where we know what to do, `hint: …`.

use std::io;
use std::path::Path;

use crate::{client, config, search, store};

/// An error of the command line itself, with what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// All that is said of an error.
pub(super) fn describe(error: &anyhow::Error) -> String {
    let message = match error.downcast_ref::<config::Error>() {
        Some(config::Error::Invalid(problems)) => {
            let lines: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
            format!("the configuration does not check:{lines}")
        }
        _ => with_causes(error),
    };
    match hint(error) {
        Some(hint) => format!("error: {message}\nhint: {hint}"),
        None => format!("error: {message}"),
    }
}

/// The message and those of its causes that it does not repeat itself.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.hint.clone();
    }
    if let Some(error) = error.downcast_ref::<client::Error>() {
        return error.hint().map(str::to_owned);
    }
    let of_store = error.chain().find_map(|cause| remedy(cause.downcast_ref()?));
    let of_search = || error.chain().find_map(|cause| remedy_of_search(cause.downcast_ref()?));
    if let Some(hint) = of_store.or_else(of_search) {
        return Some(hint.to_owned());
    }
    match error.downcast_ref::<config::Error>()? {
        config::Error::Invalid(_) => Some("`smartrag config schema` names every key".to_owned()),
        config::Error::Read { .. } => None,
    }
}

/// What to do about an error of the store that does not say it itself.
pub(super) fn remedy(error: &store::Error) -> Option<&'static str> {
    match error {
        store::Error::Corrupt(_) => Some(
            "`smartrag restore latest --replace` brings the last backup back; `smartrag doctor --deep` reads all of the database",
        ),
        store::Error::Format { .. } => {
            Some("install the smartrag that wrote them, or restore a backup that this one made")
        }
        store::Error::Io { source, .. } => remedy_of_io(source.kind()),
        _ => None,
    }
}

/// The same of a search.
pub(super) fn remedy_of_search(error: &search::Error) -> Option<&'static str> {
    match error {
        search::Error::Io { source, .. } => remedy_of_io(source.kind()),
        _ => None,
    }
}

fn remedy_of_io(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::PermissionDenied => Some(
            "run this as the daemon's user, who must own all that is there: `smartrag doctor` names what is another's",
        ),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            Some("a file is where a directory has to be: move it away, or choose another place in the config")
        }
        _ => None,
    }
}

/// Whether something is there; an error where that can't be told.
pub(super) fn exists(path: &Path) -> anyhow::Result<bool> {
    path.try_exists().map_err(|source| store::Error::Io { path: path.to_owned(), source }.into())
}

pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_is_not_there_is_told_with_its_remedy() {
        let error = client::Error::NoDaemon("http://127.0.0.1:8765".into()).into();
        assert_eq!(
            describe(&error),
            "error: no daemon at http://127.0.0.1:8765\n\
             hint: start it with `smartrag serve`, or name another with --url"
        );
    }

    #[test]
    fn a_cause_is_told_once() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        let error = anyhow::Error::from(client::Error::File { path: "/x".into(), source }).context("upload");
        assert_eq!(describe(&error), "error: upload: /x: entity not found");
    }

    #[test]
    fn problems_of_the_config_stand_one_a_line() {
        let problem = |key: &str| config::Problem {
            origin: config::Origin::Env("X".into()),
            key: key.into(),
            message: "bad".into(),
        };
        let error = config::Error::Invalid(vec![problem("a"), problem("b")]).into();
        assert_eq!(
            describe(&error),
            "error: the configuration does not check:\n  X: a: bad\n  X: b: bad\n\
             hint: `smartrag config schema` names every key"
        );
    }
}
