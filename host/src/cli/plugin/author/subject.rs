//! The plugin that an author works on.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cli::config::Place;
use crate::cli::failure::Failure;
use crate::cli::plugin::{local, patience};
use crate::config;
use crate::plugins::build::DEFAULT_OUT;
use crate::plugins::{Manifest, PluginInfo, PluginState, Plugins};
use crate::telemetry::{self, Logging};
use crate::types::JsonMap;

const MANIFEST_FILE: &str = "plugin.toml";
const COMPONENT_FILE: &str = "plugin.wasm";
/// What the plugin writes into its log goes to stderr; of the host only what it says of the plugin.
const LOG_FILTER: &str = "off,plugin=info";

/// How a plugin is loaded.
#[derive(Debug, clap::Args)]
pub struct Setup {
    /// The plugin's settings, a JSON object [default: those of the configuration]
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// A plugin that is loaded by itself.
pub struct Subject {
    /// The host with this plugin and no other.
    pub plugins: Plugins,
    /// What the host knows of it.
    pub info: PluginInfo,
}

impl Subject {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.info.id.name
    }
}

/// Loads the plugin of a project or of a directory with a component; the state may be `Failed`.
pub fn open(dir: &Path, setup: &Setup) -> anyhow::Result<Subject> {
    load(&component_dir(dir)?, setup)
}

/// The same, refusing a plugin that did not load.
pub fn open_ready(dir: &Path, setup: &Setup) -> anyhow::Result<Subject> {
    ready(open(dir, setup)?)
}

/// An installed plugin, by name.
pub fn open_installed(name: &str, setup: &Setup) -> anyhow::Result<Subject> {
    let config = setup.place.load()?.config;
    let dirs = config::places(&config).plugin_dirs;
    let found = dirs.iter().map(|dir| dir.join(name)).find(|dir| dir.join(COMPONENT_FILE).is_file());
    let missing = || {
        Failure::new(format!("no plugin {name:?} is installed in {dirs:?}"))
            .hint("`smartrag plugin list` names them; a directory is given without --name")
    };
    ready(load(&found.ok_or_else(missing)?, setup)?)
}

fn load(dir: &Path, setup: &Setup) -> anyhow::Result<Subject> {
    let logging = Logging { filter: LOG_FILTER, json: false, dir: None, traces: None };
    // Started already: by an earlier plugin of the same command.
    let _ = telemetry::start_logging(logging);
    let mut config = setup.place.load()?.config;
    if let (Some(settings), Some(name)) = (&setup.settings, name(dir)) {
        config.plugins.settings.insert(name, parse_settings(settings)?);
    }
    let (places, _scratch) = local::places(&config)?;
    let what = dir.display().to_string();
    let plugins = patience::while_compiling(&what, || Plugins::load_one(dir, &places, &config.plugins))?;
    let none = || Failure::new(format!("{} holds no plugin", dir.display()));
    let info = plugins.list().into_iter().next().ok_or_else(none)?;
    Ok(Subject { plugins, info })
}

fn ready(subject: Subject) -> anyhow::Result<Subject> {
    match &subject.info.state {
        PluginState::Ready => Ok(subject),
        PluginState::Ungranted(reason) | PluginState::Failed(reason) => {
            Err(Failure::new(format!("{} did not load: {reason}", subject.name())).into())
        }
    }
}

fn parse_settings(text: &str) -> Result<JsonMap, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::new(format!("--settings is no JSON object: {error}")))
}

fn name(dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(dir.join(MANIFEST_FILE)).ok()?;
    Manifest::parse(&text).ok().map(|manifest| manifest.name)
}

/// The directory itself where it holds a component, else where `plugin build` put the project's.
fn component_dir(dir: &Path) -> Result<PathBuf, Failure> {
    if dir.join(COMPONENT_FILE).is_file() {
        return Ok(dir.to_owned());
    }
    let manifest = dir.join(MANIFEST_FILE);
    let text = std::fs::read_to_string(&manifest).map_err(|error| {
        Failure::new(format!("{}: {error}", manifest.display()))
            .hint("name the directory of a plugin or of its project; `smartrag plugin new` starts one")
    })?;
    let manifest =
        Manifest::parse(&text).map_err(|what| Failure::new(format!("{}: {what}", manifest.display())))?;
    let whole = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let places = whole.ancestors().map(|dir| dir.join(DEFAULT_OUT).join(&manifest.name));
    match places.into_iter().find(|place| place.join(COMPONENT_FILE).is_file()) {
        Some(place) => {
            warn_if_stale(&whole, &place);
            Ok(place)
        }
        None => Err(Failure::new(format!("{} is not built yet", manifest.name)).hint(format!(
            "`smartrag plugin build {}`; with --out, name OUT/{} here",
            dir.display(),
            manifest.name
        ))),
    }
}

fn warn_if_stale(project: &Path, built: &Path) {
    let changed = |path: &Path| path.metadata().and_then(|found| found.modified()).ok();
    let sources = walkdir::WalkDir::new(project.join("src")).into_iter().flatten();
    let sources = sources.filter_map(|entry| changed(entry.path()));
    let others = ["Cargo.toml", "package.json", "requirements.txt", MANIFEST_FILE]
        .iter()
        .filter_map(|file| changed(&project.join(file)));
    let newest: Option<SystemTime> = sources.chain(others).max();
    if newest > changed(&built.join(COMPONENT_FILE)) {
        eprintln!("note: the sources are newer than the component: `smartrag plugin build` first?");
    }
}
