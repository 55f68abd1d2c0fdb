//! The input is a config file, and behind a line `%env` the environment, `NAME=value` a line.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::{Config, Error, Loaded, Options, Origin, load_with, show};

/// Ends the file.
const ENV: &[u8] = b"\n%env\n";
/// What stands in place of secrets.
const REDACTED: &str = "<redacted>";

pub fn run(input: &[u8]) {
    let (file, env) = super::split(input, ENV);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.yaml");
    let env = String::from_utf8_lossy(env);
    let env = env.lines().filter_map(|line| line.split_once('='));
    // It would name another file.
    let env = env.filter(|(name, _)| *name != "SMARTRAG_CONFIG");
    let env: BTreeMap<String, String> =
        env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    match load(&path, file, &env) {
        Ok(loaded) => {
            check_spans(&loaded.config);
            check_shown(&path, &loaded);
        }
        Err(error) => check_error(&error),
    }
}

fn load(path: &Path, text: &[u8], env: &BTreeMap<String, String>) -> Result<Loaded, Error> {
    std::fs::write(path, text).expect("a file");
    load_with(&Options { file: Some(path.to_owned()), overrides: Vec::new() }, env)
}

/// Each problem names its place and says something.
fn check_error(error: &Error) {
    let Error::Invalid(problems) = error else { return };
    assert!(!problems.is_empty());
    for problem in problems {
        assert!(!problem.message.trim().is_empty(), "{problem:?}");
        assert_ne!(problem.origin, Origin::Default, "{problem}");
    }
}

/// Clocks can count as far as these say.
fn check_spans(config: &Config) {
    let grants = config.plugins.grants.values().filter_map(|grant| grant.deadline_ms);
    let spans =
        grants.map(Duration::from_millis).chain([Duration::from_secs(config.plugins.compile.cpu_seconds)]);
    for span in spans {
        assert!(Instant::now().checked_add(span * 1000).is_some(), "{span:?}");
    }
}

/// What is shown is a file that means the same.
fn check_shown(path: &Path, loaded: &Loaded) {
    let shown = show(loaded);
    let again = load(path, shown.as_bytes(), &BTreeMap::new());
    let again = again.unwrap_or_else(|error| panic!("what is shown can't be read: {error}\n{shown}"));
    assert_eq!(settings(&show(&again)), settings(&shown));
    if !shown.contains(REDACTED) {
        let differs = |config: &Config| format!("{config:#?}");
        assert_eq!(differs(&again.config), differs(&loaded.config), "{shown}");
    }
}

/// Without the comments at the top, which say where each came from.
fn settings(shown: &str) -> String {
    shown.lines().skip_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n")
}
