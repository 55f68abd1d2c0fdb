use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use crate::cli::config::Place;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::plugin::patience;
use crate::cli::{Outcome, Result};
use crate::config::Config;
use crate::plugins::{self, Grants, Manifest, PluginInfo, PluginKind};
use crate::types::JsonMap;
use crate::wire::Capabilities;

const MANIFEST_FILE: &str = "plugin.toml";
const COMPONENT_FILE: &str = "plugin.wasm";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Name of an installed plugin, its directory, or a component file
    plugin: String,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// What can be said of a plugin.
#[derive(Debug, Default, Serialize)]
struct Report {
    name: String,
    version: String,
    role: Option<String>,
    wit: String,
    sha256: String,
    size_bytes: u64,
    imports: Vec<String>,
    /// Imports that the world of its role does not have: the host refuses such a plugin.
    undeclared_imports: Vec<String>,
    capabilities: Capabilities,
    limits: JsonMap,
    /// File types, for parsers.
    file_types: Vec<String>,
    /// Declared model files.
    models: Vec<String>,
    /// What compiling it took here.
    compile_ms: Option<u64>,
    /// Why it can't be compiled.
    compile_problem: Option<String>,
}

pub(super) fn run(args: Args) -> Result {
    let config = args.place.load()?.config;
    let path = Path::new(&args.plugin);
    let report = if path.exists() { of_file(path, &config)? } else { of_installed(&args.plugin, &config)? };
    let is_clean = report.undeclared_imports.is_empty() && report.compile_problem.is_none();
    if args.json {
        output::json(&report)?;
    } else {
        output::print(&render(&report))?;
    }
    Ok(Outcome::of(is_clean))
}

/// A plugin by its name: with the limits and grants that it has here.
fn of_installed(name: &str, config: &Config) -> anyhow::Result<Report> {
    let infos = super::local::infos(config)?;
    let names: Vec<&str> = infos.iter().map(|info| info.id.name.as_str()).collect();
    let missing = || {
        Failure::new(format!("there is no plugin {name:?}, and no such file"))
            .hint(format!("installed are {}", names.join(", ")))
    };
    let info = infos.iter().find(|info| info.id.name == name).ok_or_else(missing)?;
    let mut report = match info.kind {
        PluginKind::Wasm => of_component(&info.dir.join(COMPONENT_FILE))?,
        PluginKind::Native => of_library(info),
    };
    describe(&mut report, info.clone());
    Ok(report)
}

/// A library tells nothing before it is loaded, and imports whatever it likes.
fn of_library(info: &PluginInfo) -> Report {
    Report {
        role: Some(info.role.to_string()),
        sha256: info.id.sha256.clone(),
        size_bytes: info.size_bytes,
        ..Report::default()
    }
}

fn describe(report: &mut Report, info: PluginInfo) {
    report.name = info.id.name;
    report.version = info.id.version;
    report.wit = info.wit;
    report.capabilities = Capabilities { asked: info.asked, granted: info.granted };
    report.limits = info.limits;
    report.file_types = info.file_types;
    report.models = info.models.into_iter().map(|model| model.name).collect();
}

/// A plugin that need not be installed: its directory, or a component with or without a manifest beside it.
fn of_file(path: &Path, config: &Config) -> anyhow::Result<Report> {
    let component = if path.is_dir() { path.join(COMPONENT_FILE) } else { path.to_owned() };
    let mut report = of_component(&component)?;
    let manifest: PathBuf = component.with_file_name(MANIFEST_FILE);
    if manifest.exists() {
        let text = std::fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
        let parsed = Manifest::parse(&text);
        let parsed = parsed.map_err(|what| Failure::new(format!("{}: {what}", manifest.display())))?;
        declare(&mut report, parsed, config);
    }
    Ok(report)
}

fn declare(report: &mut Report, manifest: Manifest, config: &Config) {
    let asked = manifest.asked.iter().map(|(capability, _)| *capability).collect();
    let grants = Grants::new(asked, config.plugins.grants.get(&manifest.name), &report.sha256);
    report.capabilities = Capabilities { asked: grants.asked(), granted: grants.granted() };
    report.name = manifest.name;
    report.version = manifest.version;
    report.wit = manifest.wit;
    report.file_types = manifest.file_types;
    report.models = manifest.models.into_iter().map(|model| model.name).collect();
    let deadline_ms = manifest.limits.deadline.map(|deadline| deadline.as_millis() as u64);
    let wishes = [
        ("memory_max_bytes", manifest.limits.memory_max),
        ("deadline_ms", deadline_ms),
        ("output_max_bytes", manifest.limits.output_max),
    ];
    report.limits = wishes.into_iter().filter_map(|(name, wish)| Some((name.into(), wish?.into()))).collect();
}

fn of_component(component: &Path) -> std::result::Result<Report, Failure> {
    let what = component.display().to_string();
    let found = patience::while_compiling(&what, || plugins::inspect(component)).map_err(Failure::new)?;
    Ok(Report {
        role: found.role.map(|role| role.to_string()),
        sha256: found.sha256,
        size_bytes: found.size_bytes,
        imports: found.imports,
        undeclared_imports: found.undeclared_imports,
        compile_ms: found.compiled.as_ref().ok().map(|took| took.as_millis() as u64),
        compile_problem: found.compiled.err(),
        ..Report::default()
    })
}

fn render(report: &Report) -> String {
    let limits = report.limits.iter().map(|(name, value)| format!("{name}={value}"));
    let rows = [
        ("name", [report.name.as_str(), report.version.as_str()].join(" ")),
        ("role", report.role.clone().unwrap_or_else(|| "none: it exports no role".to_owned())),
        ("wit", report.wit.clone()),
        ("size", output::size(report.size_bytes)),
        ("sha256", report.sha256.clone()),
        ("imports", grouped(&report.imports).join(", ")),
        ("undeclared", report.undeclared_imports.join(", ")),
        ("asks for", report.capabilities.asked.join(", ")),
        ("granted", report.capabilities.granted.join(", ")),
        ("limits", limits.collect::<Vec<_>>().join(", ")),
        ("file types", report.file_types.join(", ")),
        ("models", report.models.join(", ")),
        ("compiles in", report.compile_ms.map(|ms| format!("{ms} ms")).unwrap_or_default()),
        ("no compiling", report.compile_problem.clone().unwrap_or_default()),
    ];
    let given = rows.iter().filter(|(_, value)| !value.trim().is_empty());
    given.map(|(name, value)| format!("{name:<14}{}\n", output::one_line(value))).collect()
}

/// Interfaces by name, those of WASI by package: a language's runtime has two dozen of them.
fn grouped(imports: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for import in imports {
        let name = match import.split_once('/') {
            Some((package, _)) if package.starts_with("wasi:") => package,
            _ => import,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_wasi_are_named_once() {
        let imports = [
            "wasi:io/poll@0.2.9",
            "smartrag:plugin/log@0.1.0",
            "wasi:io/error@0.2.9",
            "wasi:http/types@0.2.9",
        ];
        let imports = imports.map(str::to_owned);
        assert_eq!(grouped(&imports), ["wasi:io", "smartrag:plugin/log@0.1.0", "wasi:http"]);
    }
}
