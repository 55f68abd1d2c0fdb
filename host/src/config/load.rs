//! Finds the file, lays the environment and the flags over it, checks the whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::check::Checker;
use super::problem::{Error, Origin, Problem};
use super::tree::{Tree, joined, loose_value};
use super::{Config, shape};

/// Read if nothing else names a file.
const USUAL_FILE: &str = "/etc/smartrag/config.yaml";
/// Templates, beside the file.
const USUAL_PROMPTS: &str = "prompts";
const SERVICE_DATA_DIR: &str = "/var/lib/smartrag";

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Flag, dotted key and value, such as `("--bind", "api.bind", "127.0.0.1:9000")`.
    pub overrides: Vec<(&'static str, &'static str, String)>,
}

/// A checked configuration and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// Checked.
    pub config: Config,
    /// The file that was read; `None` where there is none.
    pub file: Option<PathBuf>,
    /// Every value that somebody set: dotted key and origin.
    pub origins: BTreeMap<String, Origin>,
}

/// Reads and checks the configuration of this process.
pub fn load(options: &Options) -> Result<Loaded, Error> {
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    load_with(options, &env)
}

/// The same with an environment passed in.
pub fn load_with(options: &Options, env: &BTreeMap<String, String>) -> Result<Loaded, Error> {
    let mut problems = Vec::new();
    let file = file_of(options, set(env, "SMARTRAG_CONFIG"));
    let mut tree = match &file {
        Some(path) => Tree::parse(path, &read(path)?, &mut problems),
        None => Tree::default(),
    };
    if !problems.iter().any(|problem| problem.key.is_empty()) {
        overlay_env(&mut tree, env, &mut problems);
        overlay_flags(&mut tree, options);
    }
    let mut config = check(&tree, &default_data_dir(env), problems)?;
    let beside = file.as_deref().and_then(usual_prompts).filter(|dir| dir.is_dir());
    config.prompts.dir = config.prompts.dir.or(beside);
    let origins = tree.settings().map(|(key, origin)| (key.to_owned(), origin.clone())).collect();
    Ok(Loaded { config, file, origins })
}

/// The file that [`load`] reads; `None` where there is none.
pub fn file_in_use(options: &Options) -> Option<PathBuf> {
    file_of(options, std::env::var("SMARTRAG_CONFIG").ok().filter(|path| !path.is_empty()))
}

fn file_of(options: &Options, from_env: Option<impl Into<PathBuf>>) -> Option<PathBuf> {
    let named = options.file.clone().or_else(|| from_env.map(Into::into));
    named.or_else(|| Some(PathBuf::from(USUAL_FILE)).filter(|path| path.exists()))
}

/// Where templates are looked for if the file names no other place.
pub fn usual_prompts(file: &Path) -> Option<PathBuf> {
    file.parent().map(|dir| dir.join(USUAL_PROMPTS))
}

fn check(tree: &Tree, data_dir: &Path, mut problems: Vec<Problem>) -> Result<Config, Error> {
    let raw = shape::read(tree, &mut problems);
    // What was left out of `backends` would be missed by those that name it.
    let misshapen = problems.iter().any(|problem| problem.key.starts_with("backends"));
    let mut judged = Vec::new();
    let config = Checker::new(tree, &mut judged).config(raw, data_dir);
    problems.extend(judged.into_iter().filter(|problem| !(misshapen && problem.key.starts_with("backends"))));
    if problems.is_empty() {
        return Ok(config);
    }
    problems.sort_by(|a, b| a.origin.cmp(&b.origin));
    Err(Error::Invalid(problems))
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn set<'a>(env: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    env.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// `SMARTRAG_<SECTION>__<KEY>`, and the few short names.
fn overlay_env(tree: &mut Tree, env: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
    for (variable, section) in [("SMARTRAG_API_PORT", "bind"), ("SMARTRAG_UI_PORT", "ui_bind")] {
        if let Some(port) = set(env, variable) {
            overlay_port(tree, variable, section, port, problems);
        }
    }
    if let Some(dir) = set(env, "SMARTRAG_DATA_DIR") {
        tree.set(&["data_dir".to_owned()], dir.into(), Origin::Env("SMARTRAG_DATA_DIR".to_owned()));
    }
    for (variable, text) in env {
        let Some(name) = variable.strip_prefix("SMARTRAG_").filter(|name| name.contains("__")) else {
            continue;
        };
        let key = key_of(tree, name);
        tree.set(&key, loose_value(text), Origin::Env(variable.clone()));
    }
}

/// The key that a variable means: names that are there already win, as a variable can't say case or dashes.
fn key_of(tree: &Tree, name: &str) -> Vec<String> {
    let mut at = Some(&tree.value);
    let segments = name.split("__").map(|segment| {
        let alike = |key: &&String| key.replace('-', "_").eq_ignore_ascii_case(segment);
        let known = at.and_then(|map| map.keys().find(alike)).cloned();
        let segment = known.unwrap_or_else(|| segment.to_lowercase());
        at = at.and_then(|map| map.get(&segment)).and_then(Value::as_object);
        segment
    });
    segments.collect()
}

/// Keeps the host that the file names.
fn overlay_port(tree: &mut Tree, variable: &str, name: &str, port: &str, problems: &mut Vec<Problem>) {
    let origin = Origin::Env(variable.to_owned());
    if port.parse::<u16>().is_err() {
        let message = format!("expected a port from 0 to 65535, found {port:?}");
        problems.push(Problem { origin, key: String::new(), message });
        return;
    }
    let bound = tree.get(&joined("api", name)).and_then(Value::as_str).unwrap_or("127.0.0.1");
    let host = match bound.rsplit_once(':') {
        Some((host, digits)) if digits.parse::<u16>().is_ok() && !host.ends_with(':') => host,
        _ => bound,
    };
    let address = format!("{host}:{port}");
    tree.set(&["api".to_owned(), name.to_owned()], address.into(), origin);
}

fn overlay_flags(tree: &mut Tree, options: &Options) {
    for (flag, key, text) in &options.overrides {
        let key: Vec<String> = key.split('.').map(str::to_owned).collect();
        tree.set(&key, text.as_str().into(), Origin::Flag((*flag).to_owned()));
    }
}

/// `/var/lib/smartrag` as a service, else below the user's home.
fn default_data_dir(env: &BTreeMap<String, String>) -> PathBuf {
    if let Some(dir) = set(env, "STATE_DIRECTORY").and_then(|dirs| dirs.split(':').next()) {
        return dir.into();
    }
    let service_dir = Path::new(SERVICE_DATA_DIR);
    if set(env, "INVOCATION_ID").is_some() && service_dir.is_dir() {
        return service_dir.to_owned();
    }
    let absolute = |name| set(env, name).map(Path::new).filter(|path| path.is_absolute());
    match (absolute("XDG_DATA_HOME"), absolute("HOME")) {
        (Some(data), _) => data.join("smartrag"),
        (None, Some(home)) => home.join(".local/share/smartrag"),
        (None, None) => service_dir.to_owned(),
    }
}
